"""The gates every row passes at the claim: who may get this card now, who later, and who not at all.

Each gate reads a set, none writes; the order is that of the design, consent comes last and is reserved by the claim.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from notify_platform.delivery.models import Delivery, Reason
from notify_platform.delivery.moments import Hours, Moment, NotBefore, Quiet, Rule, Window, next_allowed_moment
from notify_platform.jobs.models import SendJob
from subscriptions.models import Subscriber, Subscription

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
LONGEST_WAIT = timedelta(days=14)
SHUT_STATES = frozenset({Subscription.State.OFF, Subscription.State.BANNED, Subscription.State.SUSPENDED})


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


def judge(job: SendJob, *, candidates: Sequence[Candidate], now: datetime) -> Verdicts:
    """Send every candidate through all gates but consent. The persons must be locked by the caller's transaction."""
    verdicts = Verdicts()
    shut = _shut_or_muted(job, candidates)
    moment_of = _moments(job, candidates, now=now)
    for candidate in candidates:
        reason = _never(job, candidate, shut=shut, now=now)
        if reason:
            verdicts.skipped.append((candidate.delivery_id, reason))
            continue
        moment = moment_of(candidate)
        if moment.at is None:
            verdicts.skipped.append((candidate.delivery_id, moment.reason or Reason.TOO_LATE))
        elif moment.reason:
            verdicts.held.append((candidate.delivery_id, moment.at, moment.reason))
        else:
            verdicts.passed.append(candidate)
    return verdicts


def _deadline(job: SendJob) -> datetime:
    """Return until when a row may wait: without a deadline of its own a job ends some time all the same."""
    return job.not_after or (job.started_at or job.created_at) + LONGEST_WAIT


def _zone(job: SendJob, person: Subscriber) -> ZoneInfo:
    try:
        return ZoneInfo(person.time_zone or job.mini_program.time_zone)
    except (KeyError, ValueError, OSError):
        # A zone the tz database has dropped, or never had: the mini-program's is the better guess than none.
        return ZoneInfo(job.mini_program.time_zone)


def _never(job: SendJob, candidate: Candidate, *, shut: Mapping[int, Reason], now: datetime) -> Reason | None:
    if candidate.subscriber.forgotten_at:
        return Reason.FORGOTTEN
    if now > _deadline(job):
        return Reason.TOO_LATE
    if candidate.subscriber.invalid_at:
        return Reason.UNREACHABLE
    if candidate.subscriber.main_switch_off_at:
        return Reason.SWITCHED_OFF
    return shut.get(candidate.subscriber.pk)


def _shut_or_muted(job: SendJob, candidates: Sequence[Candidate]) -> dict[int, Reason]:
    rows = Subscription.objects.filter(
        template_id=job.template_id, subscriber_id__in=[candidate.subscriber.pk for candidate in candidates]
    ).values_list("subscriber_id", "state", "muted_at")
    reasons: dict[int, Reason] = {}
    for subscriber_id, state, muted_at in rows:
        if state in SHUT_STATES:
            reasons[subscriber_id] = Reason.SWITCHED_OFF
        elif muted_at:
            reasons[subscriber_id] = Reason.MUTED
    return reasons


def _moments(job: SendJob, candidates: Sequence[Candidate], *, now: datetime) -> Callable[[Candidate], Moment]:
    """Return the moment of a candidate; people with the same clock and no wishes of their own share one reckoning."""
    capped = _caps(job, candidates, now=now)
    shared: dict[tuple[object, ...], Moment] = {}

    def moment_of(candidate: Candidate) -> Moment:
        person = candidate.subscriber
        free_at = capped.get(person.pk)
        key = (person.time_zone, person.quiet_from, person.quiet_until, person.paused_until, free_at)
        if key not in shared:
            shared[key] = next_allowed_moment(
                now,
                zone=_zone(job, person),
                rules=_rules(job, person, free_at=free_at),
                not_after=_deadline(job),
            )
        return shared[key]

    return moment_of


def _rules(job: SendJob, person: Subscriber, *, free_at: datetime | None) -> list[Rule]:
    template, mini_program = job.template, job.mini_program
    rules: list[Rule] = []
    if person.paused_until:
        rules.append(NotBefore(person.paused_until, Reason.PERSON_PAUSED))
    if free_at:
        rules.append(NotBefore(free_at, Reason.CAP))
    # Urgent passes the app's and the template's quiet hours, never a person's own.
    owners: list[tuple[time | None, time | None]] = [(person.quiet_from, person.quiet_until)]
    if not template.urgent:
        owners += [(mini_program.quiet_from, mini_program.quiet_until), (template.quiet_from, template.quiet_until)]
    rules += [Quiet(Hours(begin, end)) for begin, end in owners if begin is not None and end is not None]
    if job.window_from is not None and job.window_until is not None:
        rules.append(Window(Hours(job.window_from, job.window_until)))
    return rules


def _caps(job: SendJob, candidates: Sequence[Candidate], *, now: datetime) -> dict[int, datetime]:
    """Return, for those who have had enough, the moment one more is allowed: caps count what left, rolling."""
    caps = [
        (cap, span) for cap, span in ((job.mini_program.cap_per_day, DAY), (job.mini_program.cap_per_week, WEEK)) if cap
    ]
    if not caps:
        return {}
    sent: dict[int, list[datetime]] = defaultdict(list)
    rows = Delivery.objects.filter(
        subscriber_id__in=[candidate.subscriber.pk for candidate in candidates],
        state__in=Delivery.SENT,
        armed_at__gt=now - WEEK,
    ).order_by("armed_at")
    for subscriber_id, armed_at in rows.values_list("subscriber_id", "armed_at"):
        if armed_at:
            sent[subscriber_id].append(armed_at)
    free_at: dict[int, datetime] = {}
    for subscriber_id, moments in sent.items():
        frees = [moments[-cap] + span for cap, span in caps if len(moments) >= cap]
        if frees and max(frees) > now:
            free_at[subscriber_id] = max(frees)
    return free_at
