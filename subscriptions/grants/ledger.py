"""The ledger of consent: the only writer of ``Grant.state`` and ``Subscription.state``.

A unit is granted, reserved for one message, then spent or given back; or it lapses, or is revoked. Every change is a
compare-and-set on a set of rows; what was not in the expected state is left alone, and the count says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models import CharField, Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Cast, Concat, Now

from subscriptions.grants import pairing
from subscriptions.grants.models import Answer, Grant, Source, Subscription
from subscriptions.grants.pairing import NewAnswer
from subscriptions.people.models import Subscriber
from templates_app.models import MessageTemplate

LAPSE_BATCH = 5000
# What WeChat or an operator imposed; only the person's own answer lifts it, never a file.
IMPOSED = frozenset({Subscription.State.BANNED, Subscription.State.SUSPENDED})

# Template id, subscriber id.
Relation = tuple[int, int]


class Recorded(NamedTuple):
    """How many answers were new, and how many units they granted."""

    answers: int
    units: int


def record(answers: Sequence[NewAnswer]) -> Recorded:
    """Write answers down and grant what they are worth; an answer already known changes nothing.

    A yes from before the person last turned the template off grants nothing: WeChat has voided it.
    """
    with transaction.atomic():
        _take_turns({new.subscriber_id for new in answers})
        fresh = _unknown(answers)
        relations = _relations(fresh)
        pairs = pairing.find(fresh)
        worth = pairing.worth([new for new in fresh if not _is_void(new, relations)], pairs=pairs)
        rows = Answer.objects.bulk_create(
            [_row(new, units=worth.get(new.identity, 0), pair=pairs.get(new.identity)) for new in fresh], batch_size=500
        )
        grants = [grant for new, row in zip(fresh, rows, strict=True) for grant in _grants_of(new, answer=row)]
        Grant.objects.bulk_create(grants, batch_size=500)
        _turn_on([new for new in fresh if new.agrees], relations=relations)
    return Recorded(answers=len(rows), units=len(grants))


def _take_turns(subscriber_ids: Collection[int]) -> None:
    """Let what is said of one person be written one after the other; each then sees all that came before."""
    list(Subscriber.objects.filter(pk__in=subscriber_ids).select_for_update().order_by("pk").values_list("pk"))


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


def _relation(new: NewAnswer) -> Relation:
    return (new.template.pk, new.subscriber_id)


def _relations(fresh: Sequence[NewAnswer]) -> dict[Relation, Subscription]:
    known = Subscription.objects.filter(
        template_id__in={new.template.pk for new in fresh}, subscriber_id__in={new.subscriber_id for new in fresh}
    )
    return {(relation.template_id, relation.subscriber_id): relation for relation in known}


def _is_void(new: NewAnswer, relations: Mapping[Relation, Subscription]) -> bool:
    relation = relations.get(_relation(new))
    return bool(relation and relation.turned_off_at and new.answered_at <= relation.turned_off_at)


def _turn_on(agreeing: Sequence[NewAnswer], *, relations: Mapping[Relation, Subscription]) -> None:
    """Turn on what a newer yes turns on; the people are locked, so ``relations`` still holds."""
    news = (new for new in agreeing if _turns_on(new, relations.get(_relation(new))))
    newest = {_relation(new): new for new in sorted(news, key=lambda one: one.answered_at)}
    Subscription.objects.bulk_create(
        [
            Subscription(template=new.template, subscriber_id=new.subscriber_id, decided_at=new.answered_at)
            for new in newest.values()
        ],
        update_conflicts=True,
        unique_fields=["template", "subscriber"],
        update_fields=["state", "decided_at", "changed_at"],
        batch_size=500,
    )


def _turns_on(new: NewAnswer, relation: Subscription | None) -> bool:
    if relation is None:
        return True
    if new.source == Source.IMPORT and relation.state in IMPOSED:
        return False
    return relation.decided_at is None or new.answered_at > relation.decided_at


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
    """The message surely did not count: return its unit, unless the person has turned the template off meanwhile.

    The caller's message held the unit; it may be spent by now because policy counted an unknown message as sent.
    """
    if not grant_ids:
        return 0
    held = Grant.objects.filter(pk__in=grant_ids, state__in=[Grant.State.RESERVED, Grant.State.SPENT])
    turned_off = Subscription.objects.filter(
        template=OuterRef("template"), subscriber=OuterRef("subscriber"), turned_off_at__gte=OuterRef("granted_at")
    )
    revoked = held.filter(Exists(turned_off)).update(state=Grant.State.REVOKED, settled_at=Now())
    return revoked + held.update(state=Grant.State.AVAILABLE, settled_at=None)


def revoke_refused(*, template: MessageTemplate, refused: Collection[tuple[int, int, datetime]]) -> int:
    """WeChat said "not subscribed" (43101): what we held when the message left is void, newer units are not.

    ``refused`` is (subscriber id, grant id of the message or 0, moment it left). Returns how many units were revoked.
    """
    revoked = 0
    for subscriber_id, grant_id, left_at in sorted(refused):
        held = Grant.objects.filter(
            Q(pk=grant_id, state=Grant.State.RESERVED)
            | Q(state=Grant.State.AVAILABLE, template=template, subscriber_id=subscriber_id, granted_at__lte=left_at)
        )
        revoked += held.update(state=Grant.State.REVOKED, settled_at=Now())
    return revoked


def turn_off(*, template: MessageTemplate, subscriber_ids: Collection[int], at: datetime) -> int:
    """The person turned the template off: every unit granted by then is void, and the standing relation is off.

    A relation turned on later than ``at`` stays on: the news is old. Returns how many units were revoked. Units in
    flight follow when they come back (see ``give_back``), reports of older answers find them void (see ``record``).
    """
    with transaction.atomic():
        _take_turns(subscriber_ids)
        Subscription.objects.bulk_create(
            [Subscription(template=template, subscriber_id=subscriber_id) for subscriber_id in subscriber_ids],
            ignore_conflicts=True,
        )
        relations = Subscription.objects.filter(template=template, subscriber_id__in=subscriber_ids)
        relations.filter(Q(turned_off_at__isnull=True) | Q(turned_off_at__lt=at)).update(turned_off_at=at)
        # Of a yes and a no in the same instant, the no counts: it revokes the unit, too.
        relations.filter(Q(decided_at__isnull=True) | Q(decided_at__lte=at)).update(
            state=Subscription.State.OFF, decided_at=at, changed_at=Now()
        )
        return Grant.objects.filter(
            template=template, subscriber_id__in=subscriber_ids, state=Grant.State.AVAILABLE, granted_at__lte=at
        ).update(state=Grant.State.REVOKED, settled_at=Now())


def lapse() -> int:
    """Let units past their validity lapse, one batch at a time; returns how many did (0: none are left)."""
    due = Grant.objects.filter(state=Grant.State.AVAILABLE, expires_at__lte=Now()).order_by("expires_at", "pk")
    with transaction.atomic():
        # It waits for nobody: whoever revokes units holds them in an order of his own, and both would wait for ever.
        batch = list(due.select_for_update(skip_locked=True).values_list("pk", flat=True)[:LAPSE_BATCH])
        return Grant.objects.filter(pk__in=batch, state=Grant.State.AVAILABLE).update(
            state=Grant.State.LAPSED, settled_at=Now()
        )


def forget(subscriber_ids: Collection[int]) -> int:
    """These people are to be forgotten: their units are void, and nothing is on any more. Returns the units revoked.

    What is in flight is spent by its message, or comes back as void (see ``give_back``). Answers keep what was said
    and when, and lose the phone's own words for the request.
    """
    with transaction.atomic():
        _take_turns(subscriber_ids)
        theirs = Grant.objects.filter(subscriber__in=subscriber_ids)
        relations = theirs.values_list("template_id", "subscriber_id").order_by("template_id", "subscriber_id")
        Subscription.objects.bulk_create(
            [Subscription(template_id=template, subscriber_id=person) for template, person in relations.distinct()],
            ignore_conflicts=True,
            batch_size=500,
        )
        Subscription.objects.filter(subscriber__in=subscriber_ids).update(
            state=Subscription.State.OFF,
            decided_at=Now(),
            turned_off_at=Now(),
            changed_at=Now(),
            muted_at=None,
            always_keep="",
        )
        Answer.objects.filter(subscriber__in=subscriber_ids).update(request_key=_nameless())
        return theirs.filter(state=Grant.State.AVAILABLE).update(state=Grant.State.REVOKED, settled_at=Now())


def _nameless() -> Concat:
    """Return a request key that says nothing, and is like no other."""
    return Concat(Value("forgotten:"), Cast("pk", CharField()))
