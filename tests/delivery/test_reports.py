"""WeChat's sent events, in every order they can come."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notify_platform.delivery import claims, fanout, reports, settlement
from notify_platform.delivery.models import Delivery
from notify_platform.delivery.reports import SentEvent, Verdict
from notify_platform.delivery.settlement import Landed
from notify_platform.wechat.gateway import SendResult
from notify_platform.wechat.outcomes import UNKNOWN, outcome_of_code
from subscriptions.models import Grant
from tests import factories

pytestmark = pytest.mark.django_db
State = Delivery.State


@pytest.fixture
def answered(armed, mini_program):
    """Settle the three messages: with ids m0…, without ids, or not at all known."""

    def answered(*, msgids=True, known=True):
        for number, message in enumerate(armed.messages):
            result = SendResult(
                outcome=outcome_of_code(0) if known else UNKNOWN,
                code=0 if known else None,
                msgid=f"m{number}" if msgids and known else "",
            )
            settlement.settle(mini_program, token=armed.token, landed=[Landed(message=message, result=result)])
        return armed.messages

    return answered


def event_of(message, template, *, msgid="", code="0", after=timedelta(seconds=1)):
    return SentEvent(
        openid=message.openid,
        template=template.wechat_id,
        msgid=msgid,
        code=code,
        status="success" if code == "0" else "system error",
        at=timezone.now() + after,
    )


def test_an_event_settles_the_message_it_names(answered, mini_program, template):
    messages = answered()

    verdicts = reports.settle_events(
        mini_program,
        events=[event_of(messages[0], template, msgid="m0"), event_of(messages[1], template, msgid="m1", code="7")],
    )

    assert verdicts == [Verdict.SETTLED, Verdict.SETTLED]
    rows = {row.pk: row for row in Delivery.objects.all()}
    assert [rows[message.delivery_id].state for message in messages] == ["delivered", "undelivered", "accepted"]
    assert rows[messages[1].delivery_id].error_detail == "7 system error"


def test_an_event_before_our_own_commit_is_tried_later(armed, mini_program, template, states):
    event = event_of(armed.messages[0], template, msgid="m0")

    assert reports.settle_events(mini_program, events=[event]) == [Verdict.LATER]
    assert states() == {State.SENDING: 3}


def test_an_unknown_message_is_delivered_when_wechat_says_so(answered, mini_program, template):
    messages = answered(known=False)

    reports.settle_events(mini_program, events=[event_of(messages[0], template, msgid="m9")])

    row = Delivery.objects.get(pk=messages[0].delivery_id)
    assert (row.state, row.msgid) == (State.DELIVERED, "m9")
    assert Grant.objects.get(subscriber=row.subscriber).state == Grant.State.SPENT
    assert Grant.objects.filter(state=Grant.State.RESERVED).count() == 2


def test_without_message_ids_the_nearest_open_message_of_the_person_and_template_is_meant(
    answered, mini_program, template, states
):
    messages = answered(msgids=False)

    verdicts = reports.settle_events(mini_program, events=[event_of(message, template) for message in messages])

    assert verdicts == [Verdict.SETTLED] * 3
    assert states() == {State.DELIVERED: 3}


def test_an_accepted_message_with_an_id_of_its_own_is_not_taken_by_another_event(
    answered, mini_program, template, states
):
    messages = answered()

    assert reports.settle_events(mini_program, events=[event_of(messages[0], template, msgid="other")]) == [
        Verdict.LATER
    ]
    assert states() == {State.ACCEPTED: 3}


def test_one_message_is_matched_once_however_often_the_event_comes(answered, mini_program, template, states):
    messages = answered(known=False)
    event = event_of(messages[0], template, msgid="m0")

    assert reports.settle_events(mini_program, events=[event]) == [Verdict.SETTLED]
    assert reports.settle_events(mini_program, events=[event, event]) == [Verdict.SETTLED, Verdict.SETTLED]
    assert states() == {State.DELIVERED: 1, State.UNKNOWN: 2}


@pytest.mark.parametrize("change", ["template", "person", "app", "time"])
def test_an_event_about_something_else_settles_nothing(answered, mini_program, template, states, change):
    messages = answered(known=False)
    event = event_of(messages[0], template)
    foreign = {
        "template": {"template": "T-other"},
        "person": {"openid": "o-somebody-else"},
        "app": {},
        "time": {"at": timezone.now() + timedelta(hours=2)},
    }[change]
    app = factories.a_mini_program() if change == "app" else mini_program
    changed = SentEvent(**{name: getattr(event, name) for name in SentEvent.__slots__} | foreign)

    assert reports.settle_events(app, events=[changed]) == [Verdict.LATER]
    assert states() == {State.UNKNOWN: 3}


def test_an_event_after_the_policy_closed_the_row_still_refines_it(answered, mini_program, template):
    messages = answered(known=False)
    Delivery.objects.update(armed_at=timezone.now() - timedelta(minutes=11))
    settlement.close_unknown(mini_program)

    reports.settle_events(mini_program, events=[event_of(messages[0], template, msgid="m0")])

    assert Delivery.objects.get(pk=messages[0].delivery_id).state == State.DELIVERED
    assert set(Grant.objects.values_list("state", flat=True)) == {Grant.State.SPENT}


def test_an_answer_that_comes_after_the_event_changes_nothing(answered, armed, mini_program, template, states):
    messages = answered(known=False)
    reports.settle_events(mini_program, events=[event_of(messages[0], template, msgid="m0")])
    late = Landed(message=messages[0], result=SendResult(outcome=outcome_of_code(0), code=0, msgid="m0"))

    assert settlement.settle(mini_program, token=armed.token, landed=[late]) == []
    assert states() == {State.DELIVERED: 1, State.UNKNOWN: 2}


def test_a_hundred_events_take_as_many_queries_as_three(answered, mini_program, template):
    messages = answered()

    def count(events):
        with CaptureQueriesContext(connection) as queries:
            reports.settle_events(mini_program, events=events)
        return len(queries)

    few = [event_of(message, template, msgid=f"m{number}") for number, message in enumerate(messages)]
    strangers = [event_of(messages[0], template, msgid=f"x{number}") for number in range(97)]
    assert count([*few[:2], strangers[0]]) == count([*few, *strangers])


def test_an_event_of_a_message_in_our_hands_is_not_taken_for_an_older_unknown_one(
    answered, mini_program, template, people, take
):
    messages = answered(known=False)
    Delivery.objects.update(armed_at=timezone.now() - timedelta(minutes=5))
    factories.grants(template, to=people)
    second = factories.a_running_job(template)
    fanout.step(second)
    claim = take(second)
    claims.arm(claim.token, delivery_ids=[message.delivery_id for message in claim.messages])

    assert reports.settle_events(mini_program, events=[event_of(messages[0], template)]) == [Verdict.LATER]
    assert Delivery.objects.get(pk=messages[0].delivery_id).state == State.UNKNOWN
