"""What a person could be sent this moment, template by template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min, Q
from django.db.models.functions import Now

from subscriptions.grants.models import Grant, Subscription
from subscriptions.people.models import Subscriber
from templates_app.models import MessageTemplate


@dataclass(frozen=True, slots=True)
class Balance:
    """``state`` is a word of ``Subscription.State``, or "none"; ``available`` counts units, the first of which ends at
    ``expires_at`` (None: there is none, or none of them ends).
    """

    template: MessageTemplate
    state: str
    available: int
    expires_at: datetime | None


def balances(subscriber: Subscriber, *, templates: Sequence[MessageTemplate]) -> list[Balance]:
    """Return the person's balance of each template, in the order given."""
    states = dict(
        Subscription.objects.filter(subscriber=subscriber, template__in=templates).values_list("template_id", "state")
    )
    rows = (
        Grant.objects.filter(
            Q(expires_at__isnull=True) | Q(expires_at__gt=Now()),
            subscriber=subscriber,
            template__in=templates,
            state=Grant.State.AVAILABLE,
        )
        .values("template_id")
        .annotate(units=Count("pk"), ends=Min("expires_at"))
        .values_list("template_id", "units", "ends")
    )
    stock = {template_id: (units, ends) for template_id, units, ends in rows}
    return [
        Balance(
            template=template,
            state=states.get(template.pk, "none"),
            available=stock.get(template.pk, (0, None))[0],
            expires_at=stock.get(template.pk, (0, None))[1],
        )
        for template in templates
    ]
