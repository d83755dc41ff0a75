"""What is shown again instead of being counted again: for how long, and to whom not."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache

from notify_platform.insights import lately as module
from notify_platform.insights.lately import LITTLE, SHARE, lately


class Clock:
    """A clock that only counting moves: half a second each time."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.counted = 0

    def __call__(self) -> float:
        return self.now

    def count(self) -> int:
        self.now += 0.5
        self.counted += 1
        return self.counted


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    cache.clear()
    clock = Clock()
    monkeypatch.setattr(module.time, "time", clock)
    monkeypatch.setattr(module.time, "monotonic", clock)
    yield clock
    cache.clear()


def test_much_is_counted_again_when_counting_has_been_left_alone_for_twenty_times_as_long(clock: Clock) -> None:
    seen = []
    for seconds in (0, 9.9, 0.2):
        clock.now += seconds
        seen.append(lately("n", clock.count, rows=LITTLE + 1))
    assert (seen, SHARE) == ([1, 1, 2], 20)


def test_little_is_counted_every_time(clock: Clock) -> None:
    assert [lately("n", clock.count, rows=LITTLE) for _ in range(3)] == [1, 2, 3]


def test_who_has_just_opened_the_page_sees_it_counted_anew_and_so_do_the_others_then(clock: Clock) -> None:
    first = lately("n", clock.count, rows=LITTLE + 1)
    opened = lately("n", clock.count, rows=LITTLE + 1, anew=True)
    assert (first, opened, lately("n", clock.count, rows=LITTLE + 1)) == (1, 2, 2)


def test_while_one_counts_the_others_see_the_old_number(clock: Clock) -> None:
    seen = []

    def counted_slowly() -> int:
        seen.append(lately("n", clock.count, rows=LITTLE + 1))
        return clock.count()

    lately("n", clock.count, rows=LITTLE + 1)
    clock.now += 11
    assert (lately("n", counted_slowly, rows=LITTLE + 1), seen) == (2, [1])


def test_one_name_tells_nothing_of_another(clock: Clock) -> None:
    assert [lately(name, clock.count, rows=LITTLE + 1) for name in ("a", "b", "a")] == [1, 2, 1]
