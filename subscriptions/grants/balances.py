"""How many messages a person still agrees to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Count, Min

from notify_platform.core.prepared import Prepared
from subscriptions.grants.conditions import unexpired
from subscriptions.grants.models import Grant, Subscription
from subscriptions.people.models import Subscriber
from templates_app.models import MessageTemplate

# Every report of a phone is answered with these.
_RELATIONS: Final = Prepared(
    lambda person, templates: Subscription.objects.filter(subscriber=person, template__in=templates)
)
_STOCK: Final = Prepared(
    lambda person, templates: (
        Grant.objects.filter(unexpired(), subscriber=person, template__in=templates, state=Grant.State.AVAILABLE)
        .values_list("template_id")
        .annotate(available=Count("pk"), expires_at=Min("expires_at"))
    )
)


@dataclass(frozen=True, slots=True)
class Balance:
    """One person's consent to one template.

    ``state`` is the standing relation's ("none" when there never was one; "suspended" while the person has turned
    everything off, or the template is banned: units are kept then, and not used), ``available`` the units in stock (0
    for a long-term template), ``expires_at`` when the first of them lapses.
    """

    template: MessageTemplate
    state: str
    available: int
    expires_at: datetime | None


def balances(subscriber: Subscriber, *, templates: Sequence[MessageTemplate]) -> list[Balance]:
    """Return the balance of each template, in order: two queries."""
    ids = [template.pk for template in templates]
    found = _RELATIONS.objects(person=subscriber.pk, templates=ids)
    relations = {relation.template_id: relation for relation in found}
    stock = {
        template_id: (available, expires_at)
        for template_id, available, expires_at in _STOCK.rows(person=subscriber.pk, templates=ids)
    }
    return [
        Balance(
            template,
            state_of(relations.get(template.pk), subscriber=subscriber, template=template),
            *stock.get(template.pk, (0, None)),
        )
        for template in templates
    ]


def state_of(relation: Subscription | None, *, subscriber: Subscriber, template: MessageTemplate) -> str:
    """Return how a person stands to a template, in the words of ``Balance``."""
    state = relation.standing if relation is not None else "none"
    halted = subscriber.main_switch_off_at is not None or template.state == MessageTemplate.State.BANNED
    return Subscription.State.SUSPENDED if halted and state == Subscription.State.ON else state
