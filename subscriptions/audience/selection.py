"""From an audience to people: one queryset, whatever the rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from notify_platform.core.errors import Refused
from subscriptions.audience import criteria
from subscriptions.audience.models import Audience, AudienceMember
from subscriptions.people.models import Subscriber

# What a criterion's value must look like, and the condition it means.
Criterion = tuple[Callable[[object], bool], Callable[[Any], Q]]

# One row per criterion of this floor. All criteria of a rule must hold.
CRITERIA: Mapping[str, Criterion] = {
    "consent": (criteria.is_consent, criteria.consent),
    "scenes": (criteria.is_keys, criteria.scenes),
    "active_within_days": (criteria.is_days, criteria.active_within_days),
    "dormant_for_days": (criteria.is_days, criteria.dormant_for_days),
    "regions": (criteria.is_text_list, criteria.regions),
    "cities": (criteria.is_text_list, criteria.cities),
    "tags": (criteria.is_text_list, criteria.tags),
    "interests": (criteria.is_text_list, criteria.interests),
}


@cache
def known() -> Mapping[str, Criterion]:
    """Return every criterion: this floor's, and those of upper rooms, which the setting names by dotted string."""
    return {**CRITERIA, **{name: import_string(place) for name, place in settings.AUDIENCE_CRITERIA.items()}}


def check_rule(rule: object) -> None:
    """Refuse a rule with an unknown criterion or a value that makes no sense. An empty rule means everybody."""
    if not isinstance(rule, Mapping):
        raise Refused(_("A rule is a set of criteria."), code="bad_rule")
    for name, value in rule.items():
        if name not in known():
            raise Refused(
                _("“%(name)s” is not a criterion; there are: %(known)s.") % {"name": name, "known": ", ".join(known())},
                code="bad_rule",
            )
        if not known()[name][0](value):
            raise Refused(_("“%(name)s” has a value that makes no sense.") % {"name": name}, code="bad_rule")


def is_everybody(audience: Audience) -> bool:
    """Whether nobody of the mini-program is left out but those who are forgotten."""
    return audience.kind == Audience.Kind.RULE and not audience.rule


def people(audience: Audience) -> QuerySet[Subscriber]:
    """Return the people of an audience, unordered. Raises ``Refused`` on a rule that makes no sense."""
    everybody = Subscriber.objects.filter(mini_program_id=audience.mini_program_id, forgotten_at__isnull=True)
    if audience.kind == Audience.Kind.LIST:
        listed = AudienceMember.objects.filter(audience=audience, subscriber=OuterRef("pk"))
        return everybody.filter(Exists(listed))
    check_rule(audience.rule)
    for name, value in audience.rule.items():
        everybody = everybody.filter(known()[name][1](value))
    return everybody
