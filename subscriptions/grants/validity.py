"""How long units are good for: they lapse by our own policy and come back when it changes, or somebody revokes them.

Beside ``ledger`` a writer of ``Grant.state``.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Final

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from subscriptions.grants.conditions import drifted_since, end_after, turned_off_since, unconfirmed, unexpired
from subscriptions.grants.models import Grant
from templates_app.models import MessageTemplate

BATCH: Final = 5000


def lapse() -> int:
    """Let units past their validity lapse, one batch at a time; returns how many did (0: none are left)."""
    due = Grant.objects.filter(state=Grant.State.AVAILABLE, expires_at__lte=Now()).order_by("expires_at", "pk")
    with transaction.atomic():
        # It waits for nobody: whoever revokes units holds them in an order of his own, and both would wait for ever.
        batch = list(due.select_for_update(skip_locked=True).values_list("pk", flat=True)[:BATCH])
        return Grant.objects.filter(pk__in=batch, state=Grant.State.AVAILABLE).update(
            state=Grant.State.LAPSED, settled_at=Now()
        )


def changed() -> QuerySet[MessageTemplate]:
    """Return the templates whose units have not all been reckoned with the validity of today."""
    same = Q(validity_days=F("validity_applied")) | Q(validity_days__isnull=True, validity_applied__isnull=True)
    return MessageTemplate.objects.exclude(same, validity_applied_upto=0)


def apply() -> int:
    """Reckon the ends of units anew where a template's validity was changed, one batch a call; returns how many.

    What lapsed by our own policy comes back when it would still be valid. What is revoked or void does not, nor what
    only a phone speaks for: lapsed units do not count against its limit. What a message has taken was valid when it was
    taken: if it comes back it is reckoned anew (``ledger.give_back``).
    """
    with transaction.atomic():
        template = changed().select_for_update(skip_locked=True, no_key=True).order_by("pk").first()
        if template is None:
            return 0
        days = template.validity_days
        mine = MessageTemplate.objects.filter(pk=template.pk)
        # Changed once more in the middle of it: from the beginning.
        upto = template.validity_applied_upto if days == template.validity_applied else 0
        batch = _next(template, after=upto)
        if not batch:
            return mine.update(validity_applied=days, validity_applied_upto=0)
        # As in ``lapse``: from the first unit in somebody's hands on, the next call does it.
        units = Grant.objects.filter(pk__in=batch)
        free = set(units.select_for_update(skip_locked=True).values_list("pk", flat=True))
        batch = list(takewhile(free.__contains__, batch))
        units = Grant.objects.filter(pk__in=batch)
        units.exclude(state=Grant.State.RESERVED).update(expires_at=end_after(days))
        confirmed = units.filter(state=Grant.State.LAPSED).exclude(unconfirmed())
        revive(Grant.objects.filter(pk__in=list(confirmed.values_list("pk", flat=True))))
        mine.update(validity_applied=days, validity_applied_upto=batch[-1] if batch else upto)
    return max(1, len(batch))


def _next(template: MessageTemplate, *, after: int) -> list[int]:
    states = [*Grant.COUNTABLE, Grant.State.LAPSED]
    rows = Grant.objects.filter(template=template, pk__gt=after, state__in=states)
    return list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH])


def revive(units: QuerySet[Grant]) -> None:
    """Make units available again that are still valid, and that neither the person nor WeChat has made void."""
    units.filter(unexpired(), ~turned_off_since(), ~drifted_since()).update(
        state=Grant.State.AVAILABLE, settled_at=None, revoked_by=""
    )


def void(units: QuerySet[Grant], *, by: Grant.RevokedBy) -> int:
    """Revoke units; returns how many."""
    return units.update(state=Grant.State.REVOKED, settled_at=Now(), revoked_by=by)
