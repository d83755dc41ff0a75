"""Broadcasts that are known already: jobs with a start, and series. What they will want, day by day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta

from django.db.models import Exists, OuterRef

from notify_platform.core.errors import Refused
from notify_platform.insights import days
from notify_platform.jobs.models import SendJob, Series
from subscriptions.audience import selection
from subscriptions.models import Audience
from templates_app.models import MiniProgram

State = SendJob.State


def messages(mini_program: MiniProgram, *, first: date, count: int, now: datetime) -> Counter[tuple[int, date]]:
    """Return (template id, day) → messages, by the size their audiences have now; one count for each audience."""
    zone = mini_program.zone
    size = _sizes()
    known: Counter[tuple[int, date]] = Counter()
    made: set[tuple[int, date]] = set()
    end = days.begin_of(first + timedelta(days=count), zone=zone)
    jobs = SendJob.objects.filter(
        mini_program=mini_program, state__in=[State.SUBMITTED, State.SCHEDULED], starts_at__lt=end
    )
    for job in jobs.select_related("audience"):
        # One whose hour has passed without it starts as soon as somebody lets it.
        day = max(days.day_of(job.starts_at or now, zone=zone), first)
        known[job.template_id, day] += size(job.audience)
        if job.series_id:
            made.add((job.series_id, day))
    for series, last in _series(mini_program):
        for day in _occurrences(series, first=first, count=count, now=now.astimezone(zone)):
            if (series.pk, day) not in made:
                known[last.template_id, day] += size(last.audience)
    return known


def _series(mini_program: MiniProgram) -> list[tuple[Series, SendJob]]:
    """Return each series that comes, with its latest job, which says what it sends and to whom."""
    agreed = SendJob.objects.filter(series=OuterRef("pk"), occurrence__isnull=True, state=SendJob.State.SCHEDULED)
    coming = Series.objects.filter(Exists(agreed), mini_program=mini_program, is_active=True)
    active = {series.pk: series for series in coming}
    # Later jobs overwrite earlier ones.
    latest = dict(SendJob.objects.filter(series__in=active).order_by("pk").values_list("series", "pk"))
    jobs = SendJob.objects.filter(pk__in=latest.values()).select_related("audience")
    return [(active[job.series_id], job) for job in jobs if job.series_id]


def _occurrences(series: Series, *, first: date, count: int, now: datetime) -> list[date]:
    """Return the days on which a series is still to come; ``now`` is local."""
    return [
        day
        for day in days.row_of(first, count=count)
        if day.isoweekday() in series.weekdays
        and series.starts_on <= day
        and (series.ends_on is None or day <= series.ends_on)
        and (day > now.date() or series.at_time > now.time())
    ]


def _sizes() -> Callable[[Audience], int]:
    """Return a function that counts an audience, each only once."""
    known: dict[int, int] = {}

    def size(audience: Audience) -> int:
        if audience.pk not in known:
            try:
                known[audience.pk] = selection.people(audience).count()
            except Refused:
                # A rule that makes no sense starts no job either.
                known[audience.pk] = 0
        return known[audience.pk]

    return size
