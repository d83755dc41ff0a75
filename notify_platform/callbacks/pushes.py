"""Reading what WeChat pushes: verify, decrypt, parse; JSON or XML, plain, compatible or safe mode.

Everything wrong with a push is ``BadPush``; the sender learns nothing more than that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from itertools import product
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from notify_platform.core.documents import UNSTORABLE
from notify_platform.wechat.signing import BadEnvelope, CallbackKeys, decrypt, signature_matches
from templates_app.models import MiniProgram

MAX_BODY_BYTES = 256 * 1024
MAX_XML_DEPTH = 8
# WeChat's own go three levels deep; every further reader of a document may recurse without a thought.
MAX_DEPTH = 32
NAME_LENGTH = 60

# The columns that ``keyrings`` reads; each costs a decryption.
KEYS = ("callback_token", "callback_aes_key", "previous_callback_token", "previous_callback_aes_key")

Document = dict[str, Any]

# What tells two pushes apart: WeChat gives none an id, and two events of one person may fall in the same second.
_ITEM_KEYS = ("TemplateId", "SubscribeStatusString", "PopupScene", "MsgID", "ErrorCode")
# Only these events consist of items; what others call List may not tell two of them apart.
_WITH_ITEMS = "subscribe_msg_"
# WeChat's cloud hosting asks a path whether it answers at all; it signs nothing and expects nothing but success.
PROBE = "CheckContainerPath"
MAX_PROBE_BYTES = 200


class BadPush(Exception):
    """Not from WeChat, or not readable."""


def keyrings(mini_program: MiniProgram) -> list[CallbackKeys]:
    """Return the keys a push may be made with, the current ones first.

    While keys are changed each of the two may be old or new for itself. A previous token alone never opens the door to
    plain pushes: with any EncodingAESKey set, only envelopes are taken.
    """
    tokens = filter(None, (mini_program.callback_token, mini_program.previous_callback_token))
    aes_keys = filter(None, (mini_program.callback_aes_key, mini_program.previous_callback_aes_key))
    pairs = product(dict.fromkeys(tokens), dict.fromkeys(aes_keys) or [""])
    return [CallbackKeys(app_id=mini_program.app_id, token=token, aes_key=aes) for token, aes in pairs]


def verify_address(query: Mapping[str, str], *, keys: list[CallbackKeys]) -> str:
    """Return the echo of WeChat's address check (GET). Raises ``BadPush``."""
    _verify_plain(query, keys=keys)
    return query.get("echostr", "")


def read(body: bytes, *, query: Mapping[str, str], keys: list[CallbackKeys]) -> Document:
    """Return the verified content of a push (POST). Raises ``BadPush``.

    Whoever has an EncodingAESKey is sent envelopes, judged by ``msg_signature`` alone: the plain signature does not
    cover the content. In compatible mode the content stands beside its envelope; that counts only without a key.
    """
    if len(body) > MAX_BODY_BYTES:
        raise BadPush("too large")
    if not any(ring.aes_key for ring in keys):
        _verify_plain(query, keys=keys)
        return _without_envelope(parse(body))
    encrypted = parse(body).get("Encrypt")
    if not isinstance(encrypted, str):
        raise BadPush("no envelope")
    return parse(_open(encrypted, query=query, keys=keys))


def is_probe(body: bytes) -> bool:
    """Whether this is the question of WeChat's cloud hosting whether the path answers; it is signed by nobody."""
    if len(body) > MAX_PROBE_BYTES or not body.lstrip().startswith(b"{"):
        return False
    try:
        document = parse(body)
    except BadPush:
        return False
    return document.get("action") == PROBE and not name(document)


def _verify_plain(query: Mapping[str, str], *, keys: list[CallbackKeys]) -> None:
    parts = (query.get("timestamp", ""), query.get("nonce", ""))
    if not any(signature_matches(query.get("signature", ""), ring.token, *parts) for ring in keys):
        raise BadPush("signature")


def _without_envelope(document: Document) -> Document:
    """Return the plain fields; each repetition of a push has an envelope of its own, so it must not be kept."""
    fields = {key: value for key, value in document.items() if key != "Encrypt"}
    if len(fields) < len(document) and fields.keys() <= {"ToUserName"}:
        raise BadPush("an envelope, and no key to open it")
    return fields


def _open(encrypted: str, *, query: Mapping[str, str], keys: list[CallbackKeys]) -> bytes:
    parts = (query.get("timestamp", ""), query.get("nonce", ""), encrypted)
    signers = [ring for ring in keys if signature_matches(query.get("msg_signature", ""), ring.token, *parts)]
    for ring in signers:
        with suppress(BadEnvelope):
            return decrypt(encrypted, keys=ring)
    raise BadPush("envelope" if signers else "signature")


def parse(body: bytes) -> Document:
    """Parse JSON or XML, whichever the first character says (the header is not reliable). Raises ``BadPush``."""
    text = body.lstrip()
    try:
        document = _from_xml(text) if text.startswith(b"<") else _from_json(text)
    # LookupError: an XML declaration may name an encoding nobody knows.
    except (ValueError, LookupError, ParseError, DefusedXmlException, RecursionError) as error:
        raise BadPush("unreadable") from error
    if not isinstance(document, dict):
        raise BadPush("not an object")
    return document


def _from_json(text: bytes) -> Any:
    return json.loads(text, strict=False, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _from_xml(text: bytes) -> Document:
    root = fromstring(text, forbid_dtd=True)
    content = _element(root, depth=0)
    return content if isinstance(content, dict) else {}


def _element(element: Element, *, depth: int) -> Any:
    if depth > MAX_XML_DEPTH:
        raise ValueError("too deep")
    if not len(element):
        return element.text or ""
    content: dict[str, Any] = {}
    for child in element:
        value = _element(child, depth=depth + 1)
        if child.tag not in content:
            content[child.tag] = value
        elif isinstance(content[child.tag], list):
            content[child.tag].append(value)
        else:
            content[child.tag] = [content[child.tag], value]
    return content


def clean(document: Document) -> Document:
    """Return the document as any database can keep it: texts lose NUL and lone surrogates.

    Raises ``BadPush`` for a number that is none (``1e999`` is read as infinity) and for nesting beyond reason.
    """
    return {_storable(key): _cleaned(value, depth=1) for key, value in document.items()}


def _cleaned(value: Any, *, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise BadPush("too deep")
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise BadPush("not a number")
    if isinstance(value, list):
        return [_cleaned(item, depth=depth + 1) for item in value]
    if isinstance(value, dict):
        return {_storable(key): _cleaned(item, depth=depth + 1) for key, item in value.items()}
    return value


def _storable(text: str) -> str:
    return UNSTORABLE.sub("", text)


def name(document: Document) -> str:
    """Return what kind of push this is: the event, or the kind of a message."""
    return (text(document.get("Event")) or text(document.get("MsgType")))[:NAME_LENGTH]


def person(document: Document) -> str:
    """Return the openid of the person a push is about; empty when it is about nobody.

    Those about authorizations come from the platform and name the person in a field of their own (WeChat's docs).
    """
    if name(document).startswith("wxa_"):
        return ""
    return text(document.get("OpenID")) or text(document.get("FromUserName"))


def items(document: Document) -> list[dict[str, str]]:
    """Return the items of a subscription event as text, whatever shape they came in (object, array, flat, nested)."""
    nested = next((value for key, value in document.items() if key.startswith("SubscribeMsg")), None)
    found = document.get("List")
    if found is None and isinstance(nested, dict):
        found = nested.get("List", nested)
    elif found is None:
        found = nested
    rows = found if isinstance(found, list) else [found]
    return [_item(row) for row in rows if isinstance(row, dict)]


def _item(row: Mapping[str, Any]) -> dict[str, str]:
    texts = {key: text(value) for key, value in row.items()}
    # Spelled one way or the other, in one push or in its repetition.
    return {**texts, "MsgID": texts.get("MsgID") or texts.get("MsgId", "")}


def text(value: object) -> str:
    """Return a text or a number as text, empty for anything else: lists and objects stand nowhere in these events."""
    return str(value).strip() if isinstance(value, str | int | float) else ""


def identity(document: Document) -> str:
    """Return the digest that makes a repeated push the same push."""
    source: object = document
    if name(document).startswith(_WITH_ITEMS) and (rows := items(document)):
        who = [text(document.get(key)) for key in ("Event", "FromUserName", "CreateTime")]
        source = [who, sorted([row.get(key, "") for key in _ITEM_KEYS] for row in rows)]
    return sha256(json.dumps(source, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
