"""When a job would be sent, in sentences a person would say."""

from __future__ import annotations

from datetime import datetime
from math import ceil

from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from notify_platform.console.desk.jobs import schedules
from notify_platform.console.desk.jobs.composing import Start
from notify_platform.core.clock import beijing_midnight
from notify_platform.delivery import pacing
from notify_platform.jobs.models import SendJob

MINUTE, HOUR = 60, 3600


def sentences(job: SendJob, *, start: str, reach: int | None, lasts: bool = True) -> list[str]:
    """Say when it begins, how long it takes, and what its hours and its deadline mean. The job may be unsaved."""
    said = [_begins(job, start=start)]
    if reach and lasts:
        said.append(_lasts(job, reach=reach))
    if job.window_from and job.window_until:
        said.append(
            _("Cards leave only from %(start)s to %(end)s, by the clock of each person.")
            % {
                "start": formats.time_format(job.window_from, "H:i"),
                "end": formats.time_format(job.window_until, "H:i"),
            }
        )
    if job.not_after:
        said.append(_ends(job, reach=reach))
    return said


def beyond_the_day(job: SendJob, *, reach: int) -> list[str]:
    """Say that the day it begins on has no room for so many messages; nothing while it has. One query."""
    program, begins = job.mini_program, max(job.starts_at or timezone.now(), timezone.now())
    is_today = beijing_midnight(begins) == beijing_midnight(timezone.now())
    left = pacing.left_today(program) if is_today else program.daily_budget
    if reach <= left:
        return []
    sentence = _("Its first day has room for %(left)s messages (the mini-program's setting); the rest leaves after it.")
    return [sentence % {"left": f"{left:,}"}]


def pace_of(job: SendJob) -> int:
    """Return the messages per second a job is sent with."""
    pace = job.template.mini_program.pace_per_second
    return min(job.pace_per_second, pace) if job.pace_per_second else pace


def duration(seconds: float) -> str:
    """Return a length of time as it is said: to the minute below an hour, then to the hour and minute."""
    if seconds < MINUTE:
        return _("less than a minute")
    minutes = ceil(seconds / MINUTE)
    if minutes < MINUTE:
        return ngettext("about %(number)s minute", "about %(number)s minutes", minutes) % {"number": minutes}
    return _("about %(hours)s h %(minutes)s min") % {"hours": f"{minutes // 60:,}", "minutes": minutes % 60}


def moment(at: datetime) -> str:
    """Write a moment as the desk writes it."""
    return formats.date_format(timezone.localtime(at), "Y-m-d H:i")


def _begins(job: SendJob, *, start: str) -> str:
    if job.series and job.occurrence is None:
        return schedules.words(job.series)
    if start == Start.APPROVED:
        return _("It begins by itself as soon as it is approved.")
    if job.starts_at is None:
        return _("It begins when somebody presses start, after it is approved.")
    if job.starts_at <= timezone.now():
        return _("%(moment)s has passed: it begins as soon as it is approved.") % {"moment": moment(job.starts_at)}
    return _("It begins by itself on %(moment)s; it has to be approved by then.") % {"moment": moment(job.starts_at)}


def _lasts(job: SendJob, *, reach: int) -> str:
    pace = pace_of(job)
    words = {"people": f"{reach:,}", "duration": duration(reach / pace), "pace": f"{pace:,}"}
    return _("%(people)s people take %(duration)s at %(pace)s a second.") % words


def _ends(job: SendJob, *, reach: int | None) -> str:
    """Say what the deadline means; at a pace that is too slow, for how many people."""
    if job.not_after is None:
        return ""
    begins = max(job.starts_at or timezone.now(), timezone.now())
    room = int(max((job.not_after - begins).total_seconds(), 0) * pace_of(job))
    if reach and room < reach:
        return _("At this pace only %(some)s of %(people)s people get it before %(moment)s.") % {
            "some": f"{room:,}",
            "people": f"{reach:,}",
            "moment": moment(job.not_after),
        }
    return _("Who has not got it by %(moment)s does not get it.") % {"moment": moment(job.not_after)}
