"""How WeChat posts: signed, in one of its modes, as JSON or XML."""

from __future__ import annotations

import json

from django.urls import reverse

from notify_platform.callbacks.models import CallbackEvent
from notify_platform.wechat import signing
from notify_platform.wechat.signing import CallbackKeys

STAMP, NONCE = "1767225600", "8823412345"
OPENID = "otFpruAK8D-E6EfStSYonYSBZ8_4"
ITEM = {"TemplateId": "T1", "MsgID": "1864323726461255680", "ErrorCode": "0", "ErrorStatus": "success"}
SENT = {
    "ToUserName": "gh_123456789abc",
    "FromUserName": OPENID,
    "CreateTime": 1767225661,
    "MsgType": "event",
    "Event": "subscribe_msg_sent_event",
    "List": ITEM,
}
DEMO = {"ToUserName": "gh_1", "FromUserName": OPENID, "MsgType": "event", "Event": "debug_demo", "debug_str": "你好"}


def keys_of(mini_program):
    return CallbackKeys(
        app_id=mini_program.app_id, token=mini_program.callback_token, aes_key=mini_program.callback_aes_key
    )


def safe(plain, *, keys, shape="json", beside=None):
    """The query and body of safe mode; with fields ``beside`` the envelope, of compatible mode."""
    encrypted = signing.encrypt(plain, keys=keys)
    query = {
        "timestamp": STAMP,
        "nonce": NONCE,
        "encrypt_type": "aes",
        "signature": signing.signature(keys.token, STAMP, NONCE),
        "msg_signature": signing.signature(keys.token, STAMP, NONCE, encrypted),
    }
    if shape == "json":
        return query, json.dumps({"ToUserName": "gh_1", **(beside or {}), "Encrypt": encrypted}).encode()
    return query, f"<xml><ToUserName>gh_1</ToUserName><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>".encode()


def plain(body, *, token):
    return {"timestamp": STAMP, "nonce": NONCE, "signature": signing.signature(token, STAMP, NONCE)}, body


def push(client, mini_program, query, body, *, content_type="application/octet-stream"):
    address = reverse("wechat-callback", args=[mini_program.app_id])
    return client.post(address, data=body, content_type=content_type, query_params=query)


def push_document(client, mini_program, document):
    return push(client, mini_program, *safe(json.dumps(document).encode(), keys=keys_of(mini_program)))


def check_address(client, mini_program, *, token):
    query = {
        "signature": signing.signature(token, STAMP, NONCE),
        "timestamp": STAMP,
        "nonce": NONCE,
        "echostr": "7362514839201847561",
    }
    return client.get(reverse("wechat-callback", args=[mini_program.app_id]), query_params=query)


def stored():
    return list(CallbackEvent.objects.order_by("pk").values_list("event", "state"))
