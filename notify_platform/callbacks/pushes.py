"""Reading what WeChat pushes: verify, decrypt, parse; JSON or XML, plain, compatible or safe mode.

Everything wrong with a push is ``BadPush``; the sender learns nothing more than that.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from notify_platform.wechat.signing import BadEnvelope, CallbackKeys, decrypt, signature_matches
from templates_app.models import MiniProgram

MAX_BODY_BYTES = 256 * 1024
MAX_XML_DEPTH = 8
# WeChat's own go three levels deep; every further reader of a document may recurse without a thought.
MAX_DEPTH = 32
# Valid in JSON, but PostgreSQL keeps no NUL and UTF-8 no lone surrogate.
UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")

Document = dict[str, Any]

# What tells two pushes apart: WeChat gives none an id, and two events of one person may fall in the same second.
_ITEM_KEYS = ("TemplateId", "SubscribeStatusString", "PopupScene", "MsgID", "MsgId", "ErrorCode")


class BadPush(Exception):
    """Not from WeChat, or not readable."""


def keyrings(mini_program: MiniProgram) -> list[CallbackKeys]:
    """Return the keys a push may be signed with: the current ones, then the previous ones while keys are changed."""
    pairs = [
        (mini_program.callback_token, mini_program.callback_aes_key),
        (mini_program.previous_callback_token, mini_program.previous_callback_aes_key),
    ]
    return [CallbackKeys(app_id=mini_program.app_id, token=token, aes_key=aes) for token, aes in pairs if token]


def verify_address(query: Mapping[str, str], *, keys: list[CallbackKeys]) -> str:
    """Return the echo of WeChat's address check (GET). Raises ``BadPush``."""
    parts = (query.get("timestamp", ""), query.get("nonce", ""))
    if not any(signature_matches(query.get("signature", ""), ring.token, *parts) for ring in keys):
        raise BadPush("signature")
    return query.get("echostr", "")


def read(body: bytes, *, query: Mapping[str, str], keys: list[CallbackKeys]) -> Document:
    """Return the verified content of a push (POST). Raises ``BadPush``.

    A body with an envelope is judged by ``msg_signature`` alone: the plain signature does not cover the content.
    """
    if len(body) > MAX_BODY_BYTES:
        raise BadPush("too large")
    envelope = query.get("encrypt_type", "") == "aes" or "msg_signature" in query
    if not envelope:
        _verify_plain(query, keys=keys)
        return parse(body)
    encrypted = parse(body).get("Encrypt")
    if not isinstance(encrypted, str):
        raise BadPush("no envelope")
    return parse(_open(encrypted, query=query, keys=keys))


def _verify_plain(query: Mapping[str, str], *, keys: list[CallbackKeys]) -> None:
    parts = (query.get("timestamp", ""), query.get("nonce", ""))
    for ring in keys:
        # With an EncodingAESKey set, WeChat signs the envelope; a bare body would be somebody else's.
        if not ring.aes_key and signature_matches(query.get("signature", ""), ring.token, *parts):
            return
    raise BadPush("signature")


def _open(encrypted: str, *, query: Mapping[str, str], keys: list[CallbackKeys]) -> bytes:
    parts = (query.get("timestamp", ""), query.get("nonce", ""), encrypted)
    for ring in keys:
        if ring.aes_key and signature_matches(query.get("msg_signature", ""), ring.token, *parts):
            try:
                return decrypt(encrypted, keys=ring)
            except BadEnvelope as error:
                raise BadPush("envelope") from error
    raise BadPush("signature")


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


def items(document: Document) -> list[dict[str, str]]:
    """Return the items of a subscription event as text, whatever shape they came in (object, array, flat, nested)."""
    nested = next((value for key, value in document.items() if key.startswith("SubscribeMsg")), None)
    found = document.get("List")
    if found is None and isinstance(nested, dict):
        found = nested.get("List", nested)
    elif found is None:
        found = nested
    rows = found if isinstance(found, list) else [found]
    return [{key: text(value) for key, value in row.items()} for row in rows if isinstance(row, dict)]


def text(value: object) -> str:
    """Return a text or a number as text, empty for anything else: lists and objects stand nowhere in these events."""
    return str(value).strip() if isinstance(value, str | int | float) else ""


def identity(document: Document) -> str:
    """Return the digest that makes a repeated push the same push."""
    marks = [[row.get(key, "") for key in _ITEM_KEYS] for row in items(document)]
    if marks:
        who = [text(document.get(key)) for key in ("Event", "FromUserName", "CreateTime")]
        source: object = [who, sorted(marks)]
    else:
        source = document
    return sha256(json.dumps(source, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
