"""Will the consent last? What is in stock of each template, what lapses when, what will be wanted, and the short day.

A handful of set-based queries for a mini-program, whatever the number of its templates and units.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.db.models import Case, Count, Exists, IntegerField, OuterRef, Q, QuerySet, Sum, Value, When
from django.utils import timezone

from notify_platform.insights import days
from notify_platform.insights.demand import AHEAD
from notify_platform.insights.projection import DayAhead, Projection, project, whole
from subscriptions.models import Drift, ExpectedDemand, Grant, Subscriber, Subscription
from templates_app.models import MessageTemplate, MiniProgram

LATER: Final = AHEAD
NEVER: Final = AHEAD + 1
SOON: Final = 3

# No card reaches these people, whatever they agreed to; their units wait for them to change their mind.
SHUT_PEOPLE = Q(main_switch_off_at__isnull=False) | Q(invalid_at__isnull=False)
# Whoever turned a template off holds no units of it: they were revoked with it.
IDLE_RELATIONS = Q(state__in=[Subscription.State.BANNED, Subscription.State.SUSPENDED]) | Q(muted_at__isnull=False)

# Template id → bucket → units; a bucket is a day ahead, ``LATER`` or ``NEVER``.
Buckets = Mapping[int, Counter[int]]


@dataclass(frozen=True, slots=True)
class Day:
    """One day ahead of one template; ``lapsing`` units end on it unless they are used before."""

    day: date
    lapsing: int
    ahead: DayAhead


@dataclass(frozen=True, slots=True)
class TemplateForecast:
    """The stock of one template. ``available`` units can be used now, ``suspended`` ones belong to people no card
    reaches; of the available ones ``later`` end after the days shown and ``endless`` ones never."""

    template: MessageTemplate
    available: int
    suspended: int
    later: int
    endless: int
    days: Sequence[Day]
    projection: Projection
    drift: int

    @property
    def short_on(self) -> date | None:
        """Return the first day with more messages than units."""
        number = self.projection.short_on
        return None if number is None else self.days[number].day

    @property
    def use_or_lose(self) -> int:
        """Return how many units lapse before anything is expected to need them."""
        return self.projection.use_or_lose

    @property
    def lapsing_soon(self) -> int:
        """Return how many units end today, tomorrow or the day after."""
        return sum(day.lapsing for day in self.days[:SOON])

    @property
    def expected(self) -> int:
        """Return how many messages are expected in all."""
        return sum(day.ahead.wanted for day in self.days)


def of_mini_program(mini_program: MiniProgram) -> list[TemplateForecast]:
    """Look ahead for every one-time template, by title; long-term ones need no units."""
    now = timezone.now()
    zone = mini_program.zone
    ahead = days.row_of(days.day_of(now, zone=zone), count=AHEAD)
    templates = list(
        MessageTemplate.objects.filter(mini_program=mini_program, kind__in=MessageTemplate.COUNTED_KINDS)
        .order_by("title", "pk")
        .only("pk", "title", "state", "kind", "wechat_id", "mini_program_id")
    )
    ids = [template.pk for template in templates]
    stock = _bucketed(_in_stock(ids, now=now), ahead=ahead, zone=zone)
    suspended = _suspended(mini_program, ids, now=now, ahead=ahead, zone=zone)
    demand = _demand(ids, ahead=ahead)
    drift = drift_lately(mini_program, now=now)
    return [
        _forecast(
            template,
            stock=stock[template.pk],
            suspended=suspended[template.pk],
            demand=demand[template.pk],
            ahead=ahead,
            drift=drift[template.pk],
        )
        for template in templates
    ]


def drift_lately(mini_program: MiniProgram, *, now: datetime) -> Counter[int]:
    """Return template id → units of the last 7 days that WeChat did not know of."""
    rows = Drift.objects.filter(template__mini_program=mini_program, at__gt=now - timedelta(days=7))
    return Counter(dict(rows.values_list("template").order_by().annotate(lost=Sum("units"))))


def _forecast(
    template: MessageTemplate,
    *,
    stock: Counter[int],
    suspended: Counter[int],
    demand: Sequence[float],
    ahead: Sequence[date],
    drift: int,
) -> TemplateForecast:
    # Somebody may turn messages off between two queries: there is no less than nothing.
    usable = {bucket: max(stock[bucket] - suspended[bucket], 0) for bucket in range(NEVER + 1)}
    lapsing = [usable[number] for number in range(AHEAD)]
    lasting = usable[LATER] + usable[NEVER]
    projection = project(lapsing=lapsing, lasting=lasting, demand=whole(demand))
    return TemplateForecast(
        template=template,
        available=sum(usable.values()),
        suspended=suspended.total(),
        later=usable[LATER],
        endless=usable[NEVER],
        days=[Day(*each) for each in zip(ahead, lapsing, projection.days, strict=True)],
        projection=projection,
        drift=drift,
    )


def _in_stock(template_ids: Iterable[int], *, now: datetime) -> QuerySet[Grant]:
    unexpired = Q(expires_at__isnull=True) | Q(expires_at__gt=now)
    return Grant.objects.filter(unexpired, template__in=template_ids, state=Grant.State.AVAILABLE)


def _bucketed(units: QuerySet[Grant], *, ahead: Sequence[date], zone: ZoneInfo) -> Buckets:
    """Count units by template and by the local day they end on, in one query."""
    ends = [days.begin_of(day + timedelta(days=1), zone=zone) for day in ahead]
    bucket = Case(
        When(expires_at__isnull=True, then=Value(NEVER)),
        *(When(expires_at__lt=end, then=Value(number)) for number, end in enumerate(ends)),
        default=Value(LATER),
        output_field=IntegerField(),
    )
    buckets: dict[int, Counter[int]] = defaultdict(Counter)
    rows = units.annotate(bucket=bucket).values_list("template_id", "bucket").order_by()
    for template_id, number, units_of_it in rows.annotate(units=Count("*")):
        buckets[template_id][number] = units_of_it
    return buckets


def _suspended(
    mini_program: MiniProgram, template_ids: Iterable[int], *, now: datetime, ahead: Sequence[date], zone: ZoneInfo
) -> Buckets:
    """Count the units of people whom no card reaches: those shut altogether, and those shut for one template.

    Two queries, each from its small side: there are few of them beside millions of units.
    """
    shut = Subscriber.objects.filter(SHUT_PEOPLE, mini_program=mini_program)
    relations = Subscription.objects.filter(
        IDLE_RELATIONS, template=OuterRef("template"), subscriber=OuterRef("subscriber")
    )
    units = _in_stock(template_ids, now=now)
    of_people = _bucketed(units.filter(subscriber__in=shut.values("pk")), ahead=ahead, zone=zone)
    of_relations = _bucketed(
        units.filter(Exists(relations)).exclude(subscriber__in=shut.values("pk")), ahead=ahead, zone=zone
    )
    both: dict[int, Counter[int]] = defaultdict(Counter)
    for template_id in {*of_people, *of_relations}:
        both[template_id] = of_people[template_id] + of_relations[template_id]
    return both


def _demand(template_ids: Iterable[int], *, ahead: Sequence[date]) -> Mapping[int, list[float]]:
    rows = ExpectedDemand.objects.filter(template__in=template_ids, day__in=ahead)
    expected = {
        (template_id, day): messages for template_id, day, messages in rows.values_list("template", "day", "messages")
    }
    return {template_id: [expected.get((template_id, day), 0.0) for day in ahead] for template_id in template_ids}
