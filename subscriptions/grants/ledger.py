"""The ledger of consent, which writes the states of units (with ``validity``) and of relations (with ``forgetting``).

A unit is granted, reserved for one message, then spent or given back; or it lapses, or is revoked. Every change is a
compare-and-set on a set of rows; what was not in the expected state is left alone, and the count says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Now
from django.utils import timezone

from notify_platform.core.bulk import Among, Still, update_from_values
from subscriptions.grants import answers, pairing
from subscriptions.grants.conditions import end_after, turned_off_since, unexpired
from subscriptions.grants.models import Answer, Drift, Grant, Source, Subscription
from subscriptions.grants.pairing import BAN, REJECT, NewAnswer
from subscriptions.grants.validity import revive, void
from subscriptions.grants.worth import Moved, NewUnits, end_of, of_imports, of_popups
from subscriptions.people import people
from templates_app.models import MessageTemplate

# What WeChat or an operator imposed; only the person's own answer lifts it, never a file.
IMPOSED = frozenset({Subscription.State.BANNED, Subscription.State.SUSPENDED})

# Template id, subscriber id.
Relation = tuple[int, int]


class Recorded(NamedTuple):
    """How many answers were new, and how many units they granted."""

    answers: int
    units: int


class TurnedOff(NamedTuple):
    """A person said no to a template as a whole: what was granted by then is void."""

    template_id: int
    subscriber_id: int
    at: datetime


class Refusal(NamedTuple):
    """WeChat said "not subscribed" (43101) to a message that left at ``left_at``, holding ``grant_id`` (0: none)."""

    subscriber_id: int
    grant_id: int
    left_at: datetime


def record(told: Sequence[NewAnswer]) -> Recorded:
    """Write answers down and grant what they are worth; an answer already known changes nothing.

    A yes from before the person last turned the template off grants nothing: WeChat has voided it. What a refused
    popup does to the stock WeChat leaves open: the mini-program's ``reject_revokes`` decides.
    """
    witnesses: dict[Source, list[NewAnswer]] = {}
    for new in told:
        witnesses.setdefault(new.source, []).append(new)
    # Often part of a report's transaction; none of its own errors is caught inside.
    with transaction.atomic(savepoint=False):
        people.take_turns({new.subscriber_id for new in told})
        each = [_record(some) for some in witnesses.values()]
    return Recorded(answers=sum(one.answers for one in each), units=sum(one.units for one in each))


def _record(told: Sequence[NewAnswer]) -> Recorded:
    """Write down what one witness tells; the people are locked."""
    fresh = answers.unknown(told)
    relations = answers.relations(fresh)
    void_until = {key: relation.turned_off_at for key, relation in relations.items() if relation.turned_off_at}
    popups = pairing.popups(fresh)
    worth = of_popups(popups, void_until=void_until)
    worth.new += of_imports(fresh, void_until=void_until)
    rows = answers.write_down(fresh, popups=popups, worth=worth)
    units = Grant.objects.bulk_create([unit for new in worth.new for unit in _grants_of(new)], batch_size=500)
    _move(worth.moved)
    answers.recount(worth.recounted)
    _turn_on([new for new in fresh if new.agrees], relations=relations)
    _ban(new for new in fresh if new.answer == BAN and not _is_overtaken(new, relations.get(_relation(new))))
    turn_off([TurnedOff(*_relation(new), new.answered_at) for new in fresh if _revokes(new)])
    return Recorded(answers=len(rows), units=len(units))


def _grants_of(new: NewUnits) -> Iterable[Grant]:
    return (
        Grant(
            subscriber_id=new.subscriber_id,
            template=new.template,
            answer_id=new.told.answer_id,
            granted_at=new.moment,
            expires_at=end_of(new.moment, template=new.template),
        )
        for _ in range(new.units)
    )


def _move(moved: Sequence[Moved]) -> None:
    """Let units follow their popups: to other reports, and to other moments, which may make them void or not."""
    if not moved:
        return
    units = Grant.objects.filter(pk__in=[one.grant_id for one in moved])
    # What was revoked because the template was turned off may turn out not to have been granted by then.
    settled = Q(state=Grant.State.LAPSED) | Q(revoked_by=Grant.RevokedBy.PERSON)
    doubtful = list(units.filter(settled).values_list("pk", flat=True))
    update_from_values(
        Grant,
        columns=["answer", "granted_at", "expires_at"],
        rows=[(one.grant_id, one.told.answer_id, one.granted_at, one.expires_at) for one in moved],
        only_if="TRUE",
    )
    void(units.filter(turned_off_since(), state=Grant.State.AVAILABLE), by=Grant.RevokedBy.PERSON)
    revive(units.filter(settled, pk__in=doubtful))


def _relation(new: NewAnswer) -> Relation:
    return (new.template.pk, new.subscriber_id)


def _turn_on(agreeing: Sequence[NewAnswer], *, relations: Mapping[Relation, Subscription]) -> None:
    """Turn on what a newer yes turns on; the people are locked, so ``relations`` still holds."""
    news = (new for new in agreeing if _turns_on(new, relations.get(_relation(new))))
    newest = {_relation(new): new for new in sorted(news, key=lambda one: one.answered_at)}
    said = {key: new.answered_at for key, new in newest.items()}
    banned = answers.banned_later(said, relations=relations.values())
    Subscription.objects.bulk_create(
        [
            Subscription(
                template_id=key[0],
                subscriber_id=key[1],
                decided_at=at,
                state=Subscription.State.BANNED if key in banned else Subscription.State.ON,
            )
            for key, at in said.items()
        ],
        update_conflicts=True,
        unique_fields=["template", "subscriber"],
        update_fields=["state", "decided_at", "changed_at"],
        batch_size=500,
    )


def _is_overtaken(new: NewAnswer, relation: Subscription | None) -> bool:
    """Whether the person has decided since."""
    return relation is not None and relation.decided_at is not None and relation.decided_at > new.answered_at


def _turns_on(new: NewAnswer, relation: Subscription | None) -> bool:
    if relation is None:
        return True
    if new.source == Source.IMPORT and relation.state in IMPOSED:
        return False
    return relation.decided_at is None or new.answered_at > relation.decided_at


def _ban(told: Iterable[NewAnswer]) -> None:
    """WeChat does not let these people be asked for the template; what they hold is kept."""
    Subscription.objects.bulk_create(
        [
            Subscription(template_id=template_id, subscriber_id=subscriber_id, state=Subscription.State.BANNED)
            for template_id, subscriber_id in dict.fromkeys(_relation(new) for new in told)
        ],
        update_conflicts=True,
        unique_fields=["template", "subscriber"],
        update_fields=["state", "changed_at"],
    )


def lift_ban(template: MessageTemplate, *, before: datetime | None = None) -> int:
    """WeChat allows the template again: its relations are what people last decided. Returns how many there are.

    ``before``: only those whose ban no phone met then or later, and none that somebody is just writing; their own word
    decides, and waiting for them while others wait for us would be for ever.
    """
    banned = Subscription.objects.filter(template=template, state=Subscription.State.BANNED)
    if before is not None:
        met = Answer.objects.filter(template=template, subscriber=OuterRef("subscriber"), answer=BAN)
        older = banned.exclude(Exists(met.filter(answered_at__gte=before)))
        banned = banned.filter(pk__in=older.select_for_update(skip_locked=True).values("pk"))
    decided_on = Q(decided_at__isnull=False) & (Q(turned_off_at__isnull=True) | Q(turned_off_at__lt=F("decided_at")))
    allowed = Case(
        When(decided_on, then=Value(Subscription.State.ON.value)), default=Value(Subscription.State.OFF.value)
    )
    with transaction.atomic():
        return banned.update(state=allowed, changed_at=Now())


def _revokes(new: NewAnswer) -> bool:
    return new.answer == REJECT and new.template.mini_program.reject_revokes


def in_stock(*, template: MessageTemplate) -> QuerySet[Grant]:
    """Return the units of a template that could be used this moment."""
    return Grant.objects.filter(unexpired(), template=template, state=Grant.State.AVAILABLE)


def _available() -> Q:
    if connection.vendor == "sqlite":
        # It has no statistics, and would go through all units in stock, of everybody.
        return Q(Still("state", Grant.State.AVAILABLE))
    return Q(state=Grant.State.AVAILABLE)


def reserve(*, template: MessageTemplate, subscriber_ids: Collection[int]) -> dict[int, int]:
    """Take one unit of each person who has one, the soonest to lapse first; call it inside the claim's transaction.

    Returns subscriber id → grant id. A unit somebody else is just taking is passed over.
    """
    rows = (
        Grant.objects.filter(unexpired(), _available(), Among("subscriber_id", subscriber_ids), template=template)
        .select_for_update(skip_locked=True)
        .order_by("subscriber_id", F("expires_at").asc(nulls_last=True), "id")
        .values_list("subscriber_id", "id")
    )
    taken: dict[int, int] = {}
    for subscriber_id, grant_id in rows:
        taken.setdefault(subscriber_id, grant_id)
    still = Still("state", Grant.State.AVAILABLE)
    Grant.objects.filter(Among("pk", taken.values()), still).update(state=Grant.State.RESERVED)
    return taken


def spend(grant_ids: Collection[int]) -> int:
    """The message left: its unit is gone. Returns how many units were reserved and now are spent."""
    if not grant_ids:
        return 0
    return Grant.objects.filter(Among("pk", grant_ids), Still("state", Grant.State.RESERVED)).update(
        state=Grant.State.SPENT, settled_at=Now()
    )


def give_back(grant_ids: Collection[int]) -> int:
    """The message surely did not count: return its unit, unless the person has turned the template off meanwhile.

    The caller's message held the unit; it may be spent by now because policy counted an unknown message as sent.
    """
    if not grant_ids:
        return 0
    held = Grant.objects.filter(pk__in=grant_ids, state__in=[Grant.State.RESERVED, Grant.State.SPENT])
    # Whoever turns a template off holds its units: the relations are looked at when he is done.
    locked = held.select_for_update(of=("self",)).order_by("pk")
    validities = set(locked.values_list("template", "template__validity_days"))
    revoked = void(held.filter(turned_off_since()), by=Grant.RevokedBy.PERSON)
    # While it was in use its popup may have turned out to be another one's (see ``worth``).
    returned = (
        held.filter(template=template).update(state=Grant.State.AVAILABLE, settled_at=None, expires_at=end_after(days))
        for template, days in validities
    )
    return revoked + sum(returned)


def revoke_refused(*, template: MessageTemplate, refusals: Collection[Refusal]) -> int:
    """WeChat said "not subscribed": what we held when the message left is void, newer units are not.

    Units of a counted template that are revoked so are *drift*, written down for each person; a long-term template is
    turned off. Returns how many units were revoked.
    """
    if not template.is_counted:
        return turn_off([TurnedOff(template.pk, refusal.subscriber_id, refusal.left_at) for refusal in refusals])
    left_at = {refusal.subscriber_id: refusal.left_at for refusal in refusals}
    in_hand = {refusal.grant_id for refusal in refusals}
    with transaction.atomic():
        people.take_turns(left_at)
        # Policy may have counted the message as sent by now.
        ours = Q(state__in=Grant.COUNTABLE) | Q(state=Grant.State.SPENT, pk__in=in_hand)
        held = Grant.objects.filter(ours, template=template, subscriber_id__in=left_at)
        refused = {
            grant.pk: grant.subscriber_id
            for grant in held.select_for_update().order_by("pk")
            if (_is_older(grant, left_at) if grant.state == Grant.State.AVAILABLE else grant.pk in in_hand)
        }
        revoked = void(Grant.objects.filter(pk__in=refused), by=Grant.RevokedBy.WECHAT)
        Drift.objects.bulk_create(
            Drift(template=template, subscriber_id=subscriber_id, units=units, at=left_at[subscriber_id])
            for subscriber_id, units in Counter(refused.values()).items()
        )
    return revoked


def _is_older(grant: Grant, left_at: Mapping[int, datetime]) -> bool:
    return grant.granted_at <= left_at[grant.subscriber_id]


def turn_off(decisions: Collection[TurnedOff]) -> int:
    """People turned templates off: every unit granted by then is void, and the standing relation is off.

    A relation turned on later than that stays on: the news is old. Returns how many units were revoked. Units in
    flight follow when they come back (see ``give_back``), reports of older answers find them void (see ``record``).
    """
    if not decisions:
        return 0
    latest: dict[Relation, datetime] = {}
    for template_id, subscriber_id, at in decisions:
        relation = (template_id, subscriber_id)
        latest[relation] = max(at, latest.get(relation, at))
    with transaction.atomic():
        people.take_turns({subscriber_id for _template_id, subscriber_id in latest})
        concerned = Grant.objects.filter(
            template_id__in={template_id for template_id, _subscriber_id in latest},
            subscriber_id__in={subscriber_id for _template_id, subscriber_id in latest},
        )
        # Also those in flight: whoever gives one back waits for us, and finds it void (see ``give_back``).
        held = concerned.filter(state__in=Grant.COUNTABLE).select_for_update().order_by("pk")
        list(held.values_list("pk"))
        _write_off(latest)
        return void(concerned.filter(turned_off_since(), state=Grant.State.AVAILABLE), by=Grant.RevokedBy.PERSON)


def _write_off(latest: Mapping[Relation, datetime]) -> None:
    Subscription.objects.bulk_create(
        [Subscription(template_id=template_id, subscriber_id=subscriber_id) for template_id, subscriber_id in latest],
        ignore_conflicts=True,
    )
    told = Subscription.objects.filter(
        template_id__in={template_id for template_id, _subscriber_id in latest},
        subscriber_id__in={subscriber_id for _template_id, subscriber_id in latest},
    )
    known = {(one.template_id, one.subscriber_id): one for one in told}
    banned = answers.banned_later(latest, relations=known.values())
    update_from_values(
        Subscription,
        columns=["turned_off_at"],
        rows=[(known[key].pk, at) for key, at in latest.items()],
        only_if="(t.turned_off_at IS NULL OR t.turned_off_at < v.column2)",
    )
    # Of a yes and a no in the same instant, the no counts: it revokes the unit, too.
    off, now = Subscription.State.OFF, timezone.now()
    update_from_values(
        Subscription,
        columns=["decided_at", "state", "changed_at"],
        rows=[(known[key].pk, at, known[key].state if key in banned else off, now) for key, at in latest.items()],
        only_if="(t.decided_at IS NULL OR t.decided_at <= v.column2)",
    )
