"""WeChat's side door: what comes in, in every shape, and what stays out."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from notify_platform.callbacks.models import CallbackEvent
from notify_platform.wechat.signing import CallbackKeys
from templates_app.models import MiniProgram
from tests import factories
from tests.callbacks.posting import ITEM, NONCE, SENT, STAMP, check_address, keys_of, plain, push, safe, stored

pytestmark = pytest.mark.django_db


@pytest.fixture
def mini_program():
    return factories.a_mini_program()


def xml_of(document):
    item = "".join(f"<{key}><![CDATA[{value}]]></{key}>" for key, value in document["List"].items())
    head = "".join(f"<{key}>{value}</{key}>" for key, value in document.items() if key != "List")
    return f"<xml>{head}<SubscribeMsgSentEvent><List>{item}</List></SubscribeMsgSentEvent></xml>".encode()


def test_the_address_check_is_answered_with_its_echo(client, mini_program):
    answer = check_address(client, mini_program, token=mini_program.callback_token)

    assert (answer.status_code, answer.content) == (200, b"7362514839201847561")
    assert answer.headers["Content-Type"] == "text/plain"


def test_an_address_check_with_a_wrong_signature_is_refused(client, mini_program):
    query = {"signature": "0" * 40, "timestamp": STAMP, "nonce": NONCE, "echostr": "1"}
    answer = client.get(reverse("wechat-callback", args=[mini_program.app_id]), query_params=query)

    assert (answer.status_code, answer.content) == (403, b"")


@pytest.mark.parametrize("inner", ["json", "xml"])
@pytest.mark.parametrize("outer", ["json", "xml"])
def test_a_push_in_safe_mode_is_stored_and_answered(client, mini_program, inner, outer):
    body = json.dumps(SENT).encode() if inner == "json" else xml_of(SENT)
    answer = push(client, mini_program, *safe(body, keys=keys_of(mini_program), shape=outer))

    assert (answer.status_code, answer.content) == (200, b"success")
    assert stored() == [("subscribe_msg_sent_event", "pending")]


@pytest.mark.parametrize("shape", ["json", "xml"])
def test_a_push_in_plain_mode_is_stored(client, shape):
    mini_program = factories.a_mini_program(callback_aes_key="")
    body = json.dumps(SENT).encode() if shape == "json" else xml_of(SENT)

    assert push(client, mini_program, *plain(body, token=mini_program.callback_token)).status_code == 200
    assert stored() == [("subscribe_msg_sent_event", "pending")]


def test_in_compatible_mode_only_the_envelope_counts(client, mini_program):
    forged = {**SENT, "Event": "forged"}
    request = safe(json.dumps(SENT).encode(), keys=keys_of(mini_program), beside=forged)

    assert push(client, mini_program, *request).status_code == 200
    assert stored() == [("subscribe_msg_sent_event", "pending")]


def test_in_compatible_mode_without_a_key_the_plain_fields_count(client, mini_program):
    request = safe(b"{}", keys=keys_of(mini_program), beside=SENT)
    MiniProgram.objects.update(callback_aes_key="")

    assert push(client, mini_program, *request).content == b"success"
    assert CallbackEvent.objects.get().body == SENT


def test_an_envelope_alone_that_nobody_can_open_is_refused(client, mini_program):
    request = safe(json.dumps(SENT).encode(), keys=keys_of(mini_program))
    MiniProgram.objects.update(callback_aes_key="")

    assert push(client, mini_program, *request).status_code == 403
    assert stored() == []


@pytest.mark.parametrize("signed", [True, False])
def test_the_question_whether_the_path_answers_is_answered_and_nothing_is_kept(client, signed):
    mini_program = factories.a_mini_program(callback_aes_key="")
    query, body = plain(b'{"action": "CheckContainerPath"}', token=mini_program.callback_token)

    answer = push(client, mini_program, query if signed else {}, body)

    assert (answer.status_code, answer.content) == (200, b"success")
    assert stored() == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"action": "CheckContainerPath", "MsgType": "event"}',
        b'{"action": "Other"}',
        b"<xml><action>CheckContainerPath</action></xml>",
        b'{"action": "CheckContainerPath", "more": "' + b"x" * 200 + b'"}',
        b'{"action": ',
    ],
)
def test_nothing_else_passes_for_that_question(client, mini_program, body):
    assert push(client, mini_program, {}, body).status_code == 403
    assert stored() == []


def test_the_same_push_three_times_is_stored_once_in_whatever_shape(client, mini_program):
    keys = keys_of(mini_program)
    shapes = [
        json.dumps(SENT).encode(),
        xml_of(SENT),
        json.dumps({**SENT, "List": [ITEM], "CreateTime": "1767225661"}).encode(),
    ]
    answers = [push(client, mini_program, *safe(body, keys=keys)) for body in shapes]

    assert [answer.content for answer in answers] == [b"success"] * 3
    assert len(stored()) == 1


def test_two_events_of_one_person_in_one_second_are_two(client, mini_program):
    keys = keys_of(mini_program)
    other = {**SENT, "List": {**ITEM, "MsgID": "1864323726461255681"}}
    for document in (SENT, other):
        push(client, mini_program, *safe(json.dumps(document).encode(), keys=keys))

    assert len(stored()) == 2


def test_an_event_we_do_not_own_is_answered_and_kept_as_such(client, mini_program):
    body = json.dumps({"MsgType": "event", "Event": "debug_demo", "debug_str": "你好"}).encode()

    assert push(client, mini_program, *safe(body, keys=keys_of(mini_program))).content == b"success"
    assert stored() == [("debug_demo", "ignored")]


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><xml><Event>&b;</Event></xml>'
OUTSIDE = b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]><xml><Event>&f;</Event></xml>'


@pytest.mark.parametrize(
    "content",
    [
        BOMB,
        OUTSIDE,
        b"<xml>" * 2000,
        b"<xml><a></xml>",
        b"{",
        b"[]",
        b'"text"',
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b"NaN",
        b'{"a": NaN}',
        b'{"a": [{"b": -Infinity}]}',
        b'{"a": 1e999}',
        b'{"a":' * 900 + b"1" + b"}" * 900,
        b'<?xml version="1.0" encoding="foo"?><xml><a>1</a></xml>',
    ],
    ids=[
        "bomb",
        "outside",
        "deep",
        "broken xml",
        "broken json",
        "array",
        "text",
        "empty",
        "bytes",
        "deep json",
        "nan",
        "a nan",
        "an infinity",
        "beyond a float",
        "deep objects",
        "unknown encoding",
    ],
)
@pytest.mark.parametrize("mode", ["plain", "safe"])
def test_content_nobody_can_read_is_refused_and_nothing_is_stored(client, content, mode):
    mini_program = factories.a_mini_program(**({"callback_aes_key": ""} if mode == "plain" else {}))
    if mode == "plain":
        request = plain(content, token=mini_program.callback_token)
    else:
        request = safe(content, keys=keys_of(mini_program))

    answer = push(client, mini_program, *request)

    assert (answer.status_code, answer.content) == (403, b"")
    assert stored() == []


def wrong_signature(query, body):
    return {**query, "msg_signature": "0" * 40}, body


def only_the_plain_signature(query, body):
    return {key: query[key] for key in ("timestamp", "nonce", "signature")}, body


def another_nonce(query, body):
    return {**query, "nonce": "1"}, body


def one_character_changed(query, body):
    return query, body.replace(b'"Encrypt": "', b'"Encrypt": "A')


def no_query(query, body):
    return {}, body


@pytest.mark.parametrize(
    "spoil", [wrong_signature, only_the_plain_signature, another_nonce, one_character_changed, no_query]
)
def test_a_push_that_is_not_wechats_is_refused_and_nothing_is_stored(client, mini_program, spoil):
    request = spoil(*safe(json.dumps(SENT).encode(), keys=keys_of(mini_program)))

    answer = push(client, mini_program, *request)

    assert (answer.status_code, answer.content) == (403, b"")
    assert stored() == []


def test_an_envelope_for_another_app_is_refused(client, mini_program):
    foreign = CallbackKeys(
        app_id="wxfedcba0987654321", token=mini_program.callback_token, aes_key=mini_program.callback_aes_key
    )

    assert push(client, mini_program, *safe(json.dumps(SENT).encode(), keys=foreign)).status_code == 403
    assert stored() == []


def test_an_app_nobody_knows_is_refused_like_a_wrong_signature(client, mini_program):
    request = safe(json.dumps(SENT).encode(), keys=keys_of(mini_program))
    MiniProgram.objects.update(app_id="wx0000000000000000")

    assert push(client, mini_program, *request).status_code == 403


def test_a_mini_program_without_a_token_takes_nothing(client):
    mini_program = factories.a_mini_program(callback_token="", callback_aes_key="")

    assert push(client, mini_program, *plain(json.dumps(SENT).encode(), token="")).status_code == 403


def test_a_body_too_large_is_refused_unread(client, mini_program):
    query, _body = safe(b"{}", keys=keys_of(mini_program))

    assert push(client, mini_program, query, b"x" * (256 * 1024 + 1)).status_code == 413
    assert stored() == []


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("app_id", ["a%00b", "wx%00123456789abcdef", "%ED%A0%80", "..."])
def test_an_address_that_holds_no_app_id_is_refused_like_a_wrong_signature(client, method, app_id):
    answer = getattr(client, method)(f"/wechat/callback/{app_id}", content_type="application/octet-stream")

    assert (answer.status_code, answer.content) == (403, b"")


def test_what_no_database_keeps_is_dropped_and_the_rest_stays_to_the_letter(client, mini_program):
    text = r"a backslash: \u0000, \ud800, 你好 🍇"
    document = {**SENT, "Event": "other\0_event", "Con\0tent": f"\0{text}\ud800", "List": [{"a": ["\udfff\0b"]}]}

    answer = push(client, mini_program, *safe(json.dumps(document).encode(), keys=keys_of(mini_program)))

    assert answer.content == b"success"
    event = CallbackEvent.objects.get()
    assert (event.event, event.body["Content"], event.body["List"]) == ("other_event", text, [{"a": ["b"]}])
