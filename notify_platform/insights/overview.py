"""The mini-programs at a glance: what was answered, sent and opened, day by day, read from the tallies alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import date, timedelta
from typing import Final

from django.db.models import Sum
from django.utils import timezone

from notify_platform.insights import days, sending, stock
from notify_platform.insights.models import SendingTally
from notify_platform.insights.stock import Stock
from subscriptions.models import AskingTally

SHOWN: Final = 7
# So many before them, to say whether it was more or less.
COMPARED: Final = 2 * SHOWN
# So many messages without a single word of WeChat about them are no accident.
UNTOLD: Final = 20


@dataclass(frozen=True, slots=True)
class Sums:
    """What happened in some days: answers in popups, and messages. They can be added up."""

    agreed: int = 0
    refused: int = 0
    left: int = 0
    accepted: int = 0
    delivered: int = 0
    undelivered: int = 0
    failed: int = 0
    opened: int = 0

    @property
    def answered(self) -> int:
        """Return how many said yes or no."""
        return self.agreed + self.refused

    @property
    def untold(self) -> int:
        """Return how many messages WeChat accepted and has not told the end of."""
        return self.accepted - self.delivered - self.undelivered

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


@dataclass(slots=True)
class Overview:
    """One mini-program: its stock, and its last days with today as the last of them."""

    stock: Stock
    by_day: dict[date, Sums]

    @property
    def shown(self) -> Sequence[tuple[date, Sums]]:
        """Return the days a person looks at."""
        return list(self.by_day.items())[-SHOWN:]

    @property
    def today(self) -> Sums:
        """Return the numbers of today."""
        return list(self.by_day.values())[-1]

    @property
    def week(self) -> Sums:
        """Return the sums of the last 7 days."""
        return sum(list(self.by_day.values())[-SHOWN:], Sums())

    @property
    def week_before(self) -> Sums:
        """Return the sums of the 7 days before those."""
        return sum(list(self.by_day.values())[:-SHOWN], Sums())


def of_programs(ids: Collection[int]) -> Mapping[int, Overview]:
    """Return mini-program id → its overview: a handful of queries for all."""
    now = timezone.now()
    found: dict[int, Overview] = {}
    stocks = stock.of_programs(ids)
    for pk, zone in days.zones().items():
        if pk in ids:
            today = days.day_of(now, zone=zone)
            shown = days.row_of(today - timedelta(days=COMPARED - 1), count=COMPARED)
            found[pk] = Overview(stocks.by_program.get(pk, Stock()), {day: Sums() for day in shown})
    # The zones of the world are at most a day apart.
    since = timezone.localdate() - timedelta(days=COMPARED + 1)
    for (pk, day), sums in [*_answers(ids, since=since).items(), *_messages(ids, since=since).items()]:
        if pk in found and day in found[pk].by_day:
            found[pk].by_day[day] += sums
    return found


def untold(seen: Mapping[int, Overview]) -> Mapping[int, int]:
    """Return mini-program id → messages WeChat has accepted since yesterday and of whose end it has told nothing.

    Only where there are so many that it is no accident: WeChat's pushes do not arrive.
    """
    found: dict[int, int] = {}
    for pk, one in seen.items():
        lately = [sums for _day, sums in one.shown[-2:]]
        accepted = sum(sums.accepted for sums in lately)
        if accepted >= UNTOLD and not any(sums.delivered or sums.undelivered for sums in lately):
            found[pk] = accepted
    return found


def _answers(ids: Collection[int], *, since: date) -> Mapping[tuple[int, date], Sums]:
    rows = AskingTally.objects.filter(scene__mini_program__in=ids, day__gte=since, template__isnull=False)
    said: dict[tuple[int, date], Sums] = defaultdict(Sums)
    for pk, day, word, times in (
        rows.values_list("scene__mini_program", "day", "word").order_by().annotate(Sum("times"))
    ):
        if word.startswith("accept"):
            said[pk, day] += Sums(agreed=times)
        elif word == "reject":
            said[pk, day] += Sums(refused=times)
    return said


def _messages(ids: Collection[int], *, since: date) -> Mapping[tuple[int, date], Sums]:
    rows = SendingTally.objects.filter(day__gte=since, job__mini_program__in=ids)
    sums = rows.values_list("job__mini_program", "day").order_by().annotate(*map(Sum, sending.COLUMNS))
    return {(pk, day): Sums(**dict(zip(sending.COLUMNS, numbers, strict=True))) for pk, day, *numbers in sums}
