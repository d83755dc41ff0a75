"""The gates every row passes at the claim: who may get this card now, who later, and who not at all.

Each gate reads a set, none writes; the order is that of the design, consent comes last and is reserved by the claim.
``rehearsal`` asks the same expressions of a whole audience, so that a dry run and the claim cannot disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Final, NamedTuple

from django.db.models import Case, CharField, DateTimeField, Exists, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Cast

from notify_platform.core.bulk import Among, Literal
from notify_platform.core.clock import zone_of
from notify_platform.delivery.models import Delivery, Reason
from notify_platform.delivery.moments import Hours, Moment, NotBefore, Quiet, Rule, Window, next_allowed_moment
from notify_platform.jobs.models import SendJob
from subscriptions.models import Subscriber, Subscription

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
LONGEST_WAIT = timedelta(days=14)
SHUT_STATES = frozenset({Subscription.State.OFF, Subscription.State.BANNED, Subscription.State.SUSPENDED})
SHUT = Q(state__in=[Literal(state.value) for state in sorted(SHUT_STATES)])
MUTED = Q(muted_at__isnull=False)
# What ``asked`` adds to a person.
ANSWERS: Final = ("never", "day_cap", "week_cap")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A waiting row whose person is locked."""

    delivery_id: int
    variant_id: int
    attempts: int
    last_code: int | None
    is_counted: bool
    subscriber: Subscriber


@dataclass(slots=True)
class Verdicts:
    """What the gates said: who passes, who is skipped and why, who waits until when and why."""

    passed: list[Candidate] = field(default_factory=list)
    skipped: list[tuple[int, Reason]] = field(default_factory=list)
    held: list[tuple[int, datetime, Reason]] = field(default_factory=list)


class Wishes(NamedTuple):
    """What of a person decides about the moment; people with the same wishes share it."""

    time_zone: str
    quiet_from: time | None
    quiet_until: time | None
    paused_until: datetime | None
    day_cap: datetime | None
    week_cap: datetime | None


NO_WISHES: Final = Wishes("", None, None, None, None, None)


def judge(job: SendJob, *, candidates: Sequence[Candidate], now: datetime) -> Verdicts:
    """Send every candidate through all gates but consent. The persons must be locked by the caller's transaction."""
    verdicts = Verdicts()
    persons = Subscriber.objects.filter(Among("pk", [candidate.subscriber.pk for candidate in candidates]))
    found = asked(job, people=persons, at=now).values_list("pk", *ANSWERS) if candidates else ()
    answers = {pk: (never, day_cap, week_cap) for pk, never, day_cap, week_cap in found}
    moments = Moments(job, at=now)
    for candidate in candidates:
        person = candidate.subscriber
        never, day_cap, week_cap = answers[person.pk]
        if never:
            verdicts.skipped.append((candidate.delivery_id, Reason(never)))
            continue
        own = (person.time_zone, person.quiet_from, person.quiet_until, person.paused_until)
        moment = moments.of(Wishes(*own, day_cap, week_cap))
        if moment.at is None:
            verdicts.skipped.append((candidate.delivery_id, moment.reason or Reason.TOO_LATE))
        elif moment.reason:
            verdicts.held.append((candidate.delivery_id, moment.at, moment.reason))
        else:
            verdicts.passed.append(candidate)
    return verdicts


# --- who does not get it at all ------------------------------------------------------------------------------------


def asked(job: SendJob, *, people: QuerySet[Subscriber], at: datetime, are_many: bool = False) -> QuerySet[Subscriber]:
    """Ask of people, in one statement: ``never`` (a reason, or empty), ``day_cap`` and ``week_cap``.

    The caps say when the message left that fills the day or the week of somebody who has had enough. ``are_many``: the
    relations are read all at once, not one for each person.
    """
    day_cap, week_cap = (_filled(cap, span=span, at=at) for cap, span in _caps(job))
    return people.annotate(never=_never(job, at=at, are_many=are_many), day_cap=day_cap, week_cap=week_cap)


def _never(job: SendJob, *, at: datetime, are_many: bool) -> Case:
    relations = Subscription.objects.filter(template_id=job.template_id)

    def whose(relations: QuerySet[Subscription]) -> Q | Exists:
        if are_many:
            return Q(pk__in=relations.values("subscriber_id"))
        return Exists(relations.filter(subscriber=OuterRef("pk")))

    gates: list[tuple[Q | Exists, Reason]] = [
        (Q(forgotten_at__isnull=False), Reason.FORGOTTEN),
        (Q(invalid_at__isnull=False), Reason.UNREACHABLE),
        (Q(main_switch_off_at__isnull=False), Reason.SWITCHED_OFF),
        (whose(relations.filter(SHUT)), Reason.SWITCHED_OFF),
        (whose(relations.filter(MUTED)), Reason.MUTED),
    ]
    if is_too_late(job, at=at):
        gates.insert(1, (Q(pk__isnull=False), Reason.TOO_LATE))
    whens = [When(condition, then=Value(reason.value)) for condition, reason in gates]
    return Case(*whens, default=Value(""), output_field=CharField())


def _filled(cap: int | None, *, span: timedelta, at: datetime) -> Subquery | Cast:
    """Return when the last message but ``cap - 1`` of a person left, if that is less than ``span`` ago."""
    if not cap:
        return Cast(Value(None), DateTimeField())
    return Subquery(_filling(cap, span=span, at=at).values("armed_at"))


def _filling(cap: int, *, span: timedelta, at: datetime) -> QuerySet[Delivery]:
    sent = Delivery.objects.filter(subscriber=OuterRef("pk"), state__in=sorted(Delivery.SENT), armed_at__gt=at - span)
    return sent.order_by("-armed_at")[cap - 1 : cap]


def apart(job: SendJob, *, at: datetime) -> Q:
    """Return the condition that something of a person decides about a job's card.

    All the others are alike: ``asked`` says nothing of them that it does not say of everybody, their wishes are none.
    """
    theirs = Subscription.objects.filter(SHUT | MUTED, template_id=job.template_id)
    condition = (
        Q(forgotten_at__isnull=False)
        | Q(invalid_at__isnull=False)
        | Q(main_switch_off_at__isnull=False)
        | Q(paused_until__gt=at)
        | Q(quiet_from__isnull=False)
        | ~Q(time_zone__in=["", job.mini_program.time_zone])
        | Q(pk__in=theirs.values("subscriber_id"))
    )
    for cap, span in _caps(job):
        if cap:
            condition |= Q(Exists(_filling(cap, span=span, at=at)))
    return condition


def _caps(job: SendJob) -> Sequence[tuple[int | None, timedelta]]:
    return (job.mini_program.cap_per_day, DAY), (job.mini_program.cap_per_week, WEEK)


def deadline(job: SendJob, *, at: datetime) -> datetime:
    """Return until when a row may wait: without a deadline of its own a job ends some time all the same.

    A job that has not started is looked at as if it did so at ``at``.
    """
    return job.not_after or (job.started_at or at) + LONGEST_WAIT


def is_too_late(job: SendJob, *, at: datetime) -> bool:
    """Whether nobody gets it any more."""
    return at > deadline(job, at=at)


# --- who gets it later ---------------------------------------------------------------------------------------------


class Moments:
    """When people may get a job's card from ``at`` on, reckoned once for all who share their wishes."""

    def __init__(self, job: SendJob, *, at: datetime) -> None:
        self.job = job
        self.at = at
        self._known: dict[Wishes, Moment] = {}

    def of(self, wishes: Wishes) -> Moment:
        """Return the moment of everybody with these wishes."""
        if wishes not in self._known:
            self._known[wishes] = next_allowed_moment(
                self.at,
                zone=zone_of(wishes.time_zone, self.job.mini_program.time_zone),
                rules=_rules(self.job, wishes),
                not_after=deadline(self.job, at=self.at),
            )
        return self._known[wishes]


def _rules(job: SendJob, wishes: Wishes) -> list[Rule]:
    template, mini_program = job.template, job.mini_program
    rules: list[Rule] = []
    if wishes.paused_until:
        rules.append(NotBefore(wishes.paused_until, Reason.PERSON_PAUSED))
    frees = [filled + span for filled, span in ((wishes.day_cap, DAY), (wishes.week_cap, WEEK)) if filled]
    if frees:
        rules.append(NotBefore(max(frees), Reason.CAP))
    # What is urgent, or tried out, passes the app's and the template's quiet hours, never a person's own.
    owners: list[tuple[time | None, time | None]] = [(wishes.quiet_from, wishes.quiet_until)]
    if not (template.urgent or job.test_of_id):
        owners += [(mini_program.quiet_from, mini_program.quiet_until), (template.quiet_from, template.quiet_until)]
    rules += [Quiet(Hours(begin, end)) for begin, end in owners if begin is not None and end is not None]
    if job.window_from is not None and job.window_until is not None:
        rules.append(Window(Hours(job.window_from, job.window_until)))
    return rules
