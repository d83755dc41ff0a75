"""Uploaded lists of people."""

from __future__ import annotations

from collections.abc import Sequence

from subscriptions.audience.models import Audience, AudienceMember

BATCH = 1000


def add_people(audience: Audience, *, subscriber_ids: Sequence[int]) -> None:
    """Put people on a list; who is on it already stays once."""
    AudienceMember.objects.bulk_create(
        [AudienceMember(audience=audience, subscriber_id=pk) for pk in subscriber_ids],
        ignore_conflicts=True,
        batch_size=BATCH,
    )
