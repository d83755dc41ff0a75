"""Other jobs that go to the same people, or spend the same consent, on the same days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from django.db.models import Q
from django.utils import timezone

from notify_platform.jobs.models import SendJob

State = SendJob.State
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Conflict:
    """Another job, and what it shares with ours."""

    job: SendJob
    same_audience: bool
    same_template: bool


def of_job(job: SendJob) -> Sequence[Conflict]:
    """Return the jobs that are sent on our days to our audience, or with our template; the nearest ones first.

    A job that waits for somebody to press start may go on any day, so it counts on all of them.
    """
    first, last = days_of(job)
    shared = Q(audience=job.audience_id) | Q(template=job.template_id)
    waits = Q(state__in=[State.SUBMITTED, State.SCHEDULED])
    # The pattern of a series is never sent itself; its next day says when it comes.
    pattern = Q(series__isnull=False, occurrence__isnull=True)
    once = ~pattern & (Q(starts_at__isnull=True) | Q(starts_at__range=(first, last)))
    due = once | (pattern & Q(series__is_active=True, series__next_at__range=(first, last)))
    went = Q(state=State.FINISHED, started_at__range=(first, last))
    now = Q(state__in=[State.RUNNING, State.PAUSED]) if first <= timezone.now() <= last else Q(pk__in=[])
    others = SendJob.objects.filter(shared, (waits & due) | went | now, mini_program=job.mini_program_id, test_of=None)
    rows = others.exclude(pk=job.pk).select_related("template", "audience", "series").order_by("starts_at", "-pk")
    return [
        Conflict(
            job=row,
            same_audience=row.audience_id == job.audience_id,
            same_template=row.template_id == job.template_id,
        )
        for row in rows[:SHOWN]
    ]


def days_of(job: SendJob) -> tuple[datetime, datetime]:
    """Return the first and the last moment of the days on which a job would be sent."""
    zone = job.mini_program.zone
    comes = job.series.next_at if job.series and job.occurrence is None else job.starts_at
    begins = max(comes or timezone.now(), timezone.now()).astimezone(zone)
    ends = job.not_after.astimezone(zone) if job.not_after and job.not_after > begins else begins
    midnight = datetime.combine(ends.date() + timedelta(days=1), time(), tzinfo=zone)
    return datetime.combine(begins.date(), time(), tzinfo=zone), midnight
