"""What must hold of each single entry of the books: of a message, a unit, an answer.

All questions about messages are asked in one pass over the rows, so that a long history is read once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Final

from django.db.models import Count, Exists, F, Max, Model, OuterRef, Q
from django.db.models.functions import Now

from notify_platform.core import schema
from notify_platform.delivery.models import Delivery
from notify_platform.wechat.outcomes import CODES, Becomes
from subscriptions.grants.conditions import turned_off_since
from subscriptions.models import Answer, Grant, Subscription

State = Delivery.State
# A unit is checked when it is claimed; its message leaves within the lease of the claim.
CLAIM_TOLERANCE: Final = timedelta(minutes=1)
REAPER_TOLERANCE: Final = timedelta(minutes=5)
# No lease is longer than a minute: one that ends later than this was written by a clock that has jumped since.
LONGEST_LEASE: Final = timedelta(minutes=10)
_LEFT: Final = [*Delivery.SENT, State.SENDING, State.FAILED]
_OVER: Final = [state for state in State if state not in {*Delivery.OPEN, State.UNKNOWN}]
# After any other code a message has been counted, or is refused for good.
_RETRIED: Final = [code for code, outcome in CODES.items() if outcome.becomes is Becomes.RETRY]

_IN_FLIGHT: Final = Q(state__in=Delivery.IN_FLIGHT)
_HOLDS: Final = Q(state__in=Delivery.HOLDS_GRANT)
_HAS_GRANT: Final = Q(grant__isnull=False)
_TO_BE_SENT: Final = Q(state__in=[State.WAITING, State.CLAIMED])

# Name → what is wrong with a message.
MESSAGES: Final[Mapping[str, Q]] = {
    "grant_missing": _HOLDS & Q(is_counted=True, grant__isnull=True),
    "grant_unasked": _HAS_GRANT & (Q(is_counted=False) | ~_HOLDS),
    "grant_disagrees": _HAS_GRANT
    & (
        (_IN_FLIGHT & ~Q(grant__state=Grant.State.RESERVED))
        | (Q(state__in=Delivery.SENT - {State.UNKNOWN}) & ~Q(grant__state=Grant.State.SPENT))
        | (Q(state=State.UNKNOWN, settled_at__isnull=True) & ~Q(grant__state=Grant.State.RESERVED))
        | (Q(state=State.UNKNOWN, settled_at__isnull=False) & ~Q(grant__state=Grant.State.SPENT))
    ),
    "grant_of_others": _HAS_GRANT & (~Q(grant__template=F("template")) | ~Q(grant__subscriber=F("subscriber"))),
    "grant_too_late": _HAS_GRANT & Q(grant__expires_at__lt=F("armed_at") - CLAIM_TOLERANCE),
    "origin": Q(job__isnull=True, event__isnull=True)
    | Q(job__isnull=False, event__isnull=False)
    | Q(event__isnull=True, trigger__isnull=False)
    | Q(event__isnull=False, trigger__isnull=True),
    "never_left": Q(state__in=_LEFT, armed_at__isnull=True),
    "no_lease": _IN_FLIGHT & (Q(lease_until__isnull=True) | Q(claim_token__isnull=True)),
    "not_reaped": _IN_FLIGHT & Q(lease_until__lt=Now() - REAPER_TOLERANCE),
    "endless_lease": _IN_FLIGHT & Q(lease_until__gt=Now() + LONGEST_LEASE),
    "would_leave_twice": _TO_BE_SENT
    & (
        ~Q(msgid="")
        | Q(settled_at__isnull=False)
        | (Q(armed_at__isnull=False, error_code__isnull=False) & ~Q(error_code__in=_RETRIED))
    ),
    "strange_state": ~Q(state__in=State.values)
    | Q(state__in=_OVER, settled_at__isnull=True)
    | Q(state=State.SENDING, settled_at__isnull=False),
}


@dataclass(frozen=True)
class Look:
    """How far back the books are read: the newest so many rows of each table; None: all of them."""

    newest: int | None = None

    def since(self, model: type[Model]) -> Q:
        """Return the condition that a row is among the newest."""
        if self.newest is None:
            return Q()
        last = model._default_manager.aggregate(last=Max("pk"))["last"] or 0
        return Q(pk__gt=last - self.newest)

    @cached_property
    def kept(self) -> set[str]:
        """What the database itself keeps of the messages, so that nobody need look."""
        return schema.kept(Delivery)

    @cached_property
    def messages(self) -> Mapping[str, int]:
        """Count every kind of wrong message."""
        rows = Delivery.objects.filter(self.since(Delivery))
        return rows.aggregate(**{name: Count("pk", filter=wrong) for name, wrong in MESSAGES.items()})

    def used_though_void(self) -> int:
        """Count messages that used a unit after we knew that its person had turned the template off.

        A relation that is off has not changed since we learnt of it.
        """
        known = Subscription.objects.filter(
            state=Subscription.State.OFF,
            template=OuterRef("template"),
            subscriber=OuterRef("subscriber"),
            turned_off_at__gte=OuterRef("grant__granted_at"),
            changed_at__lt=OuterRef("armed_at") - CLAIM_TOLERANCE,
        )
        rows = Delivery.objects.filter(self.since(Delivery), _HAS_GRANT, armed_at__isnull=False)
        return rows.filter(Exists(known)).count()

    def spent_for_nothing(self) -> int:
        """Count units that are spent although no message used them."""
        holder = Delivery.objects.filter(_HOLDS, grant=OuterRef("pk"))
        return Grant.objects.filter(self.since(Grant), ~Exists(holder), state=Grant.State.SPENT).count()

    def void_in_stock(self) -> int:
        """Count units in stock although their person has turned the template off since."""
        return Grant.objects.filter(self.since(Grant), turned_off_since(), state=Grant.State.AVAILABLE).count()

    def of_other_answers(self) -> int:
        """Count units whose answer was given by somebody else, or to another template."""
        foreign = ~Q(answer__subscriber=F("subscriber")) | ~Q(answer__template=F("template"))
        return Grant.objects.filter(self.since(Grant), foreign).count()

    def miscounted_answers(self) -> int:
        """Count answers that say they granted another number of units than there are of them."""
        counted = Answer.objects.filter(self.since(Answer)).annotate(granted=Count("grants"))
        return counted.exclude(granted=F("units")).count()
