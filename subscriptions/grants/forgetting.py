"""The consents of a person who is to be forgotten; beside ``ledger`` a writer of the states of relations."""

from __future__ import annotations

from collections.abc import Collection

from django.db import transaction
from django.db.models import CharField, Value
from django.db.models.functions import Cast, Concat, Now

from subscriptions.grants.models import Answer, Grant, Subscription
from subscriptions.grants.validity import void
from subscriptions.people import people


def forget(subscriber_ids: Collection[int]) -> int:
    """Revoke the units of these people and turn everything off; they stay locked. Returns how many units were revoked.

    What is in flight is spent by its message, or comes back as void (see ``ledger.give_back``). Answers keep what was
    said and when, and lose the phone's own words for the request.
    """
    with transaction.atomic():
        people.take_turns(subscriber_ids)
        theirs = Grant.objects.filter(subscriber__in=subscriber_ids)
        # As in ``ledger.turn_off``: whoever gives a unit back waits for us, and finds it void.
        list(theirs.filter(state__in=Grant.COUNTABLE).select_for_update().order_by("pk").values_list("pk"))
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
        Answer.objects.filter(subscriber__in=subscriber_ids).update(request_key=nameless())
        return void(theirs.filter(state=Grant.State.AVAILABLE), by=Grant.RevokedBy.PERSON)


def nameless() -> Concat:
    """Return a request key that says nothing, and is like no other."""
    return Concat(Value("forgotten:"), Cast("pk", CharField()))
