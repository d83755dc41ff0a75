"""How far a job is: the numbers of its page, each with the rows behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from notify_platform.console.desk import durations
from notify_platform.console.desk.jobs import standing
from notify_platform.console.desk.jobs.reasons import NEXT_STEPS
from notify_platform.console.desk.jobs.standing import Standing
from notify_platform.delivery import speed
from notify_platform.delivery.models import Delivery, Reason
from notify_platform.delivery.speed import Speed
from notify_platform.insights import funnels
from notify_platform.insights.funnels import JobFunnel, VariantResult
from notify_platform.jobs.models import SendJob
from notify_platform.wechat import outcomes

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

State = Delivery.State
LEFT = (State.WAITING, State.CLAIMED, State.SENDING)
TAKEN = (State.ACCEPTED, State.DELIVERED, State.UNDELIVERED)


@dataclass(frozen=True, slots=True)
class Tile:
    """One number with its name, and the list of rows behind it."""

    label: str | _StrPromise
    count: str
    url: str
    tone: str = "plain"


@dataclass(frozen=True, slots=True)
class Segment:
    """A coloured part of the bar, in percent of the audience."""

    tone: str
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class NotSent:
    """How many people got nothing for one reason: left out when the audience was frozen, or when their turn came."""

    label: str
    next_step: str
    count: str
    at_start: str
    at_start_url: str
    at_turn: str
    at_turn_url: str


@dataclass(frozen=True, slots=True)
class Failure:
    """One code of WeChat, how often, what it means and what to do."""

    code: int | None
    count: str
    meaning: str
    next_step: str
    url: str


@dataclass(frozen=True, slots=True)
class Held:
    """How many people wait for one reason, and what ends the waiting."""

    label: str
    next_step: str
    count: str
    url: str


@dataclass(frozen=True, slots=True)
class OfVariant:
    """One of several variants as the page shows it; ``rate`` is the share of those WeChat accepted who opened it."""

    name: str
    people: str
    accepted: str
    delivered: str
    opened: str
    rate: str


@dataclass(frozen=True, slots=True)
class Progress:
    """Everything the progress part of a job's page shows. ``pace`` and ``rest`` are empty unless messages leave."""

    percent: int
    is_frozen: bool
    pace: str
    rest: str
    standing: Standing | None
    tiles: Sequence[Tile]
    segments: Sequence[Segment]
    held: Sequence[Held]
    not_sent: Sequence[NotSent]
    failures: Sequence[Failure]
    unknown: str
    unknown_url: str
    variants: Sequence[OfVariant]


def of_job(job: SendJob, *, anew: bool) -> Progress:
    """Count a job; a handful of queries, whatever its size. Not ``anew``: of a large one the numbers may be older."""
    funnel = funnels.shown(job, anew=anew)
    now = speed.of_jobs([job.pk]).get(job.pk, Speed()) if job.state == SendJob.State.RUNNING else Speed()
    seconds = now.seconds_for(funnel.left)
    unknown = funnel.count(State.UNKNOWN)
    return Progress(
        percent=_percent(funnel),
        is_frozen=job.fanned_out_at is not None,
        pace=_("%(number)s a second") % {"number": _decimal(now.per_second)} if now.per_second else "",
        rest=_("%(time)s left") % {"time": durations.words(seconds)} if seconds is not None and funnel.left else "",
        standing=standing.of_job(job),
        held=_held(job, funnel),
        unknown=f"{unknown:,}" if unknown else "",
        unknown_url=log_url(job, state=State.UNKNOWN),
        tiles=_tiles(job, funnel),
        segments=_segments(funnel),
        not_sent=_not_sent(job, funnel),
        failures=_failures(job, funnel),
        variants=[_of_variant(found) for found in funnels.by_variant(job, anew=anew)],
    )


def log_url(job: SendJob, **conditions: object) -> str:
    """Return the address of the delivery log filtered to these rows of the job."""
    return f"{reverse('admin:delivery_delivery_changelist')}?{urlencode({'job': job.pk, **conditions})}"


def skip_url(job: SendJob, **conditions: object) -> str:
    """Return the address of the list of people who were skipped when the audience was frozen."""
    return f"{reverse('admin:delivery_skip_changelist')}?{urlencode({'job': job.pk, **conditions})}"


def _percent(funnel: JobFunnel) -> int:
    if not funnel.audience:
        return 0
    return (funnel.audience - funnel.left) * 100 // funnel.audience


def _tiles(job: SendJob, funnel: JobFunnel) -> list[Tile]:

    def tile(name: str | _StrPromise, count: int, tone: str, url: str = "", **conditions: object) -> Tile:
        return Tile(name, f"{count:,}", url or log_url(job, **conditions), tone)

    tiles = [
        tile(_("people in all"), funnel.audience, "plain"),
        tile(_("waiting"), funnel.left, "busy", state="left"),
        tile(_("accepted by WeChat"), funnel.accepted, "good", state="taken"),
        tile(_("delivered"), funnel.count(State.DELIVERED), "good", state=State.DELIVERED),
        tile(_("not delivered by WeChat"), funnel.count(State.UNDELIVERED), "bad", state=State.UNDELIVERED),
        tile(_("result unknown"), funnel.count(State.UNKNOWN), "warn", state=State.UNKNOWN),
        tile(_("refused by WeChat"), funnel.count(State.FAILED), "bad", state=State.FAILED),
        tile(_("not sent"), sum(funnel.not_sent.values()), "idle", url="#not-sent"),
    ]
    if cancelled := funnel.count(State.CANCELLED):
        tiles.append(tile(_("cancelled"), cancelled, "idle", state=State.CANCELLED))
    return tiles


def _segments(funnel: JobFunnel) -> list[Segment]:
    parts = (
        ("good", funnel.count(State.ACCEPTED, State.DELIVERED)),
        ("bad", funnel.count(State.FAILED, State.UNDELIVERED)),
        ("warn", funnel.count(State.UNKNOWN)),
        ("idle", sum(funnel.not_sent.values()) + funnel.count(State.CANCELLED)),
    )
    segments: list[Segment] = []
    start = 0.0
    for tone, count in parts:
        width = count * 100 / funnel.audience if funnel.audience else 0.0
        segments.append(Segment(tone, start, width))
        start += width
    return segments


def _not_sent(job: SendJob, funnel: JobFunnel) -> list[NotSent]:
    return [
        NotSent(
            label=str(Reason(reason).label),
            next_step=str(NEXT_STEPS[reason]),
            count=f"{count:,}",
            at_start=f"{funnel.at_start[reason]:,}",
            at_start_url=skip_url(job, reason__exact=reason),
            at_turn=f"{funnel.at_turn[reason]:,}",
            at_turn_url=log_url(job, state=State.SKIPPED, reason__exact=reason),
        )
        for reason, count in funnel.not_sent.most_common()
    ]


def _held(job: SendJob, funnel: JobFunnel) -> list[Held]:
    return [
        Held(
            label=str(Reason(reason).label),
            next_step=str(NEXT_STEPS[reason]),
            count=f"{count:,}",
            url=log_url(job, state=State.WAITING, reason__exact=reason),
        )
        for reason, count in funnel.held.most_common()
    ]


def _of_variant(found: VariantResult) -> OfVariant:
    return OfVariant(
        name=found.name,
        people=f"{found.people:,}",
        accepted=f"{found.accepted:,}",
        delivered=f"{found.delivered:,}",
        opened=f"{found.opened:,}",
        rate=f"{found.opened / found.accepted:.1%}" if found.accepted else "—",
    )


def _decimal(number: float) -> str:
    """Return a speed: whole, or with one decimal while it is small."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}"


def _failures(job: SendJob, funnel: JobFunnel) -> list[Failure]:
    most_first = sorted(funnel.codes.items(), key=lambda row: (-row[1], row[0] or 0))
    return [_failure(job, code=code, count=count) for code, count in most_first]


def _failure(job: SendJob, *, code: int | None, count: int) -> Failure:
    if code is None:
        meaning, next_step = gettext("A person settled it as not sent."), gettext("Write a new job to them.")
        return Failure(
            None, f"{count:,}", meaning, next_step, log_url(job, state=State.FAILED, error_code__isnull="True")
        )
    meaning, next_step = outcomes.describe(code)
    return Failure(code, f"{count:,}", meaning, next_step, log_url(job, state=State.FAILED, error_code__exact=code))
