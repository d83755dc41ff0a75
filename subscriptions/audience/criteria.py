"""The criteria of a rule: each a condition on people, in SQL, and what its value must look like."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q, TextField
from django.db.models.functions import Cast, Now
from django.db.models.lookups import Contains

from subscriptions.grants.conditions import unexpired
from subscriptions.grants.models import Answer, Grant, Subscription
from templates_app.models import MessageTemplate

MOST_UNITS = 99


def is_text_list(value: object) -> bool:
    """Whether a value is a list of words."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) and item for item in value)


def is_days(value: object) -> bool:
    """Whether a value is a number of days."""
    return _is_number(value, most=3650)


def is_keys(value: object) -> bool:
    """Whether a value is a list of rows' numbers."""
    return isinstance(value, list) and bool(value) and all(_is_number(item, most=2**62) for item in value)


def is_consent(value: object) -> bool:
    """Whether a value names a template and how many units of it are wanted at least."""
    if not isinstance(value, dict) or set(value) != {"template", "at_least"}:
        return False
    return _is_number(value["template"], most=2**62) and _is_number(value["at_least"], most=MOST_UNITS)


def _is_number(value: object, *, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def consent(value: dict[str, int]) -> Q:
    """Hold at least so many units of a template's consent; a standing subscription counts as one without end."""
    template = value["template"]
    units = Grant.objects.filter(unexpired(), template=template, state=Grant.State.AVAILABLE)
    if value["at_least"] == 1:
        stock = Q(Exists(units.filter(subscriber=OuterRef("pk"))))
    else:
        held = units.values("subscriber").annotate(units=Count("pk")).filter(units__gte=value["at_least"])
        stock = Q(pk__in=held.values("subscriber"))
    kinds = set(MessageTemplate.objects.filter(pk=template).values_list("kind", flat=True))
    if kinds <= MessageTemplate.COUNTED_KINDS:
        return stock
    on = Subscription.objects.filter(template=template, state=Subscription.State.ON)
    return Q(Exists(on.filter(subscriber=OuterRef("pk"))))


def scenes(value: Sequence[int]) -> Q:
    """Agreed in one of these scenes at least once: every word that begins with "accept" is a yes."""
    agreed = Answer.objects.filter(scene__in=value, answer__startswith="accept")
    return Q(pk__in=agreed.values("subscriber"))


def regions(value: Sequence[str]) -> Q:
    """Live in one of these regions."""
    return Q(region__in=value)


def cities(value: Sequence[str]) -> Q:
    """Live in one of these cities."""
    return Q(city__in=value)


def active_within_days(value: int) -> Q:
    """Opened the mini-program in the last so many days."""
    return Q(last_visit_at__gte=Now() - timedelta(days=value))


def dormant_for_days(value: int) -> Q:
    """Has not opened the mini-program for so many days, or never."""
    return Q(last_visit_at__isnull=True) | Q(last_visit_at__lt=Now() - timedelta(days=value))


def tags(value: Sequence[str]) -> Q:
    """Carry one of these tags."""
    return _holds("tags", value)


def interests(value: Sequence[str]) -> Q:
    """Named one of these interests."""
    return _holds("interests", value)


def _holds(field: str, words: Sequence[str]) -> Q:
    """Return the condition that a JSON list holds one of the words."""
    if connection.vendor != "sqlite":
        return Q(**{f"{field}__has_any_keys": list(words)})
    # SQLite keeps the list as text, each word as JSON writes it.
    text: Any = Cast(field, TextField())
    condition = Q()
    for word in words:
        condition |= Q(Contains(text, json.dumps(word)))
    return condition
