"""From the inbox to the books."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from notify_platform.callbacks import inbox
from notify_platform.callbacks.models import CallbackEvent
from notify_platform.delivery import claims, fanout, settlement
from notify_platform.delivery.models import Delivery
from notify_platform.wechat.gateway import SendResult
from notify_platform.wechat.outcomes import outcome_of_code
from subscriptions.models import Answer, Grant, Subscriber, Subscription
from tests import factories

pytestmark = pytest.mark.django_db
State = CallbackEvent.State


@pytest.fixture
def template():
    return factories.a_template(factories.a_mini_program())


@pytest.fixture
def accepted(template):
    """Two accepted messages, m0 and m1."""
    factories.grants(template, to=factories.subscribers(template.mini_program, count=2))
    job = factories.a_running_job(template)
    fanout.step(job)
    claim = claims.claim(job, limit=10, wordings=claims.Wordings())
    claims.arm(claim.token, delivery_ids=[message.delivery_id for message in claim.messages])
    for number, message in enumerate(claim.messages):
        result = SendResult(outcome=outcome_of_code(0), code=0, msgid=f"m{number}")
        landed = [settlement.Landed(message=message, result=result)]
        settlement.settle(template.mini_program, token=claim.token, landed=landed)
    return claim.messages


def a_push(template, message, *msgids, **changes):
    items = [
        {"TemplateId": template.wechat_id, "MsgID": msgid, "ErrorCode": "0", "ErrorStatus": "success"}
        for msgid in msgids
    ]
    return {
        "FromUserName": message.openid,
        "CreateTime": int(timezone.now().timestamp()),
        "Event": "subscribe_msg_sent_event",
        "List": items if len(items) > 1 else items[0],
    } | changes


def states():
    return list(CallbackEvent.objects.order_by("pk").values_list("state", flat=True))


def due_now():
    CallbackEvent.objects.update(due_at=timezone.now() - timedelta(seconds=1))


def test_a_sent_event_settles_its_message(template, accepted):
    inbox.store(template.mini_program, document=a_push(template, accepted[0], "m0"))

    assert inbox.handle_due() == 1
    assert states() == [State.HANDLED]
    assert Delivery.objects.get(msgid="m0").state == Delivery.State.DELIVERED
    assert inbox.handle_due() == 0


def test_a_push_with_an_item_that_is_not_there_yet_is_tried_again_and_then_complete(template, accepted):
    inbox.store(template.mini_program, document=a_push(template, accepted[0], "m0", "m7"))

    inbox.handle_due()
    push = CallbackEvent.objects.get()
    assert (push.state, push.attempts) == (State.PENDING, 1)
    assert push.due_at > timezone.now()
    assert Delivery.objects.get(msgid="m0").state == Delivery.State.DELIVERED

    Delivery.objects.filter(msgid="m1").update(msgid="m7")
    due_now()
    inbox.handle_due()
    assert states() == [State.HANDLED]


def test_an_event_no_message_ever_fits_is_put_aside_and_says_so(template, accepted):
    inbox.store(template.mini_program, document=a_push(template, accepted[0], "stranger"))

    for _ in range(inbox.MAX_ATTEMPTS):
        due_now()
        inbox.handle_due()

    assert states() == [State.UNMATCHED]
    assert CallbackEvent.objects.get().error == "no message fits"


@pytest.mark.parametrize(
    "changes",
    [{"CreateTime": "soon"}, {"CreateTime": None}, {"FromUserName": ""}, {"List": None}, {"List": "x"}, {"List": []}],
)
def test_a_push_without_what_it_takes_fails_alone(template, accepted, changes):
    good, bad = a_push(template, accepted[0], "m0"), a_push(template, accepted[1], "m1", **changes)
    inbox.store(template.mini_program, document=bad)
    inbox.store(template.mini_program, document=good)

    inbox.handle_due()

    assert states() == [State.FAILED, State.HANDLED]


def test_the_id_may_be_spelled_otherwise_and_numbers_may_be_numbers(template, accepted):
    push = a_push(template, accepted[0], "m0")
    push["List"] = {"TemplateId": template.wechat_id, "MsgId": "m0", "ErrorCode": 0, "ErrorStatus": "success"}
    inbox.store(template.mini_program, document=push)

    inbox.handle_due()

    assert Delivery.objects.get(msgid="m0").state == Delivery.State.DELIVERED


def test_a_nested_list_is_read_like_a_flat_one(template, accepted):
    push = a_push(template, accepted[0], "m0")
    push["SubscribeMsgSentEvent"] = {"List": [push.pop("List")]}
    inbox.store(template.mini_program, document=push)

    inbox.handle_due()

    assert states() == [State.HANDLED]


def a_popup(openid, *lines, event="subscribe_msg_popup_event"):
    items = [{"TemplateId": template, "SubscribeStatusString": word, "PopupScene": "0"} for template, word in lines]
    return {
        "FromUserName": openid,
        "CreateTime": int(timezone.now().timestamp()),
        "Event": event,
        "List": items if len(items) != 1 else items[0],
    }


def test_a_popup_wechat_tells_of_is_a_consent_even_of_somebody_we_never_met(template):
    openid = factories.an_openid()
    inbox.store(template.mini_program, document=a_popup(openid, (template.wechat_id, "accept")))

    inbox.handle_due()

    assert states() == [State.HANDLED]
    assert Grant.objects.get().subscriber.openid == openid


def test_the_same_popup_pushed_twice_is_one_consent(template):
    document = a_popup(factories.an_openid(), (template.wechat_id, "accept"))
    for _ in range(2):
        inbox.store(template.mini_program, document=document)
        inbox.handle_due()

    assert Grant.objects.count() == 1


def test_each_line_of_a_popup_counts(template):
    other = factories.a_template(template.mini_program)
    lines = [(template.wechat_id, "accept"), (other.wechat_id, "reject"), ("T-unknown", "accept")]
    inbox.store(template.mini_program, document=a_popup(factories.an_openid(), *lines))

    inbox.handle_due()

    assert states() == [State.UNMATCHED]
    assert CallbackEvent.objects.get().error == "a template is not in our list: sync the templates"
    assert list(Grant.objects.values_list("template_id", flat=True)) == [template.pk]
    assert sorted(Answer.objects.values_list("answer", flat=True)) == ["accept", "reject"]


def test_turning_a_template_off_in_wechat_voids_its_consents(template):
    person = factories.subscribers(template.mini_program, count=1)[0]
    factories.grants(template, to=[person], units=2, age=timedelta(minutes=1))
    event = a_popup(person.openid, (template.wechat_id, "reject"), event="subscribe_msg_change_event")
    inbox.store(template.mini_program, document=event)

    inbox.handle_due()

    assert states() == [State.HANDLED]
    assert set(Grant.objects.values_list("state", flat=True)) == {Grant.State.REVOKED}
    assert Subscription.objects.get().state == Subscription.State.OFF


def test_a_change_event_about_a_stranger_is_handled_and_changes_nothing(template):
    event = a_popup(factories.an_openid(), (template.wechat_id, "reject"), event="subscribe_msg_change_event")
    inbox.store(template.mini_program, document=event)

    inbox.handle_due()

    assert states() == [State.HANDLED]
    assert (Subscriber.objects.count(), Subscription.objects.count()) == (0, 0)
