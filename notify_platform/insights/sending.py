"""What became of the messages of each day: the only writer of ``SendingTally`` and ``RefusalTally``.

A day is counted again as often as one likes, job by job, from that job's rows alone; a job that has been over for a
while is left in peace. Messages count on the day they left, opens on the day of the tap.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Final

from django.db.models import Count, F, Max, Q, QuerySet
from django.utils import timezone

from notify_platform.delivery.models import Delivery, Open
from notify_platform.insights import days, pages
from notify_platform.insights.days import Home
from notify_platform.insights.models import RefusalTally, SendingTally
from notify_platform.jobs.models import SendJob

State = Delivery.State
# Sent events and answers of phones may be as late as this; afterwards a job that is over stays as it was counted.
SETTLING: Final = timedelta(hours=2)
# By then a job that is over has been counted for the last time.
SETTLED: Final = SETTLING + timedelta(minutes=15)
COLUMNS: Final = ("left", "accepted", "delivered", "undelivered", "failed", "opened")
_COUNTED_AS: Final[Mapping[str, tuple[str, ...]]] = {
    State.SENDING: ("left",),
    State.UNKNOWN: ("left",),
    State.ACCEPTED: ("left", "accepted"),
    State.DELIVERED: ("left", "accepted", "delivered"),
    State.UNDELIVERED: ("left", "accepted", "undelivered"),
    State.FAILED: ("left", "failed"),
}

Sums = Mapping[int, Counter[str]]
# (job, WeChat's code) → messages.
Refusals = Mapping[tuple[int, int], int]


def tally_lately() -> int:
    """Count today and yesterday again, wherever they are, and what was missed before; returns how many rows."""
    now = timezone.now()
    return sum(_rebuild_day(day, home=home, now=now) for home in days.homes() for day in _lately(home, now=now))


def _lately(home: Home, *, now: datetime) -> list[date]:
    today = days.day_of(now, zone=home.zone)
    tallies = SendingTally.objects.filter(
        job__mini_program__in=home.mini_program_ids, day__gte=today - timedelta(days=days.FURTHEST)
    )
    return days.to_count(newest=tallies.aggregate(newest=Max("day"))["newest"], today=today)


def rebuild(*, first: date, last: date) -> int:
    """Count every day from ``first`` to ``last`` again, also of jobs over long ago; returns how many were written."""
    SendingTally.objects.filter(day__gte=first, day__lte=last).delete()
    some = days.row_of(first, count=(last - first).days + 1)
    now = timezone.now()
    return sum(_rebuild_day(day, home=home, now=now) for home in days.homes() for day in some)


def disagreeing() -> int:
    """Count the tallies of yesterday and the day before that do not say what the rows say, of jobs left in peace."""
    now = timezone.now()
    wrong = 0
    for home in days.homes():
        today = days.day_of(now, zone=home.zone)
        for day in days.row_of(today - timedelta(days=2), count=2):
            begin, end = days.bounds(day, zone=home.zone)
            jobs = SendJob.objects.filter(mini_program__in=home.mini_program_ids, started_at__lt=end)
            ids = list(jobs.filter(ended_at__gte=begin, ended_at__lt=now - SETTLED).values_list("pk", flat=True))
            wrong += _disagreeing(ids, day=day, begin=begin, end=end)
    return wrong


def _disagreeing(ids: Collection[int], *, day: date, begin: datetime, end: datetime) -> int:
    sums, refusals = _messages(ids, begin=begin, end=end)
    told = {row.job_id: row for row in SendingTally.objects.filter(day=day, job__in=ids)}
    columns = [column for column in COLUMNS if column != "opened"]
    wrong = sum(
        any(getattr(told.get(job_id), column, 0) != sums.get(job_id, Counter())[column] for column in columns)
        for job_id in {*sums, *told}
    )
    known = RefusalTally.objects.filter(day=day, job__in=ids).values_list("job", "code", "messages")
    said = {(job_id, code): messages for job_id, code, messages in known}
    return wrong + sum(said.get(key) != refusals.get(key) for key in {*said, *refusals})


def _rebuild_day(day: date, *, home: Home, now: datetime) -> int:
    begin, end = days.bounds(day, zone=home.zone)
    jobs = SendJob.objects.filter(mini_program__in=home.mini_program_ids)
    active = jobs.filter(Q(ended_at__isnull=True) | Q(ended_at__gte=begin), started_at__lt=end)
    settled = SendingTally.objects.filter(day=day, counted_at__gt=F("job__ended_at") + SETTLING).values("job")
    ids = list(active.exclude(pk__in=settled).values_list("pk", flat=True))
    sums, refusals = _messages(ids, begin=begin, end=end)
    for job_id, opened in _opens(jobs, begin=begin, end=end).items():
        sums[job_id]["opened"] = opened
    _write_refusals(refusals, counted=ids, day=day)
    return _write(sums, counted=set(ids), day=day, now=now)


def _messages(
    job_ids: Iterable[int], *, begin: datetime, end: datetime
) -> tuple[dict[int, Counter[str]], Counter[tuple[int, int]]]:
    left = Delivery.objects.filter(job__in=job_ids, armed_at__gte=begin, armed_at__lt=end)
    sums: dict[int, Counter[str]] = defaultdict(Counter)
    refusals: Counter[tuple[int, int]] = Counter()
    rows = left.values_list("job", "state", "error_code").order_by().annotate(number=Count("pk"))
    for job_id, state, code, number in rows:
        for column in _COUNTED_AS.get(state, ()):
            sums[job_id or 0][column] += number
        if state == State.FAILED and code is not None:
            refusals[job_id or 0, code] += number
    return sums, refusals


def _opens(jobs: QuerySet[SendJob], *, begin: datetime, end: datetime) -> Mapping[int, int]:
    during = pages.page(Open.objects.all(), begin=begin, end=end, by="at")
    rows = Open.objects.filter(during, delivery__job__in=jobs.values("pk"))
    return dict(rows.values_list("delivery__job").order_by().annotate(number=Count("pk")))


def _write_refusals(refusals: Refusals, *, counted: Collection[int], day: date) -> None:
    """Make a day's refusals of these jobs say what was counted; leave alone what says it already."""
    known = RefusalTally.objects.filter(day=day, job__in=counted).values_list("job", "code", "messages", "pk")
    standing = {(job_id, code): (messages, pk) for job_id, code, messages, pk in known}
    RefusalTally.objects.filter(pk__in=[pk for key, (_number, pk) in standing.items() if key not in refusals]).delete()
    RefusalTally.objects.bulk_create(
        [
            RefusalTally(job_id=job_id, day=day, code=code, messages=messages)
            for (job_id, code), messages in refusals.items()
            if standing.get((job_id, code), (0, 0))[0] != messages
        ],
        update_conflicts=True,
        unique_fields=["job", "day", "code"],
        update_fields=["messages"],
        batch_size=500,
    )


def _write(sums: Sums, *, counted: Collection[int], day: date, now: datetime) -> int:
    """Write what was counted, also that nothing is left of what was. Of a job left in peace only its opens are new."""
    known = {row.job_id: row for row in SendingTally.objects.filter(day=day, job__in={*sums, *counted})}
    fresh = []
    for job_id in {**sums, **known}:
        row = known.get(job_id) or SendingTally(job_id=job_id, day=day)
        found = sums.get(job_id, Counter())
        seen = [getattr(row, column) for column in COLUMNS]
        wanted = [
            found[column] if job_id in counted or column == "opened" else value
            for column, value in zip(COLUMNS, seen, strict=True)
        ]
        if row.pk and wanted == seen and row.counted_at > now - SETTLING:
            continue
        fresh.append(SendingTally(job_id=job_id, day=day, counted_at=now, **dict(zip(COLUMNS, wanted, strict=True))))
    SendingTally.objects.bulk_create(
        fresh,
        update_conflicts=True,
        unique_fields=["job", "day"],
        update_fields=[*COLUMNS, "counted_at"],
        batch_size=500,
    )
    return len(fresh)
