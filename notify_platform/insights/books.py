"""Do the books add up? One question and more for each invariant, answered from the rows; for ``doctor`` and the demo.

The database refuses most of these by itself; asking again finds what a restored backup, a hand-written UPDATE or a
dropped constraint did. What a unique constraint keeps while it is there is not read from the rows. Every answer is one
statement, so what others write meanwhile makes no false alarm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from notify_platform.core.clock import database_now
from notify_platform.delivery import pacing
from notify_platform.delivery.models import Delivery, Pace, Skip
from notify_platform.insights.entries import REAPER_TOLERANCE, Look
from notify_platform.jobs.models import SendJob
from subscriptions.grants.conditions import unconfirmed
from subscriptions.models import Grant
from templates_app.models import MiniProgram

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

Sentence: TypeAlias = "str | _StrPromise"
State = Delivery.State
# The longest anything holds the pace is a minute, and a batch is booked for less.
LONGEST_HOLD: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be: what was asked, what is wrong, in how many rows, and what to do."""

    check: str
    sentence: str
    count: int
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A promise and how to find what breaks it; the number in front is the invariant's."""

    check: str
    sentence: Sentence
    cure: Sentence
    count: Callable[[Look], int]


def check(*, newest: int | None = None) -> list[Finding]:
    """Ask every question; an empty list means the books add up. ``newest``: only of so many rows of each table."""
    look = Look(newest)
    asked = ((one, one.count(look)) for one in QUESTIONS)
    return [Finding(one.check, str(one.sentence), number, str(one.cure)) for one, number in asked if number]


def _message(name: str) -> Callable[[Look], int]:
    return lambda look: look.messages[name]


def _unless_kept(constraint: str, rows: Callable[[], QuerySet[Delivery, Any]]) -> Callable[[Look], int]:
    return lambda look: 0 if constraint in look.kept else rows().count()


def _grants_used_twice() -> QuerySet[Delivery, Any]:
    holding = Delivery.objects.filter(state__in=Delivery.HOLDS_GRANT, grant__isnull=False)
    return holding.values("grant").annotate(uses=Count("pk")).filter(uses__gt=1)


def _twice_in_a_job() -> QuerySet[Delivery, Any]:
    rows = Delivery.objects.filter(event__isnull=True, job__isnull=False)
    return rows.values("job", "subscriber").annotate(number=Count("pk")).filter(number__gt=1)


def _twice_for_an_event() -> QuerySet[Delivery, Any]:
    rows = Delivery.objects.filter(event__isnull=False)
    return rows.values("trigger", "event", "subscriber").annotate(number=Count("pk")).filter(number__gt=1)


def _two_in_flight() -> QuerySet[Delivery, Any]:
    flying = Delivery.objects.filter(state__in=Delivery.IN_FLIGHT)
    return flying.values("subscriber").annotate(number=Count("pk")).filter(number__gt=1)


def _reserved_for_nobody(look: Look) -> int:
    holder = Delivery.objects.filter(grant=OuterRef("pk"), state__in=Delivery.HOLDS_GRANT)
    return Grant.objects.filter(~Exists(holder), state=Grant.State.RESERVED).count()


def _unconfirmed_beyond_the_limit(look: Look) -> int:
    held = Grant.objects.filter(look.since(Grant), unconfirmed(), state__in=Grant.COUNTABLE)
    limit = F("template__mini_program__client_unconfirmed_limit")
    return held.values("subscriber", "template").annotate(number=Count("pk")).filter(number__gt=limit).count()


# --- jobs ------------------------------------------------------------------------------------------------------------


def _unbalanced_jobs(look: Look) -> int:
    """Count jobs of which somebody is lost or invented; the newest jobs until they make up ``look.newest`` people."""
    return sum(
        size != messages + left_out + sum(pruned.values())
        for size, messages, left_out, pruned in _heads_of(_newest_jobs(look))
    )


def _newest_jobs(look: Look) -> QuerySet[SendJob]:
    started = SendJob.objects.filter(started_at__isnull=False).order_by("-pk")
    if look.newest is None:
        return started
    people, oldest = 0, 0
    for pk, size in started.values_list("pk", "audience_size").iterator():
        people, oldest = people + size, pk
        if people >= look.newest:
            break
    return started.filter(pk__gte=oldest)


def _heads_of(jobs: QuerySet[SendJob]) -> Iterator[tuple[int, int, int, dict[str, int]]]:
    """Yield audience, messages, skips and pruned skips of each job, all of one moment."""
    counted = jobs.annotate(messages=_number_of(Delivery.objects), left_out=_number_of(Skip.objects))
    return counted.values_list("audience_size", "messages", "left_out", "pruned_skips").iterator()


def _number_of(rows: Any) -> Coalesce:
    mine = rows.filter(job=OuterRef("pk")).order_by().values("job").annotate(number=Count("pk"))
    return Coalesce(Subquery(mine.values("number")), 0)


def _finished_too_early(look: Look) -> int:
    left = Delivery.objects.filter(job=OuterRef("pk"), state__in=Delivery.OPEN)
    return SendJob.objects.filter(Exists(left), state=SendJob.State.FINISHED).count()


def _jobs_without_their_dates(look: Look) -> int:
    words = SendJob.State
    begun = Q(state__in=[words.RUNNING, words.PAUSED, words.FINISHED], started_at__isnull=True)
    not_begun = Q(state__in=[words.DRAFT, words.SUBMITTED, words.SCHEDULED], started_at__isnull=False)
    ended = Q(state=words.FINISHED, ended_at__isnull=True)
    not_ended = ~Q(state__in=SendJob.OVER) & Q(ended_at__isnull=False)
    reason = ~Q(state=words.PAUSED) & ~Q(pause_reason="")
    strange = ~Q(state__in=words.values)
    return SendJob.objects.filter(begun | not_begun | ended | not_ended | reason | strange).count()


def _unknown_for_too_long(look: Look) -> int:
    """Count unknown results that policy should have closed by now."""
    now, late = database_now(), 0
    for pk, minutes in MiniProgram.objects.values_list("pk", "unknown_after_minutes"):
        before = now - timedelta(minutes=minutes) - REAPER_TOLERANCE
        rows = Delivery.objects.filter(state=State.UNKNOWN, settled_at__isnull=True, mini_program=pk)
        late += rows.filter(armed_at__lt=before).count()
    return late


def _pace_far_ahead(look: Look) -> int:
    latest = (database_now() + LONGEST_HOLD).timestamp() * pacing.SECOND_US
    return Pace.objects.filter(next_slot_us__gt=round(latest)).count()


_BY_HAND: Final = _("Find out who changed rows by hand or restored part of a backup; restore a whole one if need be.")
_MAKE_IT_AGAIN: Final = _("Mend the rows, then make the missing constraint again: docs/operations.md, “The books”.")
_WORKER: Final = _("See that a worker runs (manage.py worker); it mends this within minutes.")

QUESTIONS: Final[tuple[Question, ...]] = (
    Question(
        "1 one grant, one message",
        _("grants are used by more than one message"),
        _MAKE_IT_AGAIN,
        _unless_kept("delivery_grant_used_once", _grants_used_twice),
    ),
    Question("1 a counted message names its grant", _("messages name no grant"), _BY_HAND, _message("grant_missing")),
    Question(
        "1 who needs no grant holds none",
        _("messages hold a grant they do not need, or need no more"),
        _BY_HAND,
        _message("grant_unasked"),
    ),
    Question(
        "1 grant and message agree",
        _("messages hold a grant in the wrong state"),
        _BY_HAND,
        _message("grant_disagrees"),
    ),
    Question(
        "1 a reserved grant has its message", _("grants are reserved for no message"), _BY_HAND, _reserved_for_nobody
    ),
    Question("1 a spent grant had its message", _("grants are spent for no message"), _BY_HAND, Look.spent_for_nothing),
    Question(
        "2 once per job and person",
        _("people have more than one message of the same job"),
        _MAKE_IT_AGAIN,
        _unless_kept("delivery_once_per_job_and_person", _twice_in_a_job),
    ),
    Question(
        "2 once per event and person",
        _("people have more than one message for the same event"),
        _MAKE_IT_AGAIN,
        _unless_kept("delivery_once_per_trigger_event_and_person", _twice_for_an_event),
    ),
    Question(
        "2 one in flight per person",
        _("people have more than one message in flight"),
        _MAKE_IT_AGAIN,
        _unless_kept("delivery_one_in_flight_per_person", _two_in_flight),
    ),
    Question(
        "2 a message has one origin",
        _("messages come from no job and no trigger, or from both"),
        _BY_HAND,
        _message("origin"),
    ),
    Question(
        "3 sending is written down first",
        _("messages have a result and were never written down as sending"),
        _BY_HAND,
        _message("never_left"),
    ),
    Question(
        "4 leases lapse",
        _("messages hold a lease that lapsed long ago: is a worker running?"),
        _WORKER,
        _message("not_reaped"),
    ),
    Question(
        "4 what is in flight has a lease",
        _("messages are in flight without a lease: they would be so for ever"),
        _("Set lease_until of these rows to now: claimed ones wait again, sending ones become unknown."),
        _message("no_lease"),
    ),
    Question(
        "5 nothing is sent twice",
        _("messages that WeChat has counted or refused for good wait to be sent"),
        _("Pause their jobs at once, and find out who changed rows by hand."),
        _message("would_leave_twice"),
    ),
    Question(
        "6 consent fits its message",
        _("messages used the consent of another template or person"),
        _BY_HAND,
        _message("grant_of_others"),
    ),
    Question(
        "6 a void consent is not in stock",
        _("grants in stock were voided by their person"),
        _BY_HAND,
        Look.void_in_stock,
    ),
    Question(
        "6 consent is used in time", _("messages used a consent after its end"), _BY_HAND, _message("grant_too_late")
    ),
    Question(
        "6 a void consent is not used",
        _("messages used a consent after their person had turned the template off"),
        _BY_HAND,
        Look.used_though_void,
    ),
    Question("7 everybody is accounted for", _("jobs lost or invented somebody"), _BY_HAND, _unbalanced_jobs),
    Question(
        "8 a message's state fits its dates",
        _("messages are in a state that no verb of the platform has written"),
        _BY_HAND,
        _message("strange_state"),
    ),
    Question(
        "8 a job's state fits its dates",
        _("jobs are in a state that no verb of the platform has written"),
        _BY_HAND,
        _jobs_without_their_dates,
    ),
    Question(
        "9 finished means finished",
        _("finished jobs still have messages waiting"),
        _("Make a new job for those who got nothing; these rows will not be sent."),
        _finished_too_early,
    ),
    Question(
        "9 unknown results are closed in time",
        _("messages are unknown for longer than their mini-program allows"),
        _WORKER,
        _unknown_for_too_long,
    ),
    Question(
        "10 a consent is its person's",
        _("grants belong to somebody else than their answer, or to another template"),
        _BY_HAND,
        Look.of_other_answers,
    ),
    Question(
        "10 a phone speaks for few",
        _("people hold more consents that only their phone speaks for than their mini-program allows"),
        _("After the limit was lowered they lapse by themselves; else see that WeChat's pushes arrive."),
        _unconfirmed_beyond_the_limit,
    ),
    Question(
        "10 answers count their grants",
        _("answers say that they brought another number of consents than they did"),
        _BY_HAND,
        Look.miscounted_answers,
    ),
    Question(
        "11 leases follow the database's clock",
        _("messages hold a lease that ends long after any lease may"),
        _("The database's clock was set back: set it right, then set lease_until of these rows to now."),
        _message("endless_lease"),
    ),
    Question(
        "11 the pace follows the database's clock",
        _("the pace of mini-programs or jobs is booked far ahead, so nothing leaves"),
        _("The database's clock was set back: set it right, then set next_slot_us of these rows to 0."),
        _pace_far_ahead,
    ),
)
