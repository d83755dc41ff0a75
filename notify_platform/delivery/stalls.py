"""Why does nothing leave? One look at a running job's next message, its worker, its pace and its token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from notify_platform.core.clock import beijing_midnight, database_now
from notify_platform.core.models import Bell, WorkerNode
from notify_platform.delivery import pacing, speed
from notify_platform.delivery.models import Delivery, Pace
from notify_platform.jobs.models import SendJob
from templates_app.models import AccessToken

State = Delivery.State
# So long nothing has left before anybody is told that it stands still.
AFTER: Final = timedelta(minutes=2)
WORKER_SILENT_AFTER: Final = timedelta(seconds=15)
BELL_LATE_AFTER: Final = timedelta(seconds=60)
# A message due within this is about to leave; the pace is never held for less when something is wrong.
SHORTLY: Final = timedelta(seconds=30)
HELD: Final = timedelta(seconds=2)


class Cause(StrEnum):
    """What keeps a job from sending."""

    CLOCK = "clock"
    BUDGET = "budget"
    NO_WORKER = "no_worker"
    QUEUE = "queue"
    TOKEN = "token"  # noqa: S105 - a word, not a secret
    PACE_HELD = "pace_held"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Stall:
    """Why a running job stands still, and until when it will (None: until somebody acts)."""

    cause: Cause
    since: datetime
    until: datetime | None = None
    reason: str = ""


def of_job(job: SendJob) -> Stall | None:
    """Say why a running job sends nothing; None while it does, or is about to. A few index probes."""
    if job.state != SendJob.State.RUNNING or job.fanned_out_at is None:
        return None
    now = database_now()
    since = speed.of_jobs([job.pk]).get(job.pk, speed.Speed()).last_at or job.started_at or now
    first = _next_row(job)
    if first is None:
        return None
    due_at, reason = first
    if due_at > now + SHORTLY:
        # Nobody need wait two minutes to learn that everybody's clock says no.
        return Stall(Cause.CLOCK, since=since, until=due_at, reason=reason)
    if not pacing.left_today(job.mini_program):
        return Stall(Cause.BUDGET, since=since, until=beijing_midnight(now) + timedelta(days=1))
    if since > now - AFTER:
        return None
    return _why(job, now=now, since=since)


def _next_row(job: SendJob) -> tuple[datetime, str] | None:
    waiting = Delivery.objects.filter(job=job, state=State.WAITING).order_by("due_at", "id")
    return waiting.values_list("due_at", "reason").first()


def _why(job: SendJob, *, now: datetime, since: datetime) -> Stall:
    if not WorkerNode.objects.filter(beat_at__gt=now - WORKER_SILENT_AFTER).exists():
        return Stall(Cause.NO_WORKER, since=since)
    if Bell.objects.filter(rung_at__lt=now - BELL_LATE_AFTER).exists():
        return Stall(Cause.QUEUE, since=since)
    if not AccessToken.objects.filter(mini_program=job.mini_program_id, expires_at__gt=now).exists():
        return Stall(Cause.TOKEN, since=since)
    if held := _held_until(job, now=now):
        return Stall(Cause.PACE_HELD, since=since, until=held)
    return Stall(Cause.UNCLEAR, since=since)


def _held_until(job: SendJob, *, now: datetime) -> datetime | None:
    slot = Pace.objects.filter(name=pacing.name_of(job.mini_program)).values_list("next_slot_us", flat=True).first()
    free_at = now if slot is None else datetime.fromtimestamp(slot / 1_000_000, tz=now.tzinfo)
    return free_at if free_at > now + HELD else None
