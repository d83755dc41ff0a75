"""Erasing a person everywhere while the sums stay: what was sent, answered and bought still adds up, of nobody.

A shell stays in the place of the person (``people.forget``). Rooms above this floor erase what they keep by
themselves; ``settings.FORGETTING`` names them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from notify_platform.core.models import audit, strike_from_audit
from notify_platform.delivery import claims
from notify_platform.delivery.models import Conversion, Delivery, Feedback
from notify_platform.jobs import events
from notify_platform.jobs.models import Event
from subscriptions.grants import forgetting as consents
from subscriptions.models import AudienceMember
from subscriptions.people import people
from subscriptions.people.models import mask
from subscriptions.prompts import reporting
from templates_app.models import MiniProgram

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

BATCH = 200


def forget(mini_program: MiniProgram, *, openids: Collection[str], by: AbstractBaseUser | None) -> int:
    """Erase these people; returns how many were known. Again changes nothing, and finishes what a crash left undone.

    Nothing more is sent to them. A message that is just leaving is settled as ever; its unit does not come back.
    """
    known = 0
    for start in range(0, len(wanted := sorted(set(openids))), BATCH):
        batch = wanted[start : start + BATCH]
        # The rooms above go first: as long as the person is known, somebody sees that it was not finished.
        for name in settings.FORGETTING:
            import_string(name)(mini_program, openids=batch)
        with transaction.atomic():
            known += _forget(mini_program, batch, by=by)
    return known


def _forget(mini_program: MiniProgram, openids: Sequence[str], *, by: AbstractBaseUser | None) -> int:
    masks = {openid: mask(openid) for openid in openids}
    subscribers = people.known(mini_program, openids=openids)
    ids = sorted(subscribers.values())
    # The people are locked first: from then on nobody claims for them.
    consents.forget(ids)
    claims.forget(ids)
    _empty_what_they_did(ids)
    people.forget(ids)
    strike_from_audit(masks)
    for openid, subscriber_id in subscribers.items():
        audit(
            by,
            action="forget",
            subject=f"subscriber {subscriber_id}",
            mini_program=mini_program.pk,
            openid=masks[openid],
        )
    return len(ids)


def _empty_what_they_did(subscriber_ids: Sequence[int]) -> None:
    """Take out of each row what may name or describe the person; that there was one, and when, stays."""
    AudienceMember.objects.filter(subscriber__in=subscriber_ids).delete()
    reporting.forget(subscriber_ids)
    events.empty(Event.objects.filter(subscriber__in=subscriber_ids))
    Delivery.objects.filter(subscriber__in=subscriber_ids).exclude(error_detail="").update(error_detail="")
    Conversion.objects.filter(subscriber__in=subscriber_ids).update(request_key="")
    Feedback.objects.filter(subscriber__in=subscriber_ids).update(text="")
