"""The key a card carries (``?nk=``): which delivery it was, signed, and nothing stored."""

from __future__ import annotations

import base64
import hmac
from hashlib import sha256

from django.conf import settings

PARAMETER = "nk"
_TAG_BYTES = 10


def make(delivery_id: int) -> str:
    """Return the key of a delivery."""
    return f"{delivery_id:x}.{_tag(delivery_id)}"


def read(key: str) -> int | None:
    """Return the delivery id of a key, None when it was not made by us."""
    number, dot, tag = key.partition(".")
    try:
        delivery_id = int(number, 16)
    except ValueError:
        return None
    if not dot or not hmac.compare_digest(tag.encode(), _tag(delivery_id).encode()):
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
