"""How long rows are kept that nobody needs for the books, and deleting them bit by bit.

Consents, answers, messages and what people did with them are the books: they stay. What goes is in ``RULES``, and in
the rules of rooms above that ``settings.RETENTION`` names. Rows are deleted oldest first, in batches that lock nothing
for long; a skip leaves its sum at its job, an event its key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from notify_platform.core.clock import database_now
from notify_platform.core.models import AuditEvent, audit
from notify_platform.delivery.models import Delivery, Skip, Throughput
from notify_platform.jobs import events, jobs
from notify_platform.jobs.models import Event, SendJob
from subscriptions.models import PromptReport, Visit

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

BATCH = 2000
EVERY = timedelta(days=1)
# The row of the audit trail that says when the last clearing away was finished, and what it took.
ACTION, SUBJECT = "prune", "retention"


@dataclass(frozen=True, slots=True)
class Rule:
    """What goes after so many days: how many rows are too old, and the deed that lets one batch of them go."""

    name: str
    label: _StrPromise
    days: int
    count: Callable[[datetime], int]
    step: Callable[[datetime], int]


def rule_of_rows(name: str, label: _StrPromise, days: int, *, rows: Callable[[], QuerySet[Any]], moment: str) -> Rule:
    """Return the rule of rows that are written in the order of their moment and deleted whole."""

    def count(before: datetime) -> int:
        return rows().filter(**{f"{moment}__lt": before}).count()

    def step(before: datetime) -> int:
        # By key, not by moment: the oldest rows come first without an index, and looking stops at the first young one.
        oldest = rows().order_by("pk").values_list("pk", moment)[:BATCH]
        old = [pk for pk, at in oldest if at < before]
        return rows().filter(pk__in=old).delete()[0] if old else 0

    return Rule(name, label, days, count, step)


def _skips(before: datetime) -> QuerySet[Skip]:
    return Skip.objects.filter(job__state__in=SendJob.OVER, job__ended_at__lt=before)


def _prune_skips(before: datetime) -> int:
    """Delete a batch of one ended job, and keep its sums at the job: invariant 7 counts them."""
    left = Skip.objects.filter(job=OuterRef("pk"))
    ended = SendJob.objects.filter(Exists(left), state__in=SendJob.OVER, ended_at__lt=before)
    with transaction.atomic():
        job = ended.select_for_update(of=("self",)).order_by("pk").first()
        if job is None:
            return 0
        batch = list(Skip.objects.filter(job=job).order_by("subscriber_id").values_list("pk", "reason")[:BATCH])
        jobs.note_pruned_skips(job, by_reason=Counter(reason for _pk, reason in batch))
        return Skip.objects.filter(pk__in=[pk for pk, _reason in batch]).delete()[0]


def _events(before: datetime) -> QuerySet[Event]:
    """Return the old events whose data no message waits for any more."""
    waiting = Delivery.objects.filter(event=OuterRef("pk"), state__in=Delivery.OPEN)
    return Event.objects.filter(~Exists(waiting), emptied_at__isnull=True, received_at__lt=before)


def _empty_events(before: datetime) -> int:
    batch = list(_events(before).order_by("received_at").values_list("pk", flat=True)[:BATCH])
    return events.empty(Event.objects.filter(pk__in=batch))


RULES = (
    rule_of_rows("visits", _("visits"), 90, rows=Visit.objects.all, moment="at"),
    rule_of_rows("reports", _("reports of prompts"), 90, rows=PromptReport.objects.all, moment="received_at"),
    Rule("skips", _("people left out of ended jobs"), 90, lambda before: _skips(before).count(), _prune_skips),
    Rule("events", _("data of events"), 90, lambda before: _events(before).count(), _empty_events),
    # A job that sends lets go of its own within the hour; these are of jobs that send no more.
    rule_of_rows("throughput", _("notes of how fast messages left"), 1, rows=Throughput.objects.all, moment="at"),
)


@cache
def rules() -> tuple[Rule, ...]:
    """Return the rules of all rooms. Imports only go down: those above are named as strings, and write their own."""
    return (*RULES, *(import_string(name) for name in settings.RETENTION))


def prune(*, keep: Mapping[str, int] | None = None, progress: Callable[[Rule, int], None]) -> dict[str, int]:
    """Let go of everything too old; returns how much of what. ``keep``: other days for rules by name.

    ``progress`` is told after every batch how many it was.
    """
    now, gone = database_now(), Counter[str]()
    for rule in rules():
        while number := rule.step(_before(rule, keep, now=now)):
            gone[rule.name] += number
            progress(rule, number)
    audit(None, action=ACTION, subject=SUBJECT, **gone)
    return dict(gone)


def count(*, keep: Mapping[str, int] | None = None) -> dict[str, int]:
    """Return how much of what is too old."""
    now = database_now()
    return {rule.name: rule.count(_before(rule, keep, now=now)) for rule in rules()}


def tidy() -> bool:
    """Do one batch of today's clearing away; whether there is more. Several workers may do it at once."""
    if _done().exists():
        return False
    now = database_now()
    if any(rule.step(_before(rule, None, now=now)) for rule in rules()):
        return True
    audit(None, action=ACTION, subject=SUBJECT)
    return False


def due() -> Q:
    """Return the condition that today's clearing away is not finished."""
    return Q(~Exists(_done()))


def _done() -> QuerySet[AuditEvent]:
    return AuditEvent.objects.filter(subject=SUBJECT, action=ACTION, at__gt=Now() - EVERY)


def _before(rule: Rule, keep: Mapping[str, int] | None, *, now: datetime) -> datetime:
    return now - timedelta(days=(keep or {}).get(rule.name, rule.days))
