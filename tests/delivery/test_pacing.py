"""One pace for everybody."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from django.db import connection

from notify_platform.delivery import pacing
from tests import factories


@pytest.fixture
def pace(db):
    return pacing.pace_of(factories.a_mini_program())


def test_the_first_slot_is_now(pace):
    assert pacing.book(pace, count=1, per_second=10) == 0.0


def test_slots_follow_one_another_at_the_pace(pace):
    pacing.book(pace, count=50, per_second=10)

    assert pacing.book(pace, count=1, per_second=10) == pytest.approx(5.0, abs=0.5)
    assert pacing.seconds_until_free(pace) == pytest.approx(5.1, abs=0.5)


def test_time_nobody_booked_is_lost(pace):
    pacing.book(pace, count=1, per_second=1000)
    before = pacing.seconds_until_free(pace)

    assert before <= 0.001
    assert pacing.book(pace, count=1, per_second=1000) <= 0.001


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


@pytest.mark.django_db(transaction=True)
def test_workers_that_book_at_once_never_share_a_slot():
    pace = pacing.pace_of(factories.a_mini_program())
    began = time.monotonic()

    def book_ten(_number):
        try:
            return [time.monotonic() - began + pacing.book(pace, count=5, per_second=100) for _ in range(10)]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        starts = sorted(start for starts in pool.map(book_ten, range(4)) for start in starts)

    # 40 batches of 5 at 100/s: 50 ms apart, but for what a thread may lose between the database's clock and its own.
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert len(gaps) == 39
    assert sum(gaps) >= 39 * 0.05 - 0.05
