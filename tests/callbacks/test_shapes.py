"""One event, however WeChat writes it down: the same row, the same effect."""

from __future__ import annotations

import json
import random

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from notify_platform.callbacks import inbox, pushes
from notify_platform.callbacks.handlers import MAX_ITEMS
from notify_platform.callbacks.models import CallbackEvent
from subscriptions.models import Answer, Grant, Subscriber, Subscription
from tests import factories
from tests.callbacks.posting import keys_of, plain, push, safe

State, Trouble = CallbackEvent.State, CallbackEvent.Trouble
POPUP, CHANGE = "subscribe_msg_popup_event", "subscribe_msg_change_event"
NESTED = {POPUP: "SubscribeMsgPopupEvent", CHANGE: "SubscribeMsgChangeEvent"}


@pytest.fixture
def template(db):
    return factories.a_template(factories.a_mini_program())


def heads(event, *, openid, second):
    return {"ToUserName": "gh_1", "FromUserName": openid, "CreateTime": second, "MsgType": "event", "Event": event}


# Each takes head and items and returns the document WeChat might write; the last four need exactly one item.
SHAPES = {
    "flat array": lambda head, items: {**head, "List": items},
    "nested array": lambda head, items: {**head, NESTED[head["Event"]]: {"List": items}},
    "the event itself is the array": lambda head, items: {**head, NESTED[head["Event"]]: items},
    "moment as text": lambda head, items: {**head, "CreateTime": str(head["CreateTime"]), "List": items},
    "an empty flat list beside it": lambda head, items: {**head, "List": None, NESTED[head["Event"]]: {"List": items}},
    "flat object": lambda head, items: {**head, "List": items[0]},
    "nested object": lambda head, items: {**head, NESTED[head["Event"]]: {"List": items[0]}},
    "the event itself is the object": lambda head, items: {**head, NESTED[head["Event"]]: items[0]},
    "numbers as numbers": lambda head, items: {**head, "List": {**items[0], "PopupScene": 0}},
}


def as_xml(document):
    """The document as WeChat writes XML: an array is a repeated element."""

    def element(name, value):
        if isinstance(value, list):
            return "".join(element(name, each) for each in value)
        if isinstance(value, dict):
            return f"<{name}>{''.join(element(key, each) for key, each in value.items())}</{name}>"
        return f"<{name}>{value}</{name}>" if isinstance(value, int) else f"<{name}><![CDATA[{value}]]></{name}>"

    return element("xml", {key: value for key, value in document.items() if value is not None}).encode()


WRITTEN = {"JSON": lambda document: json.dumps(document, ensure_ascii=False).encode(), "XML": as_xml}


@pytest.mark.django_db
@pytest.mark.parametrize("mode", ["safe", "plain"])
@pytest.mark.parametrize("write", WRITTEN.values(), ids=WRITTEN.keys())
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_an_accept_is_one_consent_in_every_shape(client, shape, write, mode):
    template = factories.a_template(factories.a_mini_program(**({"callback_aes_key": ""} if mode == "plain" else {})))
    item = {"TemplateId": template.wechat_id, "SubscribeStatusString": "accept", "PopupScene": "0"}
    body = write(shape(heads(POPUP, openid="o1", second=int(timezone.now().timestamp())), [item]))
    app = template.mini_program
    request = safe(body, keys=keys_of(app)) if mode == "safe" else plain(body, token=app.callback_token)

    assert push(client, app, *request).content == b"success"
    inbox.handle_due()

    assert CallbackEvent.objects.get().state == State.HANDLED
    assert Grant.objects.get().subscriber.openid == "o1"


@pytest.mark.parametrize("write", WRITTEN.values(), ids=WRITTEN.keys())
@pytest.mark.parametrize("shape", list(SHAPES.values())[:5], ids=list(SHAPES)[:5])
def test_turning_two_templates_off_turns_off_both_in_every_shape(template, shape, write):
    both = [template, factories.a_template(template.mini_program)]
    (person,) = factories.subscribers(template.mini_program, count=1)
    for each in both:
        factories.grants(each, to=[person])
    items = [{"TemplateId": each.wechat_id, "SubscribeStatusString": "reject"} for each in both]
    head = heads(CHANGE, openid=person.openid, second=int(timezone.now().timestamp()))
    inbox.store(template.mini_program, document=pushes.parse(write(shape(head, items))))

    inbox.handle_due()

    assert list(Grant.objects.values_list("state", flat=True)) == [Grant.State.REVOKED] * 2
    assert list(Subscription.objects.values_list("state", flat=True)) == [Subscription.State.OFF] * 2


ITEMS = st.lists(
    st.fixed_dictionaries(
        {
            "TemplateId": st.sampled_from(["T1", "T2", "T3"]),
            "SubscribeStatusString": st.sampled_from(["accept", "reject"]),
            "PopupScene": st.sampled_from(["0", "1"]),
        }
    ),
    min_size=1,
    max_size=4,
)


def stirred(value, *, seed):
    """The same document, its keys and items in another order."""
    rng = random.Random(seed)
    if isinstance(value, dict):
        return {key: stirred(each, seed=seed) for key, each in rng.sample(list(value.items()), len(value))}
    if isinstance(value, list):
        return [stirred(each, seed=seed) for each in rng.sample(value, len(value))]
    return value


@given(
    items=ITEMS, seed=st.integers(), first=st.sampled_from(list(SHAPES)[:5]), second=st.sampled_from(list(SHAPES)[:5])
)
def test_an_event_repeated_in_another_shape_and_order_is_the_same_event(items, seed, first, second):
    head = heads(POPUP, openid="o1", second=1767225600)
    repeated = stirred(SHAPES[second](head, items), seed=seed)

    assert pushes.identity(repeated) == pushes.identity(SHAPES[first](head, items))
    assert pushes.identity(pushes.parse(as_xml(repeated))) == pushes.identity(repeated)


@given(items=ITEMS, other=ITEMS)
def test_different_events_of_one_person_in_one_second_are_different(items, other):
    head = heads(POPUP, openid="o1", second=1767225600)
    same = sorted(json.dumps(each, sort_keys=True) for each in items) == sorted(
        json.dumps(each, sort_keys=True) for each in other
    )
    identities = [pushes.identity({**head, "List": each}) for each in (items, other)]
    assert (identities[0] == identities[1]) is same


def test_a_yes_and_a_no_of_one_person_in_one_second_both_count(template):
    for word in ("accept", "reject"):
        item = {"TemplateId": template.wechat_id, "SubscribeStatusString": word, "PopupScene": "0"}
        head = heads(POPUP, openid="o1", second=int(timezone.now().timestamp()))
        inbox.store(template.mini_program, document={**head, "List": item})

    inbox.handle_due()

    assert sorted(Answer.objects.values_list("answer", flat=True)) == ["accept", "reject"]


def test_events_that_are_not_about_subscriptions_are_told_apart_by_all_they_say(template):
    head = {"FromUserName": "o1", "CreateTime": 1767225600, "Event": "order_event"}
    for number in (1, 2):
        inbox.store(template.mini_program, document={**head, "List": [{"order": number}]})

    assert CallbackEvent.objects.count() == 2


def test_the_same_push_for_two_mini_programs_is_two(template):
    for app in (template.mini_program, factories.a_mini_program()):
        inbox.store(app, document=heads(POPUP, openid="o1", second=1767225600))

    assert CallbackEvent.objects.count() == 2


def test_more_items_than_wechat_sends_have_no_effect(template):
    item = {"TemplateId": template.wechat_id, "SubscribeStatusString": "accept"}
    head = heads(POPUP, openid="o1", second=int(timezone.now().timestamp()))
    for number in (MAX_ITEMS, MAX_ITEMS + 1):
        inbox.store(template.mini_program, document={**head, "List": [item] * number})

    inbox.handle_due()

    rows = CallbackEvent.objects.order_by("pk").values_list("state", "error")
    assert list(rows) == [(State.HANDLED, ""), (State.FAILED, Trouble.TOO_MANY)]
    assert Grant.objects.count() == MAX_ITEMS


def test_a_push_names_whom_it_is_about_and_one_about_nobody_names_nobody(template):
    head = {"FromUserName": "o1", "CreateTime": 1767225600}
    for document in (
        {**head, "Event": POPUP},
        {**head, "Event": "user_info_modified", "FromUserName": "gh_platform", "OpenID": "o2"},
        {**head, "Event": "wxa_punish_event", "FromUserName": "gh_platform"},
        {**head, "Event": "other", "FromUserName": "o" * 70},
        {"Event": "nobody"},
    ):
        inbox.store(template.mini_program, document=document)

    assert list(CallbackEvent.objects.order_by("pk").values_list("openid", flat=True)) == ["o1", "o2", "", "o" * 64, ""]


def test_a_person_nobody_knows_is_enrolled_by_a_yes_and_not_by_turning_off(template):
    second = int(timezone.now().timestamp())
    for event, openid, word in ((POPUP, "o1", "accept"), (CHANGE, "o2", "reject")):
        item = {"TemplateId": template.wechat_id, "SubscribeStatusString": word}
        inbox.store(template.mini_program, document={**heads(event, openid=openid, second=second), "List": item})

    inbox.handle_due()

    assert list(Subscriber.objects.values_list("openid", flat=True)) == ["o1"]
