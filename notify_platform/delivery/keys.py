"""The key a card carries (``?nk=``): which delivery it was, signed, and nothing stored."""

from __future__ import annotations

import base64
import hmac
import re
from hashlib import sha256

from django.conf import settings

PARAMETER = "nk"
_TAG_BYTES = 10
# Exactly what ``make`` writes, and no second spelling of it: int() would take signs, spaces and underscores too.
_KEY = re.compile(r"([1-9a-f][0-9a-f]{0,15})\.([A-Za-z0-9_-]{14})")
_LARGEST_ID = 2**63 - 1


def make(delivery_id: int) -> str:
    """Return the key of a delivery."""
    return f"{delivery_id:x}.{_tag(delivery_id)}"


def read(key: str) -> int | None:
    """Return the delivery id of a key, None when it was not made by us; never raises, whatever the text."""
    parts = _KEY.fullmatch(key)
    if parts is None:
        return None
    delivery_id = int(parts[1], 16)
    if delivery_id > _LARGEST_ID or not hmac.compare_digest(parts[2], _tag(delivery_id)):
        return None
    return delivery_id


def add_to(page: str, *, delivery_id: int) -> str:
    """Return a card's page with its key; a card without a page stays without one."""
    if not page:
        return ""
    return f"{page}{'&' if '?' in page else '?'}{PARAMETER}={make(delivery_id)}"


def _tag(delivery_id: int) -> str:
    digest = hmac.digest(f"nk:{settings.SECRET_KEY}".encode(), str(delivery_id).encode(), sha256)
    return base64.urlsafe_b64encode(digest[:_TAG_BYTES]).decode("ascii").rstrip("=")
