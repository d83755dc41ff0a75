"""From an audience to people: one queryset, whatever the rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from notify_platform.core.errors import Refused
from subscriptions.audience.models import Audience, AudienceMember
from subscriptions.people.models import Subscriber


def _regions(value: Any) -> Q:
    return Q(region__in=value)


def _cities(value: Any) -> Q:
    return Q(city__in=value)


def _active_within_days(value: Any) -> Q:
    return Q(last_visit_at__gte=Now() - timedelta(days=value))


def _dormant_for_days(value: Any) -> Q:
    return Q(last_visit_at__isnull=True) | Q(last_visit_at__lt=Now() - timedelta(days=value))


def _is_text_list(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) and item for item in value)


def _is_days(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 3650


# One row per criterion: what its value must look like, and the condition it means. All criteria of a rule must hold.
CRITERIA: Mapping[str, tuple[Callable[[object], bool], Callable[[Any], Q]]] = {
    "regions": (_is_text_list, _regions),
    "cities": (_is_text_list, _cities),
    "active_within_days": (_is_days, _active_within_days),
    "dormant_for_days": (_is_days, _dormant_for_days),
}


def check_rule(rule: object) -> None:
    """Refuse a rule with an unknown criterion or a value that makes no sense. An empty rule means everybody."""
    if not isinstance(rule, Mapping):
        raise Refused(_("A rule is a set of criteria."), code="bad_rule")
    for name, value in rule.items():
        if name not in CRITERIA:
            known = ", ".join(CRITERIA)
            raise Refused(
                _("“%(name)s” is not a criterion; there are: %(known)s.") % {"name": name, "known": known},
                code="bad_rule",
            )
        if not CRITERIA[name][0](value):
            raise Refused(_("“%(name)s” has a value that makes no sense.") % {"name": name}, code="bad_rule")


def people(audience: Audience) -> QuerySet[Subscriber]:
    """Return the people of an audience, unordered. Raises ``Refused`` on a rule that makes no sense."""
    everybody = Subscriber.objects.filter(mini_program_id=audience.mini_program_id, forgotten_at__isnull=True)
    if audience.kind == Audience.Kind.LIST:
        listed = AudienceMember.objects.filter(audience=audience, subscriber=OuterRef("pk"))
        return everybody.filter(Exists(listed))
    check_rule(audience.rule)
    for name, value in audience.rule.items():
        everybody = everybody.filter(CRITERIA[name][1](value))
    return everybody
