"""Why a running job sends nothing, as a sentence, with the page where that is mended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.urls import reverse
from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from notify_platform.console.desk import durations
from notify_platform.core.clock import database_now
from notify_platform.delivery import stalls
from notify_platform.delivery.models import Reason
from notify_platform.delivery.stalls import Cause, Stall
from notify_platform.jobs.models import SendJob

if TYPE_CHECKING:
    from datetime import datetime

    from django.utils.functional import _StrPromise

_SENTENCES: Mapping[Cause, _StrPromise] = {
    Cause.NO_WORKER: gettext_lazy("No worker is running. Start manage.py worker on the server."),
    Cause.QUEUE: gettext_lazy("The queue does not answer. Restart the worker."),
    Cause.TOKEN: gettext_lazy("There is no valid access token. Check the mini-program's app id and secret."),
    Cause.PACE_HELD: gettext_lazy("WeChat asked to slow down, or is overloaded. Sending goes on at %(until)s."),
    Cause.UNCLEAR: gettext_lazy("Messages are due and the worker is alive. Look into the worker's log."),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """What the page says: how long nothing has left, why, and where to go."""

    head: str
    sentence: str
    url: str = ""
    way: str = ""


def of_job(job: SendJob) -> Standing | None:
    """Return why a job stands still; None when it does not."""
    stall = stalls.of_job(job)
    return _words(job, stall) if stall else None


def _words(job: SendJob, stall: Stall) -> Standing:
    if stall.cause is Cause.CLOCK:
        why = Reason(stall.reason).label if stall.reason in Reason.values else _("nobody's turn has come")
        told = {"until": _moment(stall.until), "why": why}
        return Standing(_("Waiting"), _("The next message leaves at %(until)s (%(why)s).") % told)
    to_program = reverse("admin:templates_app_miniprogram_change", args=[job.mini_program_id])
    if stall.cause is Cause.BUDGET:
        told = {"number": f"{job.mini_program.daily_budget:,}", "until": _moment(stall.until)}
        sentence = _(
            "The mini-program's %(number)s messages a day are used up. Sending goes on at %(until)s by itself."
        )
        return Standing(_("Waiting"), sentence % told, to_program, _("To that setting"))
    head = _("Nothing has left for %(time)s") % {"time": durations.words(_seconds_since(stall.since))}
    sentence = str(_SENTENCES[stall.cause]) % {"until": _moment(stall.until)}
    if stall.cause is Cause.TOKEN:
        return Standing(head, sentence, to_program, _("To the mini-program"))
    return Standing(head, sentence)


def _seconds_since(moment: datetime) -> float:
    return (database_now() - moment).total_seconds()


def _moment(moment: datetime | None) -> str:
    """Return the time of a moment of today, else its day, too."""
    if moment is None:
        return "—"
    local = timezone.localtime(moment)
    is_today = local.date() == timezone.localdate()
    return formats.time_format(local) if is_today else formats.date_format(local, "DATETIME_FORMAT")
