"""What an engine notices over many messages."""

from __future__ import annotations

import pytest

from notify_platform.delivery.claims import Message
from notify_platform.delivery.settlement import Landed
from notify_platform.delivery.watch import BUSY_LIMIT, STOP_AFTER, STRANGE_LIMIT, STRANGE_WINDOW, WINDOW, Watch
from notify_platform.wechat.gateway import SendResult
from notify_platform.wechat.outcomes import outcome_of_code


def landed(code, *, job=1, field="", times=1):
    message = Message(
        delivery_id=1, job_id=job, template_id=1, subscriber_id=1, grant_id=1, attempts=0, last_code=None,
        openid="o", body=b"",
    )  # fmt: skip
    return [Landed(message, SendResult(outcome=outcome_of_code(code), code=code, field=field))] * times


@pytest.fixture
def watch():
    return Watch()


def test_the_same_refusal_in_a_row_stops_its_job(watch):
    assert watch.look_at(landed(47003, field="thing1", times=STOP_AFTER - 1)) == {}
    assert list(watch.look_at(landed(47003, field="thing1"))) == [1]


@pytest.mark.parametrize("between", [landed(0), landed(47003, field="thing2"), landed(43101)])
def test_anything_else_in_between_starts_the_count_anew(watch, between):
    watch.look_at(landed(47003, field="thing1", times=STOP_AFTER - 1))
    watch.look_at(between)

    assert watch.look_at(landed(47003, field="thing1")) == {}


def test_jobs_are_counted_apart(watch):
    watch.look_at(landed(47003, field="thing1", times=STOP_AFTER - 1))

    assert watch.look_at(landed(47003, field="thing1", job=2)) == {}


def test_a_job_that_was_resumed_gets_as_many_tries_again(watch):
    watch.look_at(landed(47003, field="thing1", times=STOP_AFTER))

    assert watch.look_at(landed(47003, field="thing1", times=STOP_AFTER - 1)) == {}


def test_a_flood_of_busy_answers_is_noticed_whatever_the_pace(watch):
    for _ in range(BUSY_LIMIT - 1):
        watch.look_at(landed(-1))
        assert not watch.is_flooded()
    watch.look_at(landed(-1))

    assert watch.is_flooded()
    assert not watch.is_flooded()


def test_a_busy_answer_now_and_then_is_no_flood(watch):
    for _ in range(BUSY_LIMIT * 2):
        watch.look_at(landed(-1) + landed(0, times=WINDOW // 5))

    assert not watch.is_flooded()


def test_codes_nobody_knows_are_told_once_they_are_more_than_five_percent(watch):
    for _ in range(STRANGE_LIMIT):
        watch.look_at([*landed(0, times=15), *landed(99999)])
    assert watch.strange() is None
    watch.look_at(landed(99998))

    assert watch.strange().code == 99998
    assert watch.strange() is None


def test_a_code_nobody_knows_now_and_then_concerns_nobody(watch):
    for _ in range(3 * STRANGE_LIMIT):
        watch.look_at([*landed(0, times=STRANGE_WINDOW // STRANGE_LIMIT), *landed(99999)])

        assert watch.strange() is None
