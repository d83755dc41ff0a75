"""Recorded pushes, as they came over the wire, through the door: what is stored, what is answered, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.urls import reverse

from notify_platform.callbacks import pushes
from notify_platform.callbacks.models import CallbackEvent
from notify_platform.wechat import signing
from notify_platform.wechat.signing import CallbackKeys
from tests import factories
from tests.callbacks.posting import push

pytestmark = pytest.mark.django_db
RECORDED = Path(__file__).parent.parent / "wechat" / "recorded" / "envelopes.json"
ENVELOPES = {row["name"]: row for row in json.loads(RECORDED.read_text("utf-8"))}
OURS = {"token": "OpsPlatformToken2026", "aes_key": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"}
OF_WECHAT = {"token": "AAAAA", "aes_key": "A" * 43}
SENT, POPUP, CHANGE = "subscribe_msg_sent_event", "subscribe_msg_popup_event", "subscribe_msg_change_event"
T1, T2 = "VRR0UEO9VJOLs0MHlU0OilqX6MVFDwH3_3gz3Oc0NIc", "9nLIlbOQZC5Y89AZteFEux3WCXRRRG5Wfzkpssu4bLI"
# What each vector is, and the items a reader must find in it.
ACCEPT = {"TemplateId": T1, "SubscribeStatusString": "accept", "PopupScene": "0", "MsgID": ""}
REJECT = {"TemplateId": T2, "SubscribeStatusString": "reject", "PopupScene": "0", "MsgID": ""}
OFF = [{"TemplateId": each, "SubscribeStatusString": "reject", "MsgID": ""} for each in (T1, T2)]
GOOD = {"TemplateId": T1, "ErrorCode": "0", "ErrorStatus": "success"}
VECTORS = [
    ("V1", POPUP, "pending", [ACCEPT, REJECT]),
    ("V2", SENT, "pending", [{**GOOD, "MsgID": "1864323726461255680"}]),
    ("V3", CHANGE, "pending", OFF),
    ("V4", "debug_demo", "ignored", []),
    ("V5", "debug_demo", "ignored", []),
    ("V6", SENT, "pending", [{**GOOD, "MsgID": "1700827132819554304"}]),
    ("P1 push", "debug_demo", "ignored", []),
    ("P3", "text", "ignored", []),
    ("P4", "text", "ignored", []),
]


def an_app_of(name):
    row = ENVELOPES[name]
    return factories.a_mini_program(app_id=row["app_id"], callback_token=row["token"], callback_aes_key=row["aes_key"])


def query_of(name, **changes):
    row = ENVELOPES[name]
    values = {key: row[key] for key in ("timestamp", "nonce", "signature", "msg_signature") if key in row}
    return {**values, "encrypt_type": "aes", **changes}


def body_of(name, *, encrypted=None):
    row = ENVELOPES[name]
    encrypted = encrypted or row["encrypted"]
    if row["message"].startswith("<"):
        head = "<ToUserName><![CDATA[gh_123456789abc]]></ToUserName>"
        return f"<xml>{head}<Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>".encode()
    return json.dumps({"ToUserName": "gh_123456789abc", "Encrypt": encrypted}, separators=(",", ":")).encode()


@pytest.mark.parametrize(("name", "event", "state", "items"), VECTORS, ids=[row[0] for row in VECTORS])
def test_a_recorded_push_is_stored_with_its_items_and_answered(client, name, event, state, items):
    answer = push(client, an_app_of(name), query_of(name), body_of(name))

    assert (answer.status_code, answer.content, answer.headers["Content-Type"]) == (200, b"success", "text/plain")
    row = CallbackEvent.objects.get()
    assert (row.event, row.state, pushes.items(row.body)) == (event, state, items)
    assert row.openid == row.body["FromUserName"] == pushes.parse(ENVELOPES[name]["message"].encode())["FromUserName"]


def test_chinese_text_arrives_to_the_letter(client):
    push(client, an_app_of("V4"), query_of("V4"), body_of("V4"))

    assert CallbackEvent.objects.get().body["debug_str"] == "你好，订阅消息"


@pytest.mark.parametrize(
    ("keys", "timestamp", "nonce", "echo", "signature"),
    [
        (OURS, "1767225500", "135791113", "7362514839201847561", "5dd301b2c1f55c8dd21cdb8f76df09723e0fc856"),
        (OF_WECHAT, "1714036504", "1514711492", "4375120948345356249", "f464b24fc39322e44b38aa78f5edd27bd1441696"),
    ],
    ids=["V0", "P1"],
)
def test_a_recorded_address_check_is_answered_with_exactly_its_echo(client, keys, timestamp, nonce, echo, signature):
    app = factories.a_mini_program(callback_token=keys["token"], callback_aes_key=keys["aes_key"])
    query = {"timestamp": timestamp, "nonce": nonce, "echostr": echo, "signature": signature}

    answer = client.get(reverse("wechat-callback", args=[app.app_id]), query_params=query)

    assert (answer.status_code, answer.content) == (200, echo.encode())


@pytest.mark.parametrize(
    ("token", "timestamp", "nonce", "signature"),
    [
        ("OpsPlatformToken2026", "1767229200", "777777777", "eabdd1ffed68815b9b573ddf58e38a1926016fe9"),
        ("AAAAA", "1714037059", "486452656", "899cf89e464efb63f54ddac96b0a0a235f53aa78"),
    ],
)
def test_a_recorded_signature_of_plain_mode_opens_the_door(client, token, timestamp, nonce, signature):
    app = factories.a_mini_program(callback_token=token, callback_aes_key="")
    query = {"timestamp": timestamp, "nonce": nonce, "signature": signature}

    answer = push(client, app, query, ENVELOPES["V2"]["message"].encode())

    assert (answer.status_code, answer.content) == (200, b"success")
    assert CallbackEvent.objects.get().event == SENT


def another_character(name):
    encrypted = ENVELOPES[name]["encrypted"]
    return body_of(name, encrypted=("A" if encrypted[9] != "A" else "B").join([encrypted[:9], encrypted[10:]]))


def signed_again(encrypted):
    """The query for an envelope that is broken although whoever sent it knows the token."""
    row = ENVELOPES["V2"]
    signature = signing.signature(row["token"], row["timestamp"], row["nonce"], encrypted)
    return query_of("V2", msg_signature=signature), body_of("V2", encrypted=encrypted)


REFUSED = {
    "another app's envelope (V7)": lambda: (query_of("V7"), body_of("V7")),
    "signature for msg_signature": lambda: (
        query_of("V2", msg_signature=ENVELOPES["V2"]["signature"]),
        body_of("V2"),
    ),
    "no msg_signature": lambda: (
        {key: value for key, value in query_of("V2").items() if key != "msg_signature"},
        body_of("V2"),
    ),
    "one changed character": lambda: (query_of("V2"), another_character("V2")),
    "another nonce": lambda: (query_of("V2", nonce=ENVELOPES["V3"]["nonce"]), body_of("V2")),
    "not Base64": lambda: signed_again("not base64!"),
    "not whole blocks": lambda: signed_again("AAAA"),
    "empty": lambda: (query_of("V2"), b'{"ToUserName": "gh_1", "Encrypt": ""}'),
    "the content without its envelope": lambda: (query_of("V2"), ENVELOPES["V2"]["message"].encode()),
}


@pytest.mark.parametrize("spoiled", REFUSED.values(), ids=REFUSED.keys())
def test_a_spoiled_push_is_refused_without_a_word_and_nothing_is_stored(client, spoiled):
    query, body = spoiled()

    answer = push(client, an_app_of("V2"), query, body)

    assert (answer.status_code, answer.content) == (403, b"")
    assert CallbackEvent.objects.count() == 0


def test_the_padding_of_the_fifth_vector_is_longer_than_a_cipher_block():
    row = ENVELOPES["V5"]
    keys = CallbackKeys(app_id=row["app_id"], token=row["token"], aes_key=row["aes_key"])
    # An unpadder for blocks of 16 refuses 32 bytes of padding: this one must not.
    assert (20 + len(row["message"]) + len(row["app_id"])) % 32 == 0
    assert signing.decrypt(row["encrypted"], keys=keys).decode() == row["message"]


@pytest.mark.filterwarnings("ignore")
def test_what_wechatpy_sends_is_taken(client):
    from wechatpy.crypto import WeChatCrypto

    app = an_app_of("V2")
    reply = WeChatCrypto(OURS["token"], OURS["aes_key"], app.app_id).encrypt_message(
        ENVELOPES["V6"]["message"], "42", "1767226000"
    )
    signature = pushes.parse(reply.encode())["MsgSignature"]
    query = {"timestamp": "1767226000", "nonce": "42", "msg_signature": signature, "encrypt_type": "aes"}

    assert push(client, app, query, reply.encode()).content == b"success"
    assert CallbackEvent.objects.get().event == SENT
