"""The platform's own log: a line for a person or JSON for a machine, and in neither a secret or a whole openid.

What a line is about (the request, the mini-program, the job, the messages) stands in fields of its own: given with
``extra=``, or by ``about`` for everything that is logged within.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

# Where a request carries its name.
REQUEST_ID: Final = "HTTP_X_REQUEST_ID"
# ``deliveries`` is a list of ids, everything else one.
FIELDS: Final = ("request_id", "mini_program", "job", "deliveries")
# A wave may hold more messages than anybody reads in one line.
MOST_IDS: Final = 50
_GONE: Final = "***"
_WORD: Final = "[0-9A-Za-z_-]"
# ``access_token=…``, ``"secret": "…"``, ``AppSecret: …``: whatever stands behind such a name.
_NAMED: Final = re.compile(
    r"""((?:token|secret|password|passwd|js_code|session_key|aes_?key|api[_-]?key|authorization|cookie)["']?\s*[=:]\s*)"""
    r"""(?:"[^"]*"|'[^']*'|[^\s"',;&)\]}]+)""",
    re.IGNORECASE,
)
_SHOWN: Final = re.compile(r"\b(Bearer|Api-Key|Basic)\s+[^\s\"',;]+", re.IGNORECASE)
# postgres://user:password@host
_LOGIN: Final = re.compile(r"(://)[^/\s@]+@")
# Access tokens, app secrets, session tokens, keys: long, and with a digit, which names of functions seldom have.
_LONG: Final = re.compile(rf"(?<!{_WORD})(?={_WORD}*[0-9]){_WORD}{{32,}}=*")
# EncodingAESKey and whatever else is base64: letters of both sizes and a digit, or it may be a path.
_BASE64: Final = re.compile(
    r"(?<![\w+/.-])(?=[\w+/]*[a-z])(?=[\w+/]*[A-Z])(?=[\w+/]*[0-9])[0-9A-Za-z+/]{40,}={0,2}(?![\w+/.-])"
)
# WeChat's openids and unionids: an o and 27 or a few more. A word of our own has neither digits nor capitals.
_OPENID: Final = re.compile(rf"(?<!{_WORD})o(?={_WORD}*[0-9A-Z]){_WORD}{{23,26}}({_WORD}{{4}})(?!{_WORD})")
# A line break in what somebody sent would begin a line of his own.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")

_about: ContextVar[Mapping[str, Any]] = ContextVar("about", default=MappingProxyType({}))


@contextmanager
def about(**fields: Any) -> Iterator[None]:
    """Say what everything logged within is about, in this thread; the inner words go before the outer ones."""
    token = _about.set({**_about.get(), **fields})
    try:
        yield
    finally:
        _about.reset(token)


def add(**fields: Any) -> None:
    """Say more of what is logged from here on, until the surrounding ``about`` ends."""
    _about.set({**_about.get(), **fields})


def redact(text: str) -> str:
    """Return a text without anything that looks like a secret; of an openid the last four letters stay."""
    text = _SHOWN.sub(rf"\1 {_GONE}", text)
    text = _NAMED.sub(rf"\1{_GONE}", text)
    text = _LOGIN.sub(rf"\1{_GONE}@", text)
    text = _LONG.sub(_GONE, text)
    text = _BASE64.sub(_GONE, text)
    return _OPENID.sub(r"o…\1", text)


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message, the fields that are known, and the error with its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage()),
            **_fields(record),
        }
        if record.exc_info:
            line["error"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """One line for a person; an error's traceback keeps its lines."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        message = _CONTROL.sub(lambda found: repr(found[0])[1:-1], redact(record.getMessage()))
        known = ", ".join(f"{name} {value}" for name, value in _fields(record).items())
        line = f"{self.formatTime(record)} {record.levelname} {record.name}: {message}"
        line += f" ({known})" if known else ""
        return f"{line}\n{redact(self.formatException(record.exc_info))}" if record.exc_info else line


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    known = {**_about.get(), **vars(record)}
    # Django says some things of a request when no middleware is around it any more.
    asked = getattr(known.get("request"), "META", {})
    known.setdefault("request_id", asked.get(REQUEST_ID))
    found = {name: known[name] for name in FIELDS if known.get(name)}
    if len(found.get("deliveries", ())) > MOST_IDS:
        found["deliveries"] = [*found["deliveries"][:MOST_IDS], f"… {len(found['deliveries'])}"]
    return found
