"""Do the books add up? One question for each invariant, answered from the rows; used by ``doctor`` and by the demo.

The database refuses most of these by itself; asking again finds what a restored backup, a hand-written UPDATE or a
dropped constraint did.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from django.db.models import Count, Exists, F, OuterRef, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from notify_platform.delivery.models import Delivery
from notify_platform.insights import funnels
from notify_platform.jobs.models import SendJob
from subscriptions.grants.conditions import turned_off_since
from subscriptions.models import Grant

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

Sentence: TypeAlias = "str | _StrPromise"
State = Delivery.State
# A unit is checked when it is claimed; its message leaves within the lease of the claim.
CLAIM_TOLERANCE = timedelta(minutes=1)
REAPER_TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Breach:
    """One broken invariant: its name, what is wrong in a sentence, and how many rows."""

    invariant: str
    sentence: str
    count: int


def check() -> list[Breach]:
    """Ask every question; an empty list means the books add up."""
    breaches = [Breach(name, str(sentence), count()) for name, sentence, count in QUESTIONS]
    return [breach for breach in breaches if breach.count]


def _grants_used_twice() -> int:
    holding = Delivery.objects.filter(state__in=Delivery.HOLDS_GRANT, grant__isnull=False)
    return holding.values("grant").annotate(uses=Count("pk")).filter(uses__gt=1).count()


def _grants_missing() -> int:
    return Delivery.objects.filter(state__in=Delivery.HOLDS_GRANT, is_counted=True, grant__isnull=True).count()


def _grants_in_the_wrong_state() -> int:
    in_flight = Q(state__in=Delivery.IN_FLIGHT) & ~Q(grant__state=Grant.State.RESERVED)
    gone = Q(state__in=[State.ACCEPTED, State.DELIVERED, State.UNDELIVERED]) & ~Q(grant__state=Grant.State.SPENT)
    open_unknown = Q(state=State.UNKNOWN, settled_at__isnull=True) & ~Q(grant__state=Grant.State.RESERVED)
    closed_unknown = Q(state=State.UNKNOWN, settled_at__isnull=False) & ~Q(grant__state=Grant.State.SPENT)
    return Delivery.objects.filter(in_flight | gone | open_unknown | closed_unknown, grant__isnull=False).count()


def _reserved_for_nobody() -> int:
    holder = Delivery.objects.filter(grant=OuterRef("pk"), state__in=Delivery.HOLDS_GRANT)
    return Grant.objects.filter(~Exists(holder), state=Grant.State.RESERVED).count()


def _of_another_template_or_person() -> int:
    foreign = ~Q(grant__template=F("template")) | ~Q(grant__subscriber=F("subscriber"))
    return Delivery.objects.filter(foreign, grant__isnull=False).count()


def _used_after_expiry() -> int:
    return (
        Delivery.objects.filter(grant__isnull=False, claim_token__isnull=False)
        .filter(grant__expires_at__lt=F("armed_at") - CLAIM_TOLERANCE)
        .count()
    )


def _void_in_stock() -> int:
    return Grant.objects.filter(turned_off_since(), state=Grant.State.AVAILABLE).count()


def _two_in_flight() -> int:
    flying = Delivery.objects.filter(state__in=Delivery.IN_FLIGHT)
    return flying.values("subscriber").annotate(number=Count("pk")).filter(number__gt=1).count()


def _unbalanced_jobs() -> int:
    started = SendJob.objects.filter(started_at__isnull=False)
    return sum(not funnels.of_job(job).is_balanced for job in started)


def _finished_too_early() -> int:
    left = Delivery.objects.filter(job=OuterRef("pk"), state__in=Delivery.OPEN)
    return SendJob.objects.filter(Exists(left), state=SendJob.State.FINISHED).count()


def _leases_nobody_reaped() -> int:
    return Delivery.objects.filter(state__in=Delivery.IN_FLIGHT, lease_until__lt=Now() - REAPER_TOLERANCE).count()


QUESTIONS: list[tuple[str, Sentence, Callable[[], int]]] = [
    ("1 one grant, one message", _("grants are used by more than one message"), _grants_used_twice),
    ("1 a counted message names its grant", _("messages name no grant"), _grants_missing),
    ("1 grant and message agree", _("messages hold a grant in the wrong state"), _grants_in_the_wrong_state),
    ("1 a reserved grant has its message", _("grants are reserved for no message"), _reserved_for_nobody),
    ("2 one in flight per person", _("people have more than one message in flight"), _two_in_flight),
    ("4 leases lapse", _("messages hold a lease that lapsed long ago: is a worker running?"), _leases_nobody_reaped),
    (
        "6 consent fits its message",
        _("messages used the consent of another template or person"),
        _of_another_template_or_person,
    ),
    ("6 a void consent is not in stock", _("grants in stock were voided by their person"), _void_in_stock),
    ("6 consent is used in time", _("messages used a consent after its end"), _used_after_expiry),
    ("7 everybody is accounted for", _("jobs lost or invented somebody"), _unbalanced_jobs),
    ("9 finished means finished", _("finished jobs still have messages waiting"), _finished_too_early),
]
