"""One pace for everybody."""

from __future__ import annotations

import time
from bisect import bisect_left
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from itertools import pairwise

import pytest
from django.db import connection
from django.db.models import F
from hypothesis import given, settings
from hypothesis import strategies as st

from notify_platform.core.clock import BEIJING
from notify_platform.delivery import pacing
from notify_platform.delivery.models import Pace
from notify_platform.delivery.slots import Slot, Spacing
from tests import factories

MIDNIGHT = datetime(2026, 11, 25, tzinfo=BEIJING)


@pytest.fixture
def pace(db):
    return pacing.pace_of(factories.a_mini_program())


def test_the_first_slot_is_now(pace):
    assert pacing.book(pace, count=1, per_second=10).starts_in == 0.0


def test_slots_follow_one_another_at_the_pace(pace):
    pacing.book(pace, count=50, per_second=10)

    assert pacing.book(pace, count=1, per_second=10).starts_in == pytest.approx(5.0, abs=0.5)
    assert pacing.seconds_until_free(pace) == pytest.approx(5.1, abs=0.5)


def test_time_nobody_booked_is_lost(pace):
    pacing.book(pace, count=1, per_second=1000)
    before = pacing.seconds_until_free(pace)

    assert before <= 0.001
    assert pacing.book(pace, count=1, per_second=1000).starts_in <= 0.001


def test_holding_puts_the_next_slot_off_and_never_brings_it_nearer(pace):
    pacing.hold(pace, seconds=30)
    pacing.hold(pace, seconds=5)

    assert pacing.seconds_until_free(pace) == pytest.approx(30, abs=1)


def test_every_mini_program_and_every_job_has_a_pace_of_its_own(pace):
    other = factories.a_mini_program()
    job = factories.a_job(factories.a_template(other))
    pacing.hold(pace, seconds=30)

    assert pacing.seconds_until_free(pacing.pace_of(other)) == 0
    assert pacing.seconds_until_free(pacing.pace_of(job)) == 0


# --- the daily budget ----------------------------------------------------------------------------------------------


def book(pace, count, *, budget=10):
    return pacing.book(pace, count=count, per_second=1000, budget=budget)


def the_next_day():
    Pace.objects.update(day=F("day") - 1)


def test_a_day_has_as_many_slots_as_its_budget_and_the_next_one_as_many_again(pace):
    assert [book(pace, 4).slots for _ in range(4)] == [4, 4, 2, 0]
    assert pacing.look(pace).booked == 10

    the_next_day()

    assert pacing.look(pace).booked == 0
    assert [book(pace, 4).slots for _ in range(4)] == [4, 4, 2, 0]


def test_another_budget_holds_from_the_next_booking_on(pace):
    book(pace, 10)

    assert book(pace, 4, budget=12).slots == 2
    assert book(pace, 4, budget=5).slots == 0
    assert pacing.look(pace).booked == 12


def test_slots_given_back_are_there_again_on_their_own_day_only(pace):
    yesterday = book(pace, 10).day
    the_next_day()
    today = book(pace, 10).day

    pacing.give_back(pace, count=3, day=yesterday - 1)
    assert book(pace, 1).slots == 0

    pacing.give_back(pace, count=3, day=today)
    assert book(pace, 10).slots == 3


def test_a_worker_that_saw_the_clock_before_midnight_books_on_the_new_day(pace, monkeypatch):
    monkeypatch.setattr(pacing, "database_now", lambda: MIDNIGHT)
    new = book(pace, 9).day
    monkeypatch.setattr(pacing, "database_now", lambda: MIDNIGHT - timedelta(microseconds=1))

    assert book(pace, 9)[1:] == (1, new)
    assert new == date(2026, 11, 25).toordinal()


def test_a_mini_program_knows_what_is_left_of_its_day(db):
    mini_program = factories.a_mini_program(daily_budget=10)
    assert pacing.left_today(mini_program) == 10
    book(pacing.pace_of(mini_program), 9)
    assert pacing.left_today(mini_program) == 1
    mini_program.daily_budget = 5
    assert pacing.left_today(mini_program) == 0


@pytest.mark.django_db(transaction=True)
def test_workers_that_race_for_the_last_slots_of_a_day_get_no_more_than_there_are():
    pace = pacing.pace_of(factories.a_mini_program())

    def book_ten(_number):
        try:
            return sum(book(pace, 7, budget=100).slots for _ in range(10))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(book_ten, range(4))) == 100
    assert pacing.look(pace).booked == 100


@pytest.mark.django_db(transaction=True)
def test_workers_that_book_at_once_never_share_a_slot():
    pace = pacing.pace_of(factories.a_mini_program())
    began = time.monotonic()

    def book_ten(_number):
        try:
            return [time.monotonic() - began + pacing.book(pace, count=5, per_second=100).starts_in for _ in range(10)]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        starts = sorted(start for starts in pool.map(book_ten, range(4)) for start in starts)

    # 40 batches of 5 at 100/s: 50 ms apart, but for what a thread may lose between the database's clock and its own.
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert len(gaps) == 39
    assert sum(gaps) >= 39 * 0.05 - 0.05


def in_waves(*, slots, size, late):
    """Return when messages leave whose waves are handed over in time, all but one: that one ``late`` seconds later."""
    spacing, left = Spacing(), []
    waves = [slots[first : first + size] for first in range(0, len(slots), size)]
    for number, wave in enumerate(waves):
        now = wave[0].at - 0.1 if number != len(waves) // 2 else wave[0].at + late
        left += [max(now, at) for at in spacing.moments(wave, now=now)]
    return left


@settings(deadline=None)
@given(pace=st.integers(50, 500), size=st.integers(1, 100), late=st.floats(0, 0.5))
def test_what_is_late_catches_up_without_a_second_too_full(pace, size, late):
    slots = [Slot(at=n / pace, day=0, per_second=pace, token=None, message=None) for n in range(pace * 12)]

    left = in_waves(slots=slots, size=min(size, pace // 10), late=late)

    assert all(at >= slot.at for at, slot in zip(left, slots, strict=True))
    assert max(bisect_left(left, at + 1) - place for place, at in enumerate(left)) <= 1.1 * pace + 1
    assert left[-1] - slots[-1].at < 0.26


def test_messages_in_time_leave_at_their_slots():
    slots = [Slot(at=n / 200, day=0, per_second=200, token=None, message=None) for n in range(400)]

    assert Spacing().moments(slots, now=-0.1) == [slot.at for slot in slots]
