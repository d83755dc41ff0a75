"""What WeChat pushes: the three subscription events, in JSON or XML, plain, compatible or safe.

Source: WeChat's docs, "message push" and "subscription message events". In JSON one item is an object and several are
an array; in XML the items are always inside the element of the event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from notify_platform.simulator.calls import encoded
from notify_platform.simulator.world import App
from notify_platform.wechat.signing import CallbackKeys, encrypt, signature

POPUP = "subscribe_msg_popup_event"
CHANGE = "subscribe_msg_change_event"
SENT = "subscribe_msg_sent_event"

PLAINTEXT, COMPATIBLE, SAFE = "plaintext", "compatible", "safe"
MODES = (PLAINTEXT, COMPATIBLE, SAFE)
JSON, XML = "json", "xml"
FORMATS = (JSON, XML)

_ELEMENTS = {POPUP: "SubscribeMsgPopupEvent", CHANGE: "SubscribeMsgChangeEvent", SENT: "SubscribeMsgSentEvent"}
_BARE = {"CreateTime", "PopupScene", "MsgID", "ErrorCode"}  # written without CDATA


@dataclass(frozen=True, slots=True)
class Event:
    """One push: its name, whom it is about, when (Unix seconds) and its items."""

    name: str
    openid: str
    created_at: int
    items: Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Letter:
    """A push ready for the wire: query, body, content type."""

    query: dict[str, str]
    body: bytes
    content_type: str


def letter(app: App, event: Event, *, rng: Random, now: float, nested: bool, create_time_text: bool) -> Letter:
    """Write, encrypt and sign an event the way the app's console asks for; ``now`` (Unix seconds) is signed."""
    if app.format == XML:
        plain = _xml(app, event)
    else:
        plain = encoded(_document(app, event, nested=nested, create_time_text=create_time_text))
    timestamp, nonce = str(int(now)), str(rng.randrange(10**8, 10**10))
    query = {
        "signature": signature(app.callback_token, timestamp, nonce),
        "timestamp": timestamp,
        "nonce": nonce,
        "openid": event.openid,
    }
    body = plain
    if app.mode != PLAINTEXT:
        hidden = encrypt(plain, keys=CallbackKeys(app.app_id, app.callback_token, app.aes_key))
        query["encrypt_type"] = "aes"
        query["msg_signature"] = signature(app.callback_token, timestamp, nonce, hidden)
        body = _envelope(app, hidden, plain=plain)
    return Letter(query, body, "text/xml" if app.format == XML else "application/json")


def _document(app: App, event: Event, *, nested: bool, create_time_text: bool) -> dict[str, Any]:
    items = [dict(item) for item in event.items]
    listed = {"List": items[0] if len(items) == 1 else items}
    return {
        "ToUserName": app.original_id,
        "FromUserName": event.openid,
        "CreateTime": str(event.created_at) if create_time_text else event.created_at,
        "MsgType": "event",
        "Event": event.name,
        **({_ELEMENTS[event.name]: listed} if nested else listed),
    }


def _xml(app: App, event: Event) -> bytes:
    listed = "".join(f"<List>{''.join(_element(k, v) for k, v in item.items())}</List>" for item in event.items)
    head = {
        "ToUserName": app.original_id,
        "FromUserName": event.openid,
        "CreateTime": str(event.created_at),
        "MsgType": "event",
        "Event": event.name,
    }
    outer = _ELEMENTS[event.name]
    members = "".join(_element(name, value) for name, value in head.items())
    return f"<xml>{members}<{outer}>{listed}</{outer}></xml>".encode()


def _element(name: str, value: str) -> str:
    return f"<{name}>{value}</{name}>" if name in _BARE else f"<{name}><![CDATA[{value}]]></{name}>"


def _envelope(app: App, hidden: str, *, plain: bytes) -> bytes:
    """Return the body that carries the encrypted copy: beside the plain members, or alone with the receiver's name."""
    if app.format == XML:
        encrypted = _element("Encrypt", hidden).encode()
        if app.mode == COMPATIBLE:
            return plain.removesuffix(b"</xml>") + encrypted + b"</xml>"
        return b"<xml>" + _element("ToUserName", app.original_id).encode() + encrypted + b"</xml>"
    if app.mode == COMPATIBLE:
        return plain.removesuffix(b"}") + b"," + encoded({"Encrypt": hidden}).removeprefix(b"{")
    return encoded({"ToUserName": app.original_id, "Encrypt": hidden})
