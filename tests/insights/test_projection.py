"""The arithmetic of a stock, against a simulation that moves one unit at a time."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from notify_platform.insights.projection import DayAhead, project, whole

DAYS = 14
units = st.integers(min_value=0, max_value=6)
days_of_units = st.lists(units, min_size=DAYS, max_size=DAYS)
FOR_EVER = 999


def unit_by_unit(lapsing: list[int], lasting: int, demand: list[int]) -> list[DayAhead]:
    """Hand every message the unit that ends first, and throw away at midnight what has ended."""
    stock = [day for day, number in enumerate(lapsing) for _ in range(number)] + [FOR_EVER] * lasting
    ahead = []
    for today, wanted in enumerate(demand):
        used = 0
        for _message in range(wanted):
            if stock:
                stock.remove(min(stock))
                used += 1
        unused = stock.count(today)
        stock = [end for end in stock if end > today]
        ahead.append(DayAhead(wanted=wanted, used=used, unused=unused, left=len(stock)))
    return ahead


@given(lapsing=days_of_units, lasting=units, demand=days_of_units)
def test_a_projection_is_what_happens_unit_by_unit(lapsing: list[int], lasting: int, demand: list[int]) -> None:
    found = project(lapsing=lapsing, lasting=lasting, demand=demand)
    slow = unit_by_unit(lapsing, lasting, demand)
    short = [number for number, day in enumerate(slow) if day.used < day.wanted]
    assert list(found.days) == slow
    assert found.short_on == (short[0] if short else None)
    assert found.use_or_lose == sum(day.unused for day in slow)


@given(lapsing=days_of_units, lasting=units, demand=days_of_units)
def test_every_unit_is_used_lost_or_left(lapsing: list[int], lasting: int, demand: list[int]) -> None:
    days = project(lapsing=lapsing, lasting=lasting, demand=demand).days
    assert sum(lapsing) + lasting == sum(day.used + day.unused for day in days) + days[-1].left


def test_a_stock_nobody_wants_is_lost_on_the_days_it_ends() -> None:
    found = project(lapsing=[0, 3, 0, 2], lasting=5, demand=[0, 0, 0, 0])
    assert (found.short_on, found.use_or_lose, found.days[-1].left) == (None, 5, 5)


@given(st.lists(st.floats(min_value=0, max_value=1e6), max_size=DAYS))
def test_whole_messages_never_stray_a_message_from_the_expected_sum(demand: list[float]) -> None:
    found = whole(demand)
    assert len(found) == len(demand)
    assert all(isinstance(each, int) and each >= 0 for each in found)
    assert all(abs(is_ - should) <= 0.5 for is_, should in zip(accumulate(found), accumulate(demand), strict=True))
