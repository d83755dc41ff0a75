"""What can be asked of units in SQL: whether they are valid, void, or were unknown to WeChat."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Exists, F, OuterRef, Q
from django.db.models.expressions import Combinable
from django.db.models.functions import Now

from subscriptions.grants.models import Drift, Source, Subscription


def unexpired() -> Q:
    """Return the condition that a unit is still valid this moment."""
    return Q(expires_at__isnull=True) | Q(expires_at__gt=Now())


def turned_off_since() -> Exists:
    """Return the condition that a unit's template was turned off by its person when or after it was granted."""
    return Exists(
        Subscription.objects.filter(
            template=OuterRef("template"), subscriber=OuterRef("subscriber"), turned_off_at__gte=OuterRef("granted_at")
        )
    )


def end_after(days: int | None) -> Combinable | None:
    """Return when units valid for so many days lapse, from when each was granted; None: never."""
    return F("granted_at") + timedelta(days=days) if days else None


def drifted_since() -> Exists:
    """Return the condition that WeChat said "not subscribed" when or after a unit was granted."""
    return Exists(
        Drift.objects.filter(
            template=OuterRef("template"), subscriber=OuterRef("subscriber"), at__gte=OuterRef("granted_at")
        )
    )


def unconfirmed() -> Q:
    """Return the condition that only a phone speaks for a unit."""
    return Q(answer__source=Source.CLIENT, answer__pair__isnull=True, answer__paired_by__isnull=True)
