"""How many messages we shall want to send: the only writer of ``ExpectedDemand``.

A day that is over is counted once, from that day's rows alone: what we wanted to send, whether there was consent for it
or not. From 28 such days comes what a day of its weekday usually wants; jobs that are planned already may want more.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Final

from django.db.models import Count, Q
from django.utils import timezone

from notify_platform.delivery.models import Delivery, Reason, Skip
from notify_platform.insights import days, pages, planned
from notify_platform.jobs.models import SendJob
from subscriptions.models import Answer, ExpectedDemand, Subscriber
from templates_app.models import MessageTemplate, MiniProgram

State = Delivery.State

AHEAD: Final = 14
HISTORY: Final = 28
# Yesterday's messages may still be skipped today: so many days are counted again.
SETTLING: Final = 2
# A few days of one weekday are little to go by: so many average days are thrown in.
PULL: Final = 2
KEPT: Final = timedelta(days=90)

# Whoever is left out for one of these needed no consent; lack of consent is the demand we look for.
UNWANTED = Q(state=State.SKIPPED) & ~Q(reason=Reason.NO_CONSENT) | Q(state=State.CANCELLED)

Wanted = Mapping[date, int]


def expect_all() -> None:
    """Look ahead for every mini-program."""
    for mini_program in MiniProgram.objects.order_by("pk"):
        expect(mini_program)


def expect(mini_program: MiniProgram) -> None:
    """Count the days that are over, and write down what the next 14 will want."""
    now = timezone.now()
    today = days.day_of(now, zone=mini_program.zone)
    templates = MessageTemplate.objects.filter(mini_program=mini_program, kind__in=MessageTemplate.SENDABLE_KINDS)
    _count_what_is_over(mini_program, templates=templates, today=today)
    expected = _expected(mini_program, templates=templates, today=today, now=now)
    active = max(_active_people(mini_program, now=now), 1)
    rows = [
        ExpectedDemand(template_id=template_id, day=day, messages=messages, per_person=messages / active)
        for (template_id, day), messages in expected.items()
    ]
    ExpectedDemand.objects.filter(template__mini_program=mini_program, day__lt=today - KEPT).delete()
    _write(rows, fields=["messages", "per_person"])


def _expected(
    mini_program: MiniProgram, *, templates: Iterable[MessageTemplate], today: date, now: datetime
) -> Mapping[tuple[int, date], float]:
    """Return (template id, day) → messages: what is usual, or what is planned if that is more.

    Of today what has begun is no longer to come, and what waits still is.
    """
    history = _history(mini_program, today=today)
    known = planned.messages(mini_program, first=today, count=AHEAD, now=now)
    expected = {
        (template.pk, day): max(typical(history[template.pk], day=day), known[template.pk, day])
        for template in templates
        for day in days.row_of(today, count=AHEAD)
    }
    so_far, waiting = wanted(mini_program, day=today), _waiting(mini_program)
    for template in templates:
        usual = typical(history[template.pk], day=today) - so_far[template.pk]
        expected[template.pk, today] = max(usual, known[template.pk, today]) + waiting[template.pk]
    return expected


def typical(history: Wanted, *, day: date) -> float:
    """Return what a day like this usually wants: the mean of its weekday, pulled towards the mean of all days.

    The fewer days there are of the weekday, the stronger the pull: as if two average days had been among them.
    """
    if not history:
        return 0.0
    mean = sum(history.values()) / len(history)
    alike = [number for each, number in history.items() if each.weekday() == day.weekday()]
    return (sum(alike) + PULL * mean) / (len(alike) + PULL)


def wanted(mini_program: MiniProgram, *, day: date) -> Counter[int]:
    """Return template id → how many messages we wanted to send on a day: of its rows, and of no other day's."""
    begin, end = days.bounds(day, zone=mini_program.zone)
    return _of_jobs(mini_program, begin=begin, end=end) + _of_triggers(mini_program, begin=begin, end=end)


def _of_jobs(mini_program: MiniProgram, *, begin: datetime, end: datetime) -> Counter[int]:
    """Count jobs by the day they started: everybody of the audience but those left out for a reason of their own."""
    started = SendJob.objects.filter(mini_program=mini_program, started_at__gte=begin, started_at__lt=end, test_of=None)
    jobs = {pk: (template_id, size) for pk, template_id, size in started.values_list("pk", "template", "audience_size")}
    left_out: Counter[int] = Counter()
    skips = Skip.objects.filter(job__in=jobs).exclude(reason=Reason.NO_CONSENT)
    for rows in (skips, Delivery.objects.filter(UNWANTED, job__in=jobs)):
        left_out.update(dict(rows.values_list("job").order_by().annotate(number=Count("pk"))))
    counted: Counter[int] = Counter()
    for pk, (template_id, size) in jobs.items():
        counted[template_id] += max(size - left_out[pk], 0)
    return counted


def _of_triggers(mini_program: MiniProgram, *, begin: datetime, end: datetime) -> Counter[int]:
    """Count messages of triggers by the day they were written."""
    during = pages.page(Delivery.objects.all(), begin=begin, end=end, by="created_at")
    rows = Delivery.objects.filter(during, mini_program=mini_program, trigger__isnull=False).exclude(UNWANTED)
    return Counter(dict(rows.values_list("template").order_by().annotate(number=Count("pk"))))


def _count_what_is_over(mini_program: MiniProgram, *, templates: Iterable[MessageTemplate], today: date) -> None:
    """Count the days nobody has counted yet, and the last ones again."""
    zone = mini_program.zone
    over = days.row_of(today - timedelta(days=HISTORY), count=HISTORY)
    settled = set(
        ExpectedDemand.objects.filter(
            template__mini_program=mini_program, day__in=over[:-SETTLING], wanted__isnull=False
        ).values_list("day", flat=True)
    )
    rows = []
    for day in over:
        if day in settled:
            continue
        counted = wanted(mini_program, day=day)
        # A template that did not exist yet wanted nothing, and that says nothing.
        rows += [
            ExpectedDemand(template=template, day=day, messages=0, per_person=0, wanted=counted[template.pk])
            for template in templates
            if counted[template.pk] or days.day_of(template.created_at, zone=zone) <= day
        ]
    _write(rows, fields=["wanted"])


def _write(rows: list[ExpectedDemand], *, fields: list[str]) -> None:
    ExpectedDemand.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["template", "day"], update_fields=fields, batch_size=500
    )


def _history(mini_program: MiniProgram, *, today: date) -> Mapping[int, dict[date, int]]:
    counted = ExpectedDemand.objects.filter(
        template__mini_program=mini_program,
        day__gte=today - timedelta(days=HISTORY),
        day__lt=today,
        wanted__isnull=False,
    )
    history: dict[int, dict[date, int]] = defaultdict(dict)
    for template_id, day, number in counted.values_list("template", "day", "wanted"):
        history[template_id][day] = number or 0
    return history


def _waiting(mini_program: MiniProgram) -> Counter[int]:
    """Count the messages under way that still have to find their consent, by template."""
    moving = SendJob.objects.filter(
        mini_program=mini_program, state__in=[SendJob.State.RUNNING, SendJob.State.PAUSED]
    ).values("pk")
    rows = Delivery.objects.filter(state=State.WAITING)
    counted: Counter[int] = Counter()
    for some in (rows.filter(job__in=moving), rows.filter(mini_program=mini_program, event__isnull=False)):
        counted.update(dict(some.values_list("template").order_by().annotate(number=Count("pk"))))
    return counted


def _active_people(mini_program: MiniProgram, *, now: datetime) -> int:
    """Count who opened the mini-program, or answered a popup, within 28 days."""
    since = now - timedelta(days=HISTORY)
    visited = Subscriber.objects.filter(mini_program=mini_program, last_visit_at__gte=since)
    answered = Answer.objects.filter(answered_at__gte=since, scene__isnull=False, scene__mini_program=mini_program)
    return visited.values_list("pk").union(answered.values_list("subscriber_id")).count()
