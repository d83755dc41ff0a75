"""Criteria of an audience that need deliveries; ``settings.AUDIENCE_CRITERIA`` names them, for imports only go down."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Exists, OuterRef, Q

from notify_platform.delivery.models import Delivery, Open
from subscriptions.audience.criteria import is_keys


def _got(jobs: Sequence[int]) -> Q:
    sent = Delivery.objects.filter(job__in=jobs, state__in=Delivery.SENT)
    return Q(pk__in=sent.values("subscriber"))


def _opened(jobs: Sequence[int]) -> Q:
    return Q(Exists(Open.objects.filter(delivery__job__in=jobs, subscriber=OuterRef("pk"))))


def _not_opened(jobs: Sequence[int]) -> Q:
    """Was sent one of the jobs and opened none of them."""
    return _got(jobs) & ~_opened(jobs)


OPENED = (is_keys, _opened)
NOT_OPENED = (is_keys, _not_opened)
