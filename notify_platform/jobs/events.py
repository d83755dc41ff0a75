"""Events: what a back end reports, once for ever, and what it takes back. The only writer of ``Event``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from notify_platform.core.errors import Refused
from notify_platform.jobs.models import Event
from subscriptions.people import people
from templates_app.models import MiniProgram

# Two clocks never agree.
SKEW: Final = timedelta(minutes=5)


class Reported(NamedTuple):
    """The event, and whether this report brought it; else the first report of it counts, whatever this one says."""

    event: Event
    is_new: bool


def report(
    mini_program: MiniProgram,
    *,
    event: str,
    event_id: str,
    openid: str,
    data: Mapping[str, Any],
    subject: str = "",
    occurred_at: datetime | None = None,
) -> Reported:
    """Write an event of a person down, once for ever for each (mini-program, event, event_id).

    The merchant's back end vouches for the openid: somebody new gets a record. An event that was undone before it came
    stays undone. Raises ``Refused`` for one that has not happened yet.
    """
    if occurred_at is not None and occurred_at > timezone.now() + SKEW:
        sentence = _("An event cannot be reported before it happens.")
        raise Refused(sentence, code="not_yet", fields={"occurred_at": sentence})
    with transaction.atomic():
        same = Event.objects.filter(mini_program=mini_program, event=event, event_id=event_id)
        known = same.first()
        if known is not None:
            return Reported(known, is_new=False)
        told = {
            "subscriber_id": people.enrol(mini_program, openids=[openid])[openid],
            "subject": subject,
            "data": data,
            "occurred_at": occurred_at or timezone.now(),
        }
        return Reported(*same.get_or_create(**_key(mini_program, event, event_id), defaults=told))


def undo(mini_program: MiniProgram, *, event: str, event_id: str) -> bool:
    """Take an event back, also before it came; False when it was taken back before."""
    with transaction.atomic():
        moment = timezone.now()
        row, made = Event.objects.get_or_create(
            **_key(mini_program, event, event_id), defaults={"occurred_at": moment, "undone_at": moment}
        )
        undone = Event.objects.filter(pk=row.pk, undone_at__isnull=True).update(undone_at=Now())
        return made or undone == 1


def _key(mini_program: MiniProgram, event: str, event_id: str) -> dict[str, Any]:
    return {"mini_program": mini_program, "event": event, "event_id": event_id}


def empty(events: QuerySet[Event]) -> int:
    """Delete what was reported under these keys; the keys stay, so that nothing is taken for new. Returns how many."""
    return events.filter(emptied_at__isnull=True).update(data={}, subject="", emptied_at=Now())
