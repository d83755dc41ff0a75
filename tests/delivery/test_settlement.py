"""What an answer of WeChat does to the message, its consent, its job and the pace."""

from __future__ import annotations

import dataclasses
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notify_platform.core.errors import Refused
from notify_platform.delivery import claims, fanout, pacing, settlement
from notify_platform.delivery.models import Delivery
from notify_platform.delivery.settlement import Landed
from notify_platform.jobs.models import SendJob
from notify_platform.wechat.gateway import SendResult
from notify_platform.wechat.outcomes import NOT_SENT, UNKNOWN, outcome_of_code
from subscriptions.models import Grant, Subscriber
from tests import factories

pytestmark = pytest.mark.django_db
State = Delivery.State


def answer(code, **words):
    return SendResult(outcome=outcome_of_code(code), code=code, **words)


SILENCE = SendResult(outcome=UNKNOWN, code=None, detail="read timeout")
NO_CONNECTION = SendResult(outcome=NOT_SENT, code=None, detail="connection refused")


@pytest.fixture
def settle(mini_program):
    def settle(claim, result):
        landed = [Landed(message=message, result=result) for message in claim.messages]
        return len(settlement.settle(mini_program, token=claim.token, landed=landed))

    return settle


def stock():
    return sorted(Grant.objects.values_list("state", flat=True))


def test_accepted_spends_the_consent_and_keeps_the_message_id(armed, settle, states):
    assert settle(armed, answer(0, msgid="3248682510344192008")) == 3

    assert states() == {State.ACCEPTED: 3}
    assert stock() == ["spent"] * 3
    row = Delivery.objects.first()
    assert (row.msgid, row.error_code, row.attempts) == ("3248682510344192008", None, 1)
    assert row.settled_at is not None


@pytest.mark.parametrize("code", [40003, 47003, 45168, 41030, 40037, 43107, 99999])
def test_a_definite_refusal_fails_and_gives_the_consent_back(armed, settle, states, code):
    settle(armed, answer(code, rid="5f000000-00000000-00000000", detail="no"))

    assert states() == {State.FAILED: 3}
    assert stock() == ["available"] * 3
    row = Delivery.objects.first()
    assert (row.error_code, row.rid, row.grant) == (code, "5f000000-00000000-00000000", None)


def test_not_subscribed_voids_what_was_held_but_not_newer_consent(armed, settle, people, template):
    factories.grants(template, to=people)

    settle(armed, answer(43101))

    assert stock() == ["available"] * 3 + ["revoked"] * 3


@pytest.mark.parametrize("result", [answer(-1), answer(43108), NO_CONNECTION])
def test_what_surely_did_not_count_waits_for_another_try(armed, settle, states, result):
    settle(armed, result)

    assert states(reason="retry") == {State.WAITING: 3}
    assert Delivery.objects.filter(due_at__gt=timezone.now()).count() == 3
    assert stock() == ["available"] * 3


def test_tries_run_out(armed, settle, states):
    settle(again(armed, attempts=3, last_code=-1), answer(-1))

    assert states() == {State.FAILED: 3}
    assert stock() == ["available"] * 3


def test_a_refused_token_is_one_more_try_at_once(armed, settle, states):
    settle(armed, answer(40001))

    assert states() == {State.WAITING: 3}
    assert SendJob.objects.get().state == SendJob.State.RUNNING


def again(claim, **changes):
    """The same messages, as a later claim would find them."""
    return claims.Claim(claim.token, [dataclasses.replace(message, **changes) for message in claim.messages], 3)


def test_a_token_refused_after_a_busy_answer_is_still_one_more_try(armed, settle, states):
    settle(again(armed, attempts=1, last_code=-1), answer(40001))

    assert states() == {State.WAITING: 3}
    assert SendJob.objects.get().state == SendJob.State.RUNNING


def test_a_token_refused_twice_in_a_row_pauses_the_job(armed, settle, states):
    settle(again(armed, attempts=1, last_code=42001), answer(40001))

    assert states() == {State.FAILED: 3}
    assert SendJob.objects.get().pause_reason == "account"


def test_a_minute_limit_uses_up_no_try_and_holds_the_pace(armed, settle, states, mini_program):
    settle(armed, answer(45011))

    assert states(attempts=0) == {State.WAITING: 3}
    assert 55 < pacing.seconds_until_free(pacing.pace_of(mini_program)) <= 61


def test_silence_is_unknown_and_keeps_the_consent_reserved(armed, settle, states):
    settle(armed, SILENCE)

    assert states() == {State.UNKNOWN: 3}
    assert stock() == ["reserved"] * 3
    assert Delivery.objects.filter(settled_at__isnull=True).count() == 3


def test_a_worker_may_still_settle_what_the_reaper_called_unknown(armed, settle, states):
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    claims.reap()

    assert settle(armed, answer(0)) == 3
    assert states() == {State.ACCEPTED: 3}
    assert stock() == ["spent"] * 3


def test_without_the_token_of_the_claim_nothing_is_settled(armed, settle, states):
    stranger = claims.Claim(uuid.uuid4(), armed.messages, 3)

    assert settle(stranger, answer(0)) == 0
    assert states() == {State.SENDING: 3}
    assert stock() == ["reserved"] * 3


def test_settling_twice_changes_nothing(armed, settle, states):
    settle(armed, answer(0))

    assert settle(armed, answer(43101)) == 0
    assert states() == {State.ACCEPTED: 3}
    assert stock() == ["spent"] * 3


def test_a_person_wechat_does_not_know_is_never_written_to_again(armed, settle, people):
    settle(armed, answer(40003))

    assert Subscriber.objects.filter(invalid_at__isnull=False).count() == 3


@pytest.mark.parametrize(
    ("code", "reason", "template_state"),
    [
        (41030, "content", "live"),
        (40037, "template", "missing"),
        (43116, "template", "banned"),
        (43107, "account", "live"),
        (45009, "daily_limit", "live"),
        (40125, "account", "live"),
    ],
)
def test_what_concerns_more_than_one_message_pauses_the_job(armed, settle, template, code, reason, template_state):
    settle(armed, answer(code))

    job = SendJob.objects.get()
    template.refresh_from_db()
    assert (job.state, job.pause_reason, template.state) == (SendJob.State.PAUSED, reason, template_state)
    assert str(code) in job.pause_detail


def test_try_again_comes_too_late_for_an_unknown_row_but_says_it_did_not_count(armed, settle, states):
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    claims.reap()

    assert settle(armed, answer(-1)) == 3
    assert states() == {State.FAILED: 3}
    assert stock() == ["available"] * 3


def test_a_late_refusal_returns_the_consent_policy_had_spent(armed, settle, states, mini_program):
    settle(armed, SILENCE)
    Delivery.objects.update(armed_at=timezone.now() - timedelta(minutes=11))
    settlement.close_unknown(mini_program)

    settle(armed, answer(40003))

    assert states() == {State.FAILED: 3}
    assert stock() == ["available"] * 3


def test_not_sent_after_the_policy_closed_it_returns_the_consent(armed, settle, mini_program):
    settle(armed, SILENCE)
    Delivery.objects.update(armed_at=timezone.now() - timedelta(minutes=11))
    settlement.close_unknown(mini_program)

    settlement.resolve_unknown(Delivery.objects.first(), sent=False, by=None, reason="So says the log.")

    assert stock() == ["available", "spent", "spent"]


def test_an_outage_uses_up_no_try(armed, settle, states):
    settle(again(armed, attempts=3, last_code=None), NO_CONNECTION)

    assert states(attempts=3) == {State.WAITING: 3}


def test_a_stale_token_of_ours_is_never_blamed_on_the_message(armed, mini_program, states):
    twice = again(armed, attempts=1, last_code=40001)
    landed = [Landed(message=message, result=answer(40001), fresh_token=False) for message in twice.messages]

    settlement.settle(mini_program, token=armed.token, landed=landed)

    assert states() == {State.WAITING: 3}
    assert SendJob.objects.get().state == SendJob.State.RUNNING


def test_an_unknown_result_nobody_explains_counts_as_sent(armed, settle, states, mini_program):
    settle(armed, SILENCE)
    assert settlement.close_unknown(mini_program) == 0
    Delivery.objects.update(armed_at=timezone.now() - timedelta(minutes=11))

    assert settlement.close_unknown(mini_program) == 3

    assert states() == {State.UNKNOWN: 3}
    assert stock() == ["spent"] * 3
    assert settlement.close_unknown(mini_program) == 0


@pytest.mark.parametrize(
    ("sent", "state", "grant"), [(True, State.ACCEPTED, "spent"), (False, State.FAILED, "available")]
)
def test_an_operator_may_say_what_became_of_an_unknown_message(armed, settle, sent, state, grant):
    settle(armed, SILENCE)
    row = Delivery.objects.first()

    settlement.resolve_unknown(row, sent=sent, by=None, reason="So says the log.")

    held = Grant.objects.get(subscriber=row.subscriber)
    row.refresh_from_db()
    assert (row.state, held.state) == (state, grant)
    with pytest.raises(Refused):
        settlement.resolve_unknown(row, sent=sent, by=None, reason="So says the log.")


def test_from_claim_to_answer_a_message_costs_less_than_a_tenth_of_a_statement(template, mini_program, take):
    factories.grants(template, to=factories.subscribers(mini_program, count=500))
    job = factories.a_running_job(template)
    fanout.step(job)

    with CaptureQueriesContext(connection) as asked:
        claim = take(job, limit=500)
        for first in range(0, 500, 100):
            wave = claim.messages[first : first + 100]
            claims.arm(claim.token, delivery_ids=[message.delivery_id for message in wave])
            landed = [Landed(message=message, result=answer(0)) for message in wave]
            assert len(settlement.settle(mini_program, token=claim.token, landed=landed)) == 100

    # The savepoints are those of a test: a transaction of its own costs no statement of its own.
    assert len([one for one in asked if "SAVEPOINT" not in one["sql"]]) <= 50
