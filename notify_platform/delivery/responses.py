"""What people do with a card: they tap it, pass it on, reach a goal after it, say what they think of it."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from notify_platform.core.errors import Refused
from notify_platform.delivery import keys
from notify_platform.delivery.models import Conversion, Delivery, Feedback, Open
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


def record_conversion(
    subscriber: Subscriber, *, goal: str, value: Decimal | None, key: str = "", request_key: str = ""
) -> bool:
    """Somebody reached a goal, perhaps by a card's ``key``; return whether it counts as that card's doing.

    It does when the card was theirs; which card led there is never guessed. The same ``request_key`` again writes
    nothing and is answered alike. Raises ``Refused`` for a key we did not make.
    """
    delivery_id = _read(key) if key else None
    if delivery_id is not None and not _is_of(subscriber, delivery_id=delivery_id):
        delivery_id = None
    reached = Conversion(
        subscriber=subscriber, delivery_id=delivery_id, goal=goal, value=value, request_key=request_key, at=Now()
    )
    with transaction.atomic():
        Conversion.objects.bulk_create([reached], ignore_conflicts=True)
        if request_key:
            first = Conversion.objects.filter(subscriber=subscriber, request_key=request_key)
            delivery_id = first.values_list("delivery_id", flat=True).get()
    return delivery_id is not None


def record_feedback(subscriber: Subscriber, *, key: str, kind: Feedback.Kind, text: str) -> None:
    """The person says what they think of their card; the latest word replaces the one before.

    Raises ``Refused`` for a key we did not make, and for somebody else's card.
    """
    delivery_id = _read(key)
    if not _is_of(subscriber, delivery_id=delivery_id):
        sentence = _("This card was sent to somebody else.")
        raise Refused(sentence, code="not_your_card", fields={"nk": sentence})
    Feedback.objects.bulk_create(
        [Feedback(delivery_id=delivery_id, subscriber=subscriber, kind=kind, text=text, at=Now())],
        update_conflicts=True,
        unique_fields=["delivery"],
        update_fields=["kind", "text", "at"],
    )


def _read(key: str) -> int:
    delivery_id = keys.read(key)
    if delivery_id is None:
        sentence = _("This is not the key of a card.")
        raise Refused(sentence, code="bad_key", fields={"nk": sentence})
    return delivery_id


def _note_open(subscriber: Subscriber, *, delivery_id: int) -> bool:
    """Write the open down unless it is known; return whether the card was this person's."""
    if not _is_of(subscriber, delivery_id=delivery_id):
        return False
    Open.objects.bulk_create([Open(delivery_id=delivery_id, subscriber=subscriber, at=Now())], ignore_conflicts=True)
    return True


def _is_of(subscriber: Subscriber, *, delivery_id: int) -> bool:
    return Delivery.objects.filter(pk=delivery_id, subscriber=subscriber).exists()
