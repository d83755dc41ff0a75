"""What people do with a card: they tap it, or pass it on."""

from __future__ import annotations

from enum import StrEnum

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from notify_platform.core.errors import Refused
from notify_platform.delivery import keys
from notify_platform.delivery.models import Delivery, Open
from subscriptions.models import Subscriber
from subscriptions.people import people


class Deed(StrEnum):
    """What a visit counts as."""

    OPEN = "open"
    SHARED_VISIT = "shared_visit"
    VISIT = "visit"


def record_open(subscriber: Subscriber, *, key: str) -> Deed:
    """Somebody came by a card's key: an open when the card was theirs (counted once), else a shared visit.

    Raises ``Refused`` for a key we did not make.
    """
    delivery_id = _read(key)
    with transaction.atomic():
        if _note_open(subscriber, delivery_id=delivery_id):
            return Deed.OPEN
        people.record_visit(subscriber, page="")
        return Deed.SHARED_VISIT


def record_visit(subscriber: Subscriber, *, page: str, key: str = "") -> Deed:
    """Somebody opened the mini-program at ``page``, perhaps by a card's ``key``: a visit, and an open as above.

    Raises ``Refused`` for a key we did not make; nothing is written then.
    """
    delivery_id = _read(key) if key else None
    with transaction.atomic():
        people.record_visit(subscriber, page=page)
        if delivery_id is None:
            return Deed.VISIT
        return Deed.OPEN if _note_open(subscriber, delivery_id=delivery_id) else Deed.SHARED_VISIT


def _read(key: str) -> int:
    delivery_id = keys.read(key)
    if delivery_id is None:
        sentence = _("This is not the key of a card.")
        raise Refused(sentence, code="bad_key", fields={"nk": sentence})
    return delivery_id


def _note_open(subscriber: Subscriber, *, delivery_id: int) -> bool:
    """Write the open down unless it is known; return whether the card was this person's."""
    if not Delivery.objects.filter(pk=delivery_id, subscriber=subscriber).exists():
        return False
    Open.objects.bulk_create([Open(delivery_id=delivery_id, subscriber=subscriber, at=Now())], ignore_conflicts=True)
    return True
