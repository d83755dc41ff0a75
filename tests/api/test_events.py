"""Events of a back end, and what became of a message."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from notify_platform.delivery.models import Delivery, Reason
from notify_platform.jobs import events
from notify_platform.jobs.models import Event, Trigger, Variant
from notify_platform.wechat import outcomes
from subscriptions.models import Subscriber
from tests import factories
from tests.api.conftest import a_back_end_of, invalid, iso, problem

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
NEW = {"deliveries": [], "duplicate": False, "undone": False}
KNOWN = NEW | {"duplicate": True}
WRONG_APP = problem("wrong_app", "This API key is of another mini-program.")


@pytest.fixture
def shop(mini_program):
    """A back end that reports events and looks after messages."""
    return a_back_end_of(mini_program, "events", "deliveries")


@pytest.fixture
def shipped(mini_program, person):
    return {
        "app_id": mini_program.app_id,
        "event": "order_shipped",
        "event_id": "20261123-0042",
        "openid": person.openid,
        "data": {"order": "0042", "parcels": 2, "weight": 1.5, "goods": [{"name": "水果"}], "gift": None},
    }


def stored():
    return list(Event.objects.order_by("pk").values_list("event", "event_id", "subject", "data", "subscriber_id"))


def undo(shop, mini_program, event="order_shipped", event_id="20261123-0042"):
    return shop.call("delete", "event", mini_program.app_id, event, event_id)


def test_an_event_is_written_down(shop, shipped, person):
    with time_machine.travel(NOW, tick=False):
        answer = shop.post("events", shipped | {"subject": "order 0042", "occurred_at": "2026-11-23T15:30:00+08:00"})

    assert (answer.status_code, answer.json()) == (202, NEW)
    assert stored() == [("order_shipped", "20261123-0042", "order 0042", shipped["data"], person.pk)]
    assert Event.objects.get().occurred_at == NOW - timedelta(minutes=30)


@pytest.mark.parametrize("more", [{}, {"occurred_at": None, "subject": ""}])
def test_what_is_left_out_is_now_and_nothing(shop, shipped, more):
    with time_machine.travel(NOW, tick=False):
        shop.post("events", shipped | more)

    assert (Event.objects.get().occurred_at, Event.objects.get().subject) == (NOW, "")


def test_the_same_event_again_is_the_first_one(shop, shipped, person):
    shop.post("events", shipped)

    again = shop.post("events", shipped | {"data": {"order": "other"}, "openid": factories.an_openid()})

    assert (again.status_code, again.json()) == (202, KNOWN)
    assert stored() == [("order_shipped", "20261123-0042", "", shipped["data"], person.pk)]
    assert Subscriber.objects.count() == 1


def test_the_same_id_of_another_event_is_another_one(shop, shipped):
    answers = [shop.post("events", shipped | {"event": event}) for event in ("order_shipped", "order_paid")]

    assert [answer.json() for answer in answers] == [NEW, NEW]
    assert len(stored()) == 2


def test_the_key_vouches_for_somebody_new(shop, shipped, mini_program):
    openid = factories.an_openid()

    shop.post("events", shipped | {"openid": openid})

    assert Event.objects.get().subscriber == Subscriber.objects.get(mini_program=mini_program, openid=openid)


def test_the_messages_it_has_brought_are_named(shop, shipped, person, template):
    shop.post("events", shipped)
    trigger = Trigger.objects.create(
        mini_program=person.mini_program, name="Shipped", event="order_shipped", template=template
    )
    variant = Variant.objects.create(trigger=trigger, texts={})
    row = Delivery.objects.create(
        mini_program=person.mini_program,
        trigger=trigger,
        event=Event.objects.get(),
        variant=variant,
        template=template,
        subscriber=person,
        is_counted=True,
        due_at=NOW,
    )

    assert shop.post("events", shipped).json() == KNOWN | {"deliveries": [row.pk]}
    assert shop.call("get", "delivery", row.pk).json()["job"] is None


def test_an_event_is_taken_back(shop, shipped, mini_program):
    shop.post("events", shipped)

    answers = [undo(shop, mini_program) for _ in range(2)]

    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {"undone": True})] * 2
    assert Event.objects.get().undone_at is not None
    assert shop.post("events", shipped).json() == KNOWN | {"undone": True}


def test_an_event_is_taken_back_before_it_comes(shop, shipped, mini_program):
    assert undo(shop, mini_program).status_code == 200
    undone_at = Event.objects.get().undone_at

    late = shop.post("events", shipped)

    assert (late.status_code, late.json()) == (202, KNOWN | {"undone": True})
    assert stored() == [("order_shipped", "20261123-0042", "", {}, None)]
    assert Event.objects.get().undone_at == undone_at


def test_the_verb_says_whether_it_was_news(mini_program):
    assert [events.undo(mini_program, event="order_paid", event_id="1") for _ in range(2)] == [True, False]


def test_one_event_undone_leaves_the_others(shop, shipped, mini_program):
    shop.post("events", shipped)

    undo(shop, mini_program, event_id="20261123-0043")

    assert [row.undone_at is None for row in Event.objects.order_by("pk")] == [True, False]


def test_another_apps_events_are_out_of_reach(shop, shipped):
    foreign = factories.a_mini_program()

    answers = [shop.post("events", shipped | {"app_id": foreign.app_id}), undo(shop, foreign)]

    assert [(answer.status_code, answer.json()) for answer in answers] == [(403, WRONG_APP)] * 2
    assert stored() == []


@pytest.mark.parametrize(("minutes", "status"), [(5, 202), (6, 400)])
def test_clocks_may_differ_a_little(shop, shipped, minutes, status):
    with time_machine.travel(NOW, tick=False):
        answer = shop.post("events", shipped | {"occurred_at": iso(NOW + timedelta(minutes=minutes))})

    assert (answer.status_code, len(stored())) == (status, 1 if status == 202 else 0)
    if status == 400:
        sentence = "An event cannot be reported before it happens."
        assert answer.json() == problem("not_yet", sentence, occurred_at=sentence)


SHAPE = "This value has the wrong shape."
DATA = "Send an object, at most 8 levels deep, of texts, numbers, lists and objects."


def nested(levels):
    return {"deeper": nested(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    ("more", "fields"),
    [
        ({"event": "order shipped"}, {"event": SHAPE}),
        ({"event": "x" * 61}, {"event": SHAPE}),
        ({"event_id": "a/b"}, {"event_id": SHAPE}),
        ({"event_id": "x" * 121}, {"event_id": SHAPE}),
        ({"event_id": 42}, {"event_id": SHAPE}),
        ({"event_id": None}, {"event_id": "This field may not be null."}),
        ({"openid": "no"}, {"openid": SHAPE}),
        ({"subject": "a\nb"}, {"subject": "Line breaks and other control characters are not allowed."}),
        ({"data": None}, {"data": "This field may not be null."}),
        ({"data": []}, {"data": DATA}),
        ({"data": {"a": "\u0000"}}, {"data": DATA}),
        ({"data": {"\ud83d": 1}}, {"data": DATA}),
        ({"data": {"a": [{"b": "\udfff"}]}}, {"data": DATA}),
        ({"data": nested(9)}, {"data": DATA}),
        ({"app_id": 7}, {"app_id": "Not a valid string."}),
    ],
)
def test_a_wrong_event_is_refused_and_nothing_is_written(shop, shipped, more, fields):
    answer = shop.post("events", shipped | more)

    assert (answer.status_code, answer.json()) == (400, invalid(**fields))
    assert stored() == []


def test_a_number_that_is_none_is_refused(shop, shipped, mini_program, person):
    start = f'{{"app_id": "{mini_program.app_id}", "event": "e", "event_id": "1", "openid": "{person.openid}"'

    answer = shop.send("events", f'{start}, "data": {{"a": 1e999}}}}'.encode())

    assert (answer.status_code, answer.json()) == (400, invalid(data=DATA))


def test_data_may_be_eight_levels_deep(shop, shipped):
    assert shop.post("events", shipped | {"data": nested(8)}).status_code == 202
    assert Event.objects.get().data == nested(8)


@pytest.mark.parametrize("event_id", ["a b", "-1", "x" * 121, "订单"])
def test_an_address_of_another_shape_is_refused(shop, mini_program, event_id):
    answer = undo(shop, mini_program, event_id=event_id)

    assert (answer.status_code, answer.json()) == (400, invalid(event_id=SHAPE))
    assert stored() == []


# --- one message ---------------------------------------------------------------------------------------------------


def test_what_became_of_a_message(shop, delivery, person, template):
    Delivery.objects.filter(pk=delivery.pk).update(
        state="failed",
        error_code=47003,
        due_at=NOW,
        armed_at=NOW + timedelta(seconds=1),
        settled_at=NOW + timedelta(seconds=2),
    )

    answer = shop.call("get", "delivery", delivery.pk)

    meaning, next_step = outcomes.describe(47003)
    assert answer.status_code == 200
    assert answer.json() == {
        "id": delivery.pk,
        "state": "failed",
        "reason": None,
        "error": {"code": 47003, "message": meaning, "next_step": next_step},
        "template_id": template.wechat_id,
        "job": delivery.job.name,
        "openid": person.openid,
        "due_at": "2026-11-23T08:00:00Z",
        "sent_at": "2026-11-23T08:00:01Z",
        "settled_at": "2026-11-23T08:00:02Z",
    }


def test_why_a_message_waits(shop, delivery):
    Delivery.objects.filter(pk=delivery.pk).update(reason=Reason.QUIET_HOURS, due_at=NOW)

    shown = shop.call("get", "delivery", delivery.pk).json()

    assert (shown["state"], shown["reason"]) == ("waiting", {"code": "quiet_hours", "message": "quiet hours"})
    assert (shown["error"], shown["sent_at"], shown["settled_at"]) == (None, None, None)


def test_what_wechat_says_of_a_message_that_did_not_arrive(shop, delivery):
    Delivery.objects.filter(pk=delivery.pk).update(error_detail="1 system error")

    shown = shop.call("get", "delivery", delivery.pk).json()

    assert shown["error"] == {"code": None, "message": "1 system error", "next_step": ""}


def test_another_mini_programs_message_is_not_there(delivery):
    answer = a_back_end_of(factories.a_mini_program(), "deliveries").call("get", "delivery", delivery.pk)

    assert (answer.status_code, answer.json()) == (404, problem("not_found", "Not found."))


@pytest.mark.parametrize("number", [0, 999_999, 2**63, 10**40])
def test_a_message_that_is_not_there(shop, number):
    answer = shop.call("get", "delivery", number)

    assert (answer.status_code, answer.json()) == (404, problem("not_found", "Not found."))


def test_reading_a_message_takes_two_queries(shop, delivery, django_assert_num_queries):
    shop.call("get", "delivery", delivery.pk)

    # The key, the message.
    with django_assert_num_queries(2):
        shop.call("get", "delivery", delivery.pk)
