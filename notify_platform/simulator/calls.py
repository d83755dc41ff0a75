"""One HTTP call to the simulator, and the ways WeChat answers one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from functools import cached_property
from typing import Any

JSON_TYPE = "application/json; encoding=utf-8"  # WeChat's own spelling: "encoding", not "charset"
TEXT_TYPE = "text/plain"

# What WeChat says with each code; the texts are as seen in the wild.
ERRMSGS: dict[int, str] = {
    -1: "system error",
    404: "not found",
    20002: "parameter error",
    40001: "invalid credential, access_token is invalid or not latest, could get access_token by getStableAccessToken",
    40002: "invalid grant_type",
    40003: "invalid openid",
    40013: "invalid appid",
    40014: "invalid access_token",
    40029: "invalid code,",
    40037: "invalid template_id",
    40066: "invalid url",
    40125: "invalid appsecret",
    40129: "invalid scene",
    40163: "code been used",
    41001: "access_token missing",
    41002: "appid missing",
    41004: "appsecret missing",
    41008: "missing code",
    41030: "invalid page",
    42001: "access_token expired",
    43002: "require POST method",
    43101: "user refuse to accept the msg",
    43104: "appid not match with openid",
    43107: "subscribe message capability banned",
    43108: "Cannot make concurrent calls to the same OpenID, please try again",
    43116: "This template_id is banned",
    44002: "empty post data",
    45009: "reach max api daily quota limit",
    45011: "api minute-quota reach limit, must slower, retry next minute",
    45168: "keyword in blacklist",
    47001: "data format error",
    47003: "argument invalid!",
    48001: "api unauthorized",
    48006: "forbid to clear quota because of reaching the limit",
    61010: "code is expired",
    76001: "rid not found",
    76002: "invalid rid",
    76003: "rid or cgi_path does not belong to this account",
    76004: "rid is too old",
    76021: "cgi_path not found",
    76022: "could not use this cgi_path, no permission",
    200002: "invalid parameter",
    200012: "private template count reaches the limit",
    200014: "invalid tid",
    200016: "invalid start",
    200017: "invalid limit",
    200018: "ids missing",
    200019: "invalid ids",
    200020: "invalid kidList",
    200021: "invalid sceneDesc",
    200022: "template has added already",
}

# Raw bodies only: an escape of a character beyond ASCII, after an even number of backslashes.
_ESCAPED = re.compile(rb"(?<!\\)(?:\\\\)*\\u(?!00[0-7])[0-9a-fA-F]{4}")


class WeChatError(Exception):
    """WeChat's refusal of a call: a code, its text, and now and then a field more."""

    def __init__(self, code: int, text: str = "", *, extra: Mapping[str, Any] | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.text = text or ERRMSGS.get(code, "error")
        self.extra = dict(extra or {})


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back over the wire: body (bytes), HTTP status, content type, further headers."""

    body: bytes
    status: int = 200
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Silence:
    """No reply: the connection is reset (``reset``), or kept open without a word until the client leaves."""

    reset: bool


@dataclass
class Call:
    """One request: ``query`` holds the first value of each name, ``raw`` is the body as it came.

    ``query_string`` is the query as it came; ``headers`` find a name in any case; ``delay_s``: seconds that a fault
    rule adds before the call is judged.
    """

    method: str
    path: str
    query: dict[str, str]
    raw: bytes
    client_ip: str
    query_string: str = ""
    headers: Message = field(default_factory=Message)
    delay_s: float = field(default=0.0)

    @cached_property
    def document(self) -> dict[str, Any] | None:
        """The body as a JSON object, or None when it is anything else."""
        try:
            document = json.loads(self.raw.decode("utf-8"))
            if b"\\u" in self.raw:
                encoded(document)  # half a surrogate pair is no text, and could never be sent back
        except ValueError:
            return None
        return document if isinstance(document, dict) else None

    @property
    def is_escaped(self) -> bool:
        """Whether the body writes characters as ``\\uXXXX`` instead of raw UTF-8."""
        return b"\\u" in self.raw and _ESCAPED.search(self.raw) is not None

    def text(self, name: str) -> str:
        """Return a member of the body if it is text, else the empty text."""
        value = (self.document or {}).get(name)
        return value if isinstance(value, str) else ""

    def body(self) -> dict[str, Any]:
        """Return the body; raise 44002 when it is empty and 47001 when it is no JSON object."""
        if not self.raw:
            raise WeChatError(44002)
        if self.document is None:
            raise WeChatError(47001)
        return self.document


def encoded(document: object) -> bytes:
    """Return JSON in raw UTF-8, as WeChat writes it."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
