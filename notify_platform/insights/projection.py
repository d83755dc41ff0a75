"""What becomes of a stock of consent, day by day: pure arithmetic, no rows.

Units are used as the ledger reserves them, the soonest to lapse first. Units of a day can be used until it ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class DayAhead:
    """One day: messages wanted, units used for them, units that lapse unused at its end, and units left then."""

    wanted: int
    used: int
    unused: int
    left: int


@dataclass(frozen=True, slots=True)
class Projection:
    """The days ahead."""

    days: Sequence[DayAhead]

    @property
    def short_on(self) -> int | None:
        """Return the first day, as a place in ``days``, that wants more than there is left; None: none does."""
        return next((number for number, day in enumerate(self.days) if day.wanted > day.used), None)

    @property
    def use_or_lose(self) -> int:
        """Return how many units lapse unused."""
        return sum(day.unused for day in self.days)


def project(*, lapsing: Sequence[int], lasting: int, demand: Sequence[int]) -> Projection:
    """Use a stock up, with nobody agreeing anew: ``lapsing[n]`` units end on day n, ``lasting`` ones later or never."""
    stock = [*lapsing, lasting]
    ahead: list[DayAhead] = []
    for number, wanted in enumerate(demand):
        used = _take(stock, wanted)
        unused, stock[number] = stock[number], 0
        ahead.append(DayAhead(wanted=wanted, used=used, unused=unused, left=sum(stock)))
    return Projection(ahead)


def whole(demand: Sequence[float]) -> list[int]:
    """Return a demand in whole messages: half a message a day is one every other day."""
    sums = [round(total) for total in accumulate(demand)]
    return [total - before for total, before in zip(sums, [0, *sums], strict=False)]


def _take(stock: list[int], wanted: int) -> int:
    """Take units off a stock, those of the earliest day first; return how many there were."""
    left = wanted
    for number, units in enumerate(stock):
        taken = min(units, left)
        stock[number] -= taken
        left -= taken
    return wanted - left
