"""Pushes as they arrive at a callback URL, opened with wechatpy as a second opinion."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from defusedxml.ElementTree import fromstring
from wechatpy.crypto import WeChatCrypto

from notify_platform.simulator.control import ControlError, SimulatorControl
from tests.journeys.waiting import until
from tests.simulator.stage import (
    AES_KEY,
    ANNA,
    APP,
    BEN,
    ORIGINAL,
    PICKUP,
    RETURN,
    TOKEN,
    Api,
    Push,
    Receiver,
    app,
)

SENT_ITEM = {"TemplateId": PICKUP, "ErrorCode": "0", "ErrorStatus": "success"}


@pytest.fixture
def pushing(control: SimulatorControl, receiver: Receiver) -> Callable[..., None]:
    """Point the app's callbacks at the receiver."""

    def configure(mode: str = "plaintext", format: str = "json", **settings: Any) -> None:
        keys = {"callback_token": TOKEN, "aes_key": AES_KEY, "callback_url": receiver.url}
        control.setup(apps=[app(mode=mode, format=format, **keys)], settings={"push_retry_ms": 0, **settings})

    return configure


def sha1(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()  # noqa: S324


def document(push: Push) -> dict[str, Any]:
    """A plaintext JSON push, its signature checked."""
    assert push.query["signature"] == sha1(TOKEN, push.query["timestamp"], push.query["nonce"])
    found: dict[str, Any] = json.loads(push.body)
    return found


def opened(push: Push, hidden: str) -> bytes:
    """The inside of an envelope; wechatpy checks the msg_signature and the app id."""
    plain = WeChatCrypto(TOKEN, AES_KEY, APP).decrypt_message(
        {"Encrypt": hidden}, push.query["msg_signature"], push.query["timestamp"], push.query["nonce"]
    )
    return plain.encode() if isinstance(plain, str) else bytes(plain)


def as_dict(element: Element) -> dict[str, str]:
    return {child.tag: child.text or "" for child in element if not len(child)}


def test_a_message_is_followed_by_its_sent_event(api: Api, receiver: Receiver, pushing: Callable[..., None]) -> None:
    pushing()

    msgid = str(api.send()["msgid"])

    push = receiver.next()
    found = document(push)
    assert isinstance(found.pop("CreateTime"), int)
    assert found == {
        "ToUserName": ORIGINAL,
        "FromUserName": ANNA,
        "MsgType": "event",
        "Event": "subscribe_msg_sent_event",
        "List": {**SENT_ITEM, "MsgID": msgid},
    }
    assert push.content_type == "application/json"
    assert set(push.query) == {"signature", "timestamp", "nonce", "openid"}
    assert push.query["openid"] == ANNA


def test_a_refused_send_pushes_nothing(
    api: Api, control: SimulatorControl, receiver: Receiver, pushing: Callable[..., None]
) -> None:
    pushing()

    api.send(touser=BEN)

    assert control.wait_for_pushes() is True
    assert (receiver.pushes.qsize(), control.counts(app_id=APP).pushes.tries) == (0, 0)


def test_one_answer_is_an_object_and_several_are_an_array(
    control: SimulatorControl, receiver: Receiver, pushing: Callable[..., None]
) -> None:
    pushing()

    control.popup(APP, BEN, {PICKUP: "accept"})
    one = document(receiver.next())
    control.popup(APP, BEN, {PICKUP: "accept", RETURN: "reject"})
    two = document(receiver.next())

    accepted = {"TemplateId": PICKUP, "SubscribeStatusString": "accept", "PopupScene": "0"}
    rejected = {"TemplateId": RETURN, "SubscribeStatusString": "reject", "PopupScene": "0"}
    assert (one["Event"], one["FromUserName"], one["List"]) == ("subscribe_msg_popup_event", BEN, accepted)
    assert (two["Event"], two["FromUserName"], two["List"]) == (
        "subscribe_msg_popup_event",
        BEN,
        [accepted, rejected],
    )


def test_turning_off_pushes_a_change_event(
    control: SimulatorControl, receiver: Receiver, pushing: Callable[..., None]
) -> None:
    pushing()

    control.turn_off(APP, ANNA, PICKUP)
    one = document(receiver.next())
    control.turn_off(APP, ANNA, PICKUP, RETURN)
    two = document(receiver.next())

    off = [{"TemplateId": each, "SubscribeStatusString": "reject"} for each in (PICKUP, RETURN)]
    assert (one["Event"], one["List"]) == ("subscribe_msg_change_event", off[0])
    assert (two["Event"], two["List"]) == ("subscribe_msg_change_event", off)


def test_the_list_can_be_nested_and_the_time_a_text(api: Api, receiver: Receiver, pushing: Callable[..., None]) -> None:
    pushing(push_nested=True, push_create_time_text=True, sent_msgid=False)

    api.send()

    found = document(receiver.next())
    assert found["CreateTime"].isdecimal()
    assert found["SubscribeMsgSentEvent"] == {"List": SENT_ITEM}
    assert "List" not in found


def test_a_sent_event_can_report_a_failure(api: Api, receiver: Receiver, pushing: Callable[..., None]) -> None:
    pushing(sent_failure_rate=1.0)

    api.send()

    item = document(receiver.next())["List"]
    assert (item["ErrorCode"], item["ErrorStatus"]) == ("1", "system error")


def test_plain_xml(control: SimulatorControl, receiver: Receiver, pushing: Callable[..., None]) -> None:
    pushing(format="xml")

    control.popup(APP, BEN, {PICKUP: "accept", RETURN: "reject"})

    push = receiver.next()
    root = fromstring(push.body)
    head = as_dict(root)
    assert head.pop("CreateTime").isdecimal()
    assert head == {
        "ToUserName": ORIGINAL,
        "FromUserName": BEN,
        "MsgType": "event",
        "Event": "subscribe_msg_popup_event",
    }
    assert [as_dict(item) for item in root.findall("SubscribeMsgPopupEvent/List")] == [
        {"TemplateId": PICKUP, "SubscribeStatusString": "accept", "PopupScene": "0"},
        {"TemplateId": RETURN, "SubscribeStatusString": "reject", "PopupScene": "0"},
    ]
    assert push.content_type == "text/xml"
    assert push.query["signature"] == sha1(TOKEN, push.query["timestamp"], push.query["nonce"])


def test_safe_json(api: Api, receiver: Receiver, pushing: Callable[..., None]) -> None:
    pushing(mode="safe")

    msgid = str(api.send()["msgid"])

    push = receiver.next()
    envelope = json.loads(push.body)
    assert sorted(envelope) == ["Encrypt", "ToUserName"]
    assert envelope["ToUserName"] == ORIGINAL
    assert push.query["encrypt_type"] == "aes"
    assert push.query["msg_signature"] != push.query["signature"]
    inside = json.loads(opened(push, envelope["Encrypt"]))
    assert inside["List"] == {**SENT_ITEM, "MsgID": msgid}


def test_safe_xml(api: Api, receiver: Receiver, pushing: Callable[..., None]) -> None:
    pushing(mode="safe", format="xml")

    msgid = str(api.send()["msgid"])

    push = receiver.next()
    envelope = as_dict(fromstring(push.body))
    assert sorted(envelope) == ["Encrypt", "ToUserName"]
    (item,) = fromstring(opened(push, envelope["Encrypt"])).findall("SubscribeMsgSentEvent/List")
    assert as_dict(item) == {**SENT_ITEM, "MsgID": msgid}


@pytest.mark.parametrize("format", ["json", "xml"])
def test_compatible_mode_carries_both(api: Api, receiver: Receiver, pushing: Callable[..., None], format: str) -> None:
    pushing(mode="compatible", format=format)

    api.send()

    push = receiver.next()
    if format == "json":
        both = json.loads(push.body)
        hidden = both.pop("Encrypt")
        assert json.loads(opened(push, hidden)) == both
    else:
        root = fromstring(push.body)
        hidden = as_dict(root)["Encrypt"]
        inside = fromstring(opened(push, hidden))
        assert as_dict(root) == {**as_dict(inside), "Encrypt": hidden}
        assert [as_dict(each) for each in root.iter("List")] == [as_dict(each) for each in inside.iter("List")]


@pytest.mark.parametrize(
    ("answers", "tries", "ok", "failed"),
    [([200], 1, 1, 0), ([500], 2, 1, 0), ([500, 302], 3, 1, 0), ([500, 404, 204], 3, 0, 1), (["hang"], 2, 1, 0)],
)
def test_a_push_comes_up_to_three_times_until_200(
    api: Api,
    control: SimulatorControl,
    receiver: Receiver,
    pushing: Callable[..., None],
    *,
    answers: list[int | str],
    tries: int,
    ok: int,
    failed: int,
) -> None:
    pushing(push_timeout_s=1.0 if "hang" in answers else 5.0)
    for answer in answers:
        receiver.answers.put(answer)

    api.send()

    assert control.wait_for_pushes() is True
    pushes = control.counts(app_id=APP).pushes
    assert (pushes.tries, pushes.ok, pushes.failed, pushes.queued) == (tries, ok, failed, 0)
    bodies = [receiver.next().body for _ in range(tries)]
    assert bodies == [bodies[0]] * tries


def test_a_closed_port_is_given_up_after_three_tries(
    api: Api, control: SimulatorControl, pushing: Callable[..., None]
) -> None:
    pushing()
    control.setup(apps=[app(callback_url="http://127.0.0.1:9/", callback_token=TOKEN)])

    api.send()

    assert control.wait_for_pushes() is True
    pushes = control.counts(app_id=APP).pushes
    assert (pushes.tries, pushes.ok, pushes.failed) == (3, 0, 1)


def test_pushes_can_be_dropped_or_doubled(
    api: Api, control: SimulatorControl, receiver: Receiver, pushing: Callable[..., None]
) -> None:
    pushing(push_drop_rate=1.0)
    api.send()
    assert control.wait_for_pushes() is True
    dropped = control.counts(app_id=APP).pushes
    assert (dropped.dropped, dropped.tries, receiver.pushes.qsize()) == (1, 0, 0)

    pushing(push_drop_rate=0.0, push_duplicate_rate=1.0)
    api.send()
    assert receiver.next().body == receiver.next().body


def test_a_sent_event_waits_for_its_delay_while_others_pass(
    api: Api, control: SimulatorControl, receiver: Receiver, pushing: Callable[..., None]
) -> None:
    pushing(sent_delay_ms=3_600_000.0)

    api.send()
    control.popup(APP, BEN, {RETURN: "accept"})

    assert document(receiver.next())["Event"] == "subscribe_msg_popup_event"
    # The popup's push is done when its answer has been read; the sent event still waits for its hour.
    until(lambda: control.counts(app_id=APP).pushes.queued == 1)
    assert control.wait_for_pushes(timeout_s=0) is False


def test_a_short_delay_ends(api: Api, receiver: Receiver, pushing: Callable[..., None]) -> None:
    pushing(sent_delay_ms=30)

    api.send()

    assert document(receiver.next())["Event"] == "subscribe_msg_sent_event"


def test_without_a_callback_url_nothing_is_queued(api: Api, control: SimulatorControl) -> None:
    api.send()

    assert control.counts(app_id=APP).pushes.queued == 0
    assert control.counts(app_id=APP).counted == 1


def test_many_pushes_all_arrive(
    api: Api, control: SimulatorControl, receiver: Receiver, pushing: Callable[..., None]
) -> None:
    pushing(mode="safe")
    control.add_users(APP, [{"openid": f"o{n}", "balances": {PICKUP: 1}} for n in range(60)])

    msgids = {str(api.send(touser=f"o{n}")["msgid"]) for n in range(60)}

    assert control.wait_for_pushes() is True
    pushes = [receiver.next() for _ in range(60)]
    arrived = {json.loads(opened(push, json.loads(push.body)["Encrypt"]))["List"]["MsgID"] for push in pushes}
    assert arrived == msgids


def test_a_key_that_cannot_encrypt_is_refused_at_setup(api: Api, control: SimulatorControl) -> None:
    with pytest.raises(ControlError, match="EncodingAESKey"):
        control.setup(apps=[app(secret="new", mode="safe", callback_token=TOKEN, aes_key="short")])

    assert "access_token" in api.stable_token()
