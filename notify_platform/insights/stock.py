"""How much consent there is: counted now while it is little, else as it was counted last. Writes ``StockTally``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from django.db.models import Count, Max, Q, QuerySet, Sum
from django.utils import timezone

from notify_platform.insights.models import StockTally
from subscriptions.grants.conditions import unexpired
from subscriptions.models import Grant
from templates_app.models import MessageTemplate

# So many units are counted while a person waits for the page.
LITTLE: Final = 50_000
SOON: Final = timedelta(days=7)
NEXT: Final = timedelta(days=1)


COLUMNS: Final = ("available", "lapsing", "lapsing_next")


class Stock(NamedTuple):
    """Units of a mini-program that can be used, and those of them that end within 7 days."""

    available: int = 0
    lapsing: int = 0


class Stocks(NamedTuple):
    """The stock by mini-program; ``counted_at`` None: counted this moment."""

    by_program: Mapping[int, Stock]
    counted_at: datetime | None


def of_programs(ids: Collection[int]) -> Stocks:
    """Return what is in stock of these mini-programs: two queries, whatever there is."""
    units = _units().filter(template__mini_program__in=ids)
    if units.order_by().values("pk")[: LITTLE + 1].count() <= LITTLE:
        rows = units.values_list("template__mini_program").order_by().annotate(**_sums(timezone.now()))
        return Stocks({pk: Stock(available, lapsing) for pk, available, lapsing in rows}, None)
    tallies = StockTally.objects.filter(template__mini_program__in=ids)
    sums = tallies.values_list("template__mini_program").order_by()
    counted = {
        pk: (Stock(available, lapsing), at)
        for pk, available, lapsing, at in sums.annotate(Sum("available"), Sum("lapsing"), Max("counted_at"))
    }
    moments = [at for _stock, at in counted.values()]
    return Stocks({pk: one for pk, (one, _at) in counted.items()}, min(moments, default=None))


def tally() -> int:
    """Count the stock of every template; returns how many templates there are."""
    now = timezone.now()
    next_ones = Count("pk", filter=Q(expires_at__lte=now + NEXT))
    units = _units().values_list("template").order_by().annotate(**_sums(now), next=next_ones)
    counted = {template_id: sums for template_id, *sums in units}
    templates = MessageTemplate.objects.filter(kind__in=MessageTemplate.COUNTED_KINDS).values_list("pk", flat=True)
    rows = []
    for pk in templates:
        sums = dict(zip(COLUMNS, counted.get(pk, (0, 0, 0)), strict=True))
        rows.append(StockTally(template_id=pk, counted_at=now, **sums))
    StockTally.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["template"],
        update_fields=[*COLUMNS, "counted_at"],
        batch_size=500,
    )
    return len(rows)


def _units() -> QuerySet[Grant]:
    return Grant.objects.filter(unexpired(), state=Grant.State.AVAILABLE)


def _sums(now: datetime) -> dict[str, Count]:
    return {"units": Count("pk"), "ending": Count("pk", filter=Q(expires_at__lte=now + SOON))}
