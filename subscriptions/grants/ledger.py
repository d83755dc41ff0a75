"""The ledger of consent: the only writer of ``Grant.state`` and ``Subscription.state``.

A unit is granted, reserved for one message, then spent or given back; or it lapses, or is revoked. Every change is a
compare-and-set on a set of rows; what was not in the expected state is left alone, and the count says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from subscriptions.grants import pairing
from subscriptions.grants.models import Answer, Grant, Subscription
from subscriptions.grants.pairing import NewAnswer
from subscriptions.people.models import Subscriber
from templates_app.models import MessageTemplate

LAPSE_BATCH = 5000


class Recorded(NamedTuple):
    """How many answers were new, and how many units they granted."""

    answers: int
    units: int


def record(answers: Sequence[NewAnswer]) -> Recorded:
    """Write answers down and grant what they are worth; an answer already known changes nothing.

    Reports of one person are taken one after the other, so pairing and the cap see all that came before.
    """
    with transaction.atomic():
        persons = Subscriber.objects.filter(pk__in={new.subscriber_id for new in answers})
        list(persons.select_for_update().order_by("pk").values_list("pk"))
        fresh = _unknown(answers)
        pairs = pairing.find(fresh)
        worth = pairing.worth(fresh, pairs=pairs)
        rows = Answer.objects.bulk_create(
            [_row(new, units=worth[new.identity], pair=pairs.get(new.identity)) for new in fresh], batch_size=500
        )
        grants = [grant for new, row in zip(fresh, rows, strict=True) for grant in _grants_of(new, answer=row)]
        Grant.objects.bulk_create(grants, batch_size=500)
        _turn_on({(new.template.pk, new.subscriber_id) for new in fresh if new.agrees})
    return Recorded(answers=len(rows), units=len(grants))


def _unknown(answers: Sequence[NewAnswer]) -> list[NewAnswer]:
    known = set(
        Answer.objects.filter(
            subscriber_id__in={new.subscriber_id for new in answers},
            request_key__in={new.request_key for new in answers},
        ).values_list("subscriber_id", "template_id", "request_key")
    )
    unique = {new.identity: new for new in answers}
    return [new for identity, new in unique.items() if identity not in known]


def _row(new: NewAnswer, *, units: int, pair: Answer | None) -> Answer:
    return Answer(
        subscriber_id=new.subscriber_id,
        template=new.template,
        scene_id=new.scene_id,
        answer=new.answer,
        source=new.source,
        units=units,
        request_key=new.request_key,
        answered_at=new.answered_at,
        pair=pair,
    )


def _grants_of(new: NewAnswer, *, answer: Answer) -> Iterable[Grant]:
    days = new.template.validity_days
    expires_at = new.answered_at + timedelta(days=days) if days else None
    return (
        Grant(
            subscriber_id=new.subscriber_id,
            template=new.template,
            answer=answer,
            granted_at=new.answered_at,
            expires_at=expires_at,
        )
        for _ in range(answer.units)
    )


def _turn_on(pairs: Collection[tuple[int, int]]) -> None:
    Subscription.objects.bulk_create(
        [Subscription(template_id=template_id, subscriber_id=subscriber_id) for template_id, subscriber_id in pairs],
        update_conflicts=True,
        unique_fields=["template", "subscriber"],
        update_fields=["state", "changed_at"],
        batch_size=500,
    )


def in_stock(*, template: MessageTemplate) -> QuerySet[Grant]:
    """Return the units of a template that could be used this moment."""
    return Grant.objects.filter(unexpired(), template=template, state=Grant.State.AVAILABLE)


def unexpired() -> Q:
    """Return the condition that a unit is still valid this moment."""
    return Q(expires_at__isnull=True) | Q(expires_at__gt=Now())


def reserve(*, template: MessageTemplate, subscriber_ids: Collection[int]) -> dict[int, int]:
    """Take one unit of each person who has one, the soonest to lapse first; call it inside the claim's transaction.

    Returns subscriber id → grant id. A unit somebody else is just taking is passed over.
    """
    rows = (
        in_stock(template=template)
        .filter(subscriber_id__in=subscriber_ids)
        .select_for_update(skip_locked=True)
        .order_by("subscriber_id", F("expires_at").asc(nulls_last=True), "id")
        .values_list("subscriber_id", "id")
    )
    taken: dict[int, int] = {}
    for subscriber_id, grant_id in rows:
        taken.setdefault(subscriber_id, grant_id)
    Grant.objects.filter(pk__in=taken.values(), state=Grant.State.AVAILABLE).update(state=Grant.State.RESERVED)
    return taken


def spend(grant_ids: Collection[int]) -> int:
    """The message left: its unit is gone. Returns how many units were reserved and now are spent."""
    if not grant_ids:
        return 0
    return Grant.objects.filter(pk__in=grant_ids, state=Grant.State.RESERVED).update(
        state=Grant.State.SPENT, settled_at=Now()
    )


def give_back(grant_ids: Collection[int]) -> int:
    """The message surely did not count: return its unit, unless the person has turned the template off meanwhile."""
    if not grant_ids:
        return 0
    reserved = Grant.objects.filter(pk__in=grant_ids, state=Grant.State.RESERVED)
    turned_off = Subscription.objects.filter(
        template=OuterRef("template"), subscriber=OuterRef("subscriber"), state=Subscription.State.OFF
    )
    revoked = reserved.filter(Exists(turned_off)).update(state=Grant.State.REVOKED, settled_at=Now())
    return revoked + reserved.update(state=Grant.State.AVAILABLE)


def revoke_refused(*, template: MessageTemplate, refused: Collection[tuple[int, int, datetime]]) -> int:
    """WeChat said "not subscribed" (43101): what we held when the message left is void, newer units are not.

    ``refused`` is (subscriber id, grant id of the message or 0, moment it left). Returns how many units were revoked.
    """
    revoked = 0
    for subscriber_id, grant_id, left_at in refused:
        held = Grant.objects.filter(
            Q(pk=grant_id, state=Grant.State.RESERVED)
            | Q(state=Grant.State.AVAILABLE, template=template, subscriber_id=subscriber_id, granted_at__lte=left_at)
        )
        revoked += held.update(state=Grant.State.REVOKED, settled_at=Now())
    return revoked


def turn_off(*, template: MessageTemplate, subscriber_ids: Collection[int], at: datetime) -> int:
    """The person turned the template off: the standing relation is off and every unit granted by then is void.

    Returns how many units were revoked. Units in flight follow when they come back (see ``give_back``).
    """
    with transaction.atomic():
        Subscription.objects.bulk_create(
            [
                Subscription(template=template, subscriber_id=subscriber_id, state=Subscription.State.OFF)
                for subscriber_id in subscriber_ids
            ],
            update_conflicts=True,
            unique_fields=["template", "subscriber"],
            update_fields=["state", "changed_at"],
        )
        return Grant.objects.filter(
            template=template, subscriber_id__in=subscriber_ids, state=Grant.State.AVAILABLE, granted_at__lte=at
        ).update(state=Grant.State.REVOKED, settled_at=Now())


def lapse() -> int:
    """Let units past their validity lapse, one batch at a time; returns how many did (0: none are left)."""
    due = Grant.objects.filter(state=Grant.State.AVAILABLE, expires_at__lte=Now()).order_by("expires_at")
    batch = list(due.values_list("pk", flat=True)[:LAPSE_BATCH])
    return Grant.objects.filter(pk__in=batch, state=Grant.State.AVAILABLE).update(
        state=Grant.State.LAPSED, settled_at=Now()
    )
