"""From the inbox to the books."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from notify_platform.callbacks import inbox, pushes, tasks
from notify_platform.callbacks.handlers import CHANGE, POPUP
from notify_platform.callbacks.models import CallbackEvent
from notify_platform.delivery import claims, fanout, settlement
from notify_platform.delivery.models import Delivery
from notify_platform.jobs import bans
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
    assert CallbackEvent.objects.get().error == CallbackEvent.Trouble.NO_MESSAGE


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
    assert CallbackEvent.objects.get().error == CallbackEvent.Trouble.NO_TEMPLATE
    assert list(Grant.objects.values_list("template_id", flat=True)) == [template.pk]
    assert sorted(Answer.objects.values_list("answer", flat=True)) == ["accept", "reject"]


@pytest.mark.parametrize(("minutes", "state"), [(-5, "banned"), (5, "live")])
def test_a_popup_lifts_the_ban_of_before_and_not_the_one_of_after(template, minutes, state):
    bans.ban_template(template, detail="WeChat said so.")
    shown_at = timezone.now() + timedelta(minutes=minutes)
    for at, word in ((shown_at, "accept"), (shown_at - timedelta(hours=1), "accept"), (timezone.now(), "reject")):
        document = a_popup(factories.an_openid(), (template.wechat_id, word))
        inbox.store(template.mini_program, document=document | {"CreateTime": int(at.timestamp())})

    inbox.handle_due()

    template.refresh_from_db()
    assert (template.state, Grant.objects.count()) == (state, 2)


def test_turning_a_template_off_in_wechat_voids_its_consents(template):
    person = factories.subscribers(template.mini_program, count=1)[0]
    factories.grants(template, to=[person], units=2, age=timedelta(minutes=1))
    event = a_popup(person.openid, (template.wechat_id, "reject"), event="subscribe_msg_change_event")
    inbox.store(template.mini_program, document=event)

    inbox.handle_due()

    assert states() == [State.HANDLED]
    assert set(Grant.objects.values_list("state", flat=True)) == {Grant.State.REVOKED}
    assert Subscription.objects.get().state == Subscription.State.OFF


def test_what_a_stranger_turned_off_is_remembered_and_voids_the_older_popup_told_later(template):
    openid, now = factories.an_openid(), int(timezone.now().timestamp())
    off = a_popup(openid, (template.wechat_id, "reject"), event="subscribe_msg_change_event")
    inbox.store(template.mini_program, document=off | {"CreateTime": now - 60})
    inbox.handle_due()

    inbox.store(
        template.mini_program, document=a_popup(openid, (template.wechat_id, "accept")) | {"CreateTime": now - 90}
    )
    inbox.handle_due()

    assert states() == [State.HANDLED, State.HANDLED]
    assert (Answer.objects.get().subscriber.openid, Grant.objects.count()) == (openid, 0)
    assert Subscription.objects.get().state == Subscription.State.OFF


def test_a_change_event_that_turns_nothing_off_makes_no_person(template):
    event = a_popup(factories.an_openid(), (template.wechat_id, "accept"), event="subscribe_msg_change_event")
    inbox.store(template.mini_program, document=event)

    inbox.handle_due()

    assert states() == [State.HANDLED]
    assert (Subscriber.objects.count(), Subscription.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"Event": ["subscribe_msg_sent_event"]}, State.IGNORED),
        ({"Event": {"a": 1}, "MsgType": ["event"]}, State.IGNORED),
        ({"Event": 7, "MsgType": 8}, State.IGNORED),
        ({"FromUserName": ["o1"]}, State.FAILED),
        ({"FromUserName": "\ud800"}, State.FAILED),
        ({"CreateTime": ["1767225661"]}, State.FAILED),
        ({"CreateTime": True}, State.FAILED),
        ({"CreateTime": "9" * 5000}, State.FAILED),
        ({"CreateTime": "253402300799"}, State.FAILED),
        ({"CreateTime": "-62135596800"}, State.FAILED),
        ({"CreateTime": "1293839999"}, State.FAILED),
        ({"CreateTime": "4102444800"}, State.FAILED),
        ({"List": [[1, [2]], {"TemplateId": ["a"], "MsgID": 12, "ErrorCode": 0}]}, State.PENDING),
        ({"List": {"TemplateId": {"x": 1}, "MsgID": ["m0"], "ErrorCode": None, "ErrorStatus": {}}}, State.PENDING),
        ({"Other": 10**400}, State.HANDLED),
        ({"Other": [None, True, 1.5, {"a": []}]}, State.HANDLED),
    ],
)
def test_no_shape_of_a_push_is_an_exception(template, accepted, changes, state):
    inbox.store(template.mini_program, document=a_push(template, accepted[0], "m0") | changes)
    inbox.store(template.mini_program, document=a_push(template, accepted[1], "m1"))

    inbox.handle_due()

    assert states() == [state, State.HANDLED]


@pytest.mark.parametrize("event", ["subscribe_msg_popup_event", "subscribe_msg_change_event"])
@pytest.mark.parametrize(
    ("line", "state"),
    [
        ({"TemplateId": ["T"], "SubscribeStatusString": "accept"}, State.UNMATCHED),
        ({"TemplateId": 5, "SubscribeStatusString": "accept"}, State.UNMATCHED),
        ({"TemplateId": "ours", "SubscribeStatusString": {"a": ["accept"]}}, State.HANDLED),
        ({"TemplateId": "ours", "SubscribeStatusString": 1}, State.HANDLED),
        ({"TemplateId": "ours"}, State.HANDLED),
    ],
)
def test_no_shape_of_an_answer_is_a_consent_or_an_exception(event, line, state):
    template = factories.a_template(factories.a_mini_program(), wechat_id="ours")
    inbox.store(template.mini_program, document=a_popup(factories.an_openid(), event=event) | {"List": [line]})

    inbox.handle_due()

    assert states() == [state]
    assert Grant.objects.count() == 0


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_not_stored(template, number):
    with pytest.raises(pushes.BadPush):
        inbox.store(template.mini_program, document={"Event": "x", "a": [{"b": number}]})
    assert states() == []


def failing_at(bad, *, error):
    """Return the popups' handler, which fails after its work when the bad person's push is among the batch."""

    popups = inbox.HANDLERS["subscribe_msg_popup_event"]

    def handle(mini_program, batch):
        effects = popups(mini_program, batch)
        if any(push.body["FromUserName"] == bad for push in batch):
            raise error
        return effects

    return handle


def test_a_push_that_cannot_be_handled_fails_alone_and_names_only_the_kind_of_its_error(template, monkeypatch, caplog):
    people = [factories.an_openid() for _ in range(3)]
    for openid in people:
        inbox.store(template.mini_program, document=a_popup(openid, (template.wechat_id, "accept")))
    handler = failing_at(people[1], error=LookupError(f"something about {people[1]}"))
    monkeypatch.setitem(inbox.HANDLERS, "subscribe_msg_popup_event", handler)

    assert inbox.handle_due() == 3

    assert states() == [State.HANDLED, State.FAILED, State.HANDLED]
    push = CallbackEvent.objects.get(state=State.FAILED)
    assert (push.error, push.attempts, push.handled_at is None) == ("LookupError", 1, False)
    assert sorted(Grant.objects.values_list("subscriber__openid", flat=True)) == [people[0], people[2]]
    assert people[1] not in caplog.text
    assert inbox.handle_due() == 0


def test_one_transaction_takes_pushes_of_one_mini_program_and_one_kind(template):
    elsewhere = factories.a_template(factories.a_mini_program())
    for one, event in ((template, POPUP), (elsewhere, POPUP), (template, CHANGE), (template, POPUP)):
        document = a_popup(factories.an_openid(), (one.wechat_id, "reject"), event=event)
        inbox.store(one.mini_program, document=document)
    due_now()

    assert (inbox.handle_due(), states()) == (2, [State.HANDLED, State.PENDING, State.PENDING, State.HANDLED])
    assert [inbox.handle_due() for _ in range(3)] == [1, 1, 0]
    assert states() == [State.HANDLED] * 4


def test_the_doorbell_handles_every_kind_that_is_due(template):
    for event in (POPUP, CHANGE):
        inbox.store(
            template.mini_program, document=a_popup(factories.an_openid(), ("T-unknown", "reject"), event=event)
        )

    tasks.handle()

    assert states() == [State.UNMATCHED] * 2


def test_content_the_database_refuses_fails_alone(template):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite takes a text of any length")
    for openid in ("o" * 65, factories.an_openid()):
        inbox.store(template.mini_program, document=a_popup(openid, (template.wechat_id, "accept")))

    inbox.handle_due()

    assert list(CallbackEvent.objects.order_by("pk").values_list("state", "error")) == [
        (State.FAILED, "DataError"),
        (State.HANDLED, ""),
    ]
    assert Grant.objects.count() == 1


def test_an_outage_of_the_database_is_no_fault_of_a_push(template, monkeypatch):
    openid = factories.an_openid()
    inbox.store(template.mini_program, document=a_popup(openid, (template.wechat_id, "accept")))
    outage = failing_at(openid, error=OperationalError("the server went away"))
    monkeypatch.setitem(inbox.HANDLERS, "subscribe_msg_popup_event", outage)

    with pytest.raises(OperationalError):
        inbox.handle_due()

    push = CallbackEvent.objects.get()
    assert (push.state, push.attempts, Grant.objects.count()) == (State.PENDING, 0, 0)


def test_turning_off_in_a_second_voids_what_was_granted_within_it(template):
    person = factories.subscribers(template.mini_program, count=1)[0]
    second = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    factories.grants(template, to=[person], age=timezone.now() - second - timedelta(milliseconds=700))
    event = a_popup(person.openid, (template.wechat_id, "reject"), event="subscribe_msg_change_event")
    inbox.store(template.mini_program, document=event | {"CreateTime": int(second.timestamp())})

    inbox.handle_due()

    assert Grant.objects.get().state == Grant.State.REVOKED
    assert Subscription.objects.get().state == Subscription.State.OFF
