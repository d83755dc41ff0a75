"""Whether the work gets done: workers, the queue, jobs that stand still, series, tallies."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from django.db.models import Exists, Max, OuterRef
from django.utils.translation import gettext as _

from notify_platform.callbacks import inbox
from notify_platform.console.desk import durations
from notify_platform.console.desk.base import SECRETS_OF_MINI_PROGRAM as SECRETS
from notify_platform.console.desk.jobs import standing
from notify_platform.core import queue as bells
from notify_platform.core.clock import database_now
from notify_platform.core.models import Bell, DriverLease, WorkerNode
from notify_platform.delivery import stalls
from notify_platform.delivery.models import Delivery
from notify_platform.insights import sending
from notify_platform.insights.books import Finding
from notify_platform.jobs import jobs, occurrences
from notify_platform.jobs import series as repeating
from notify_platform.jobs.models import SendJob, Series

LATE: Final = timedelta(minutes=1)
# A healthy queue is empty nearly always, and answers a pulse every three seconds.
LONGEST_QUEUE: Final = 100
PULSE_LATE: Final = timedelta(minutes=1)
# Tallies are counted every five minutes, the forecast every hour.
TURN_LATE: Final = timedelta(hours=1)


def workers() -> Iterator[Finding]:
    """Somebody does the work when there is any."""
    now = database_now()
    alive = WorkerNode.objects.filter(beat_at__gt=now - stalls.WORKER_SILENT_AFTER)
    cure = _("Start manage.py worker on at least one host; its supervisor (systemd) should keep it running.")
    if not alive.exists() and _is_left_undone():
        last = WorkerNode.objects.aggregate(last=Max("beat_at"))["last"]
        since = durations.words((now - last).total_seconds()) if last else "—"
        sentence = _("no worker is running, and work is left undone; the last sign of life: %(time)s ago") % {
            "time": since
        }
        yield Finding("worker", sentence, 1, cure)
    if frozen := alive.filter(pulse_at__lt=now - PULSE_LATE).count():
        sentence = _("workers live whose queue does not answer")
        yield Finding("worker", sentence, frozen, _("They restart it by themselves; if it lasts, restart the worker."))


def _is_left_undone() -> bool:
    """Whether something has been due for longer than a worker or ``deliver`` takes to see it."""
    before = database_now() - LATE
    waiting = Delivery.objects.filter(job=OuterRef("pk"), state=Delivery.State.WAITING, due_at__lt=before)
    # A secret that no key opens is told elsewhere; here it would only be in the way.
    running = SendJob.objects.filter(state=SendJob.State.RUNNING)
    some = (
        running.filter(Exists(waiting)),
        running.filter(fanned_out_at__isnull=True, started_at__lt=before),
        SendJob.objects.filter(jobs.DUE, starts_at__lt=before),
        inbox.due().filter(due_at__lt=before),
        repeating.due().filter(next_at__lt=before),
    )
    return any(rows.exists() for rows in some)


def queue() -> Iterator[Finding]:
    """What is asked for is answered."""
    now = database_now()
    late = Bell.objects.filter(rung_at__lt=now - stalls.BELL_LATE_AFTER)
    cure = _("Restart the worker. If that does not help, look into its log for the task that fails.")
    for name in late.order_by("rung_at").values_list("name", flat=True)[:LONGEST_QUEUE]:
        yield Finding("queue", _("nobody answers: %(name)s") % {"name": name}, 1, cure)
    if (number := bells.waiting()) > LONGEST_QUEUE:
        yield Finding("queue", _("tasks pile up in the queue of django-q2"), number, cure)


def standing_still() -> Iterator[Finding]:
    """Running jobs with messages due send them."""
    # A secret that no key opens is told elsewhere; here it would only be in the way.
    running = SendJob.objects.filter(state=SendJob.State.RUNNING).select_related("mini_program").defer(*SECRETS)
    for job in running.order_by("pk"):
        stall = stalls.of_job(job)
        if stall is None or stall.cause in {stalls.Cause.CLOCK, stalls.Cause.BUDGET}:
            continue
        if said := standing.of_job(job):
            told = {"number": job.pk, "name": job.name, "head": said.head}
            yield Finding("jobs", _("job %(number)s, %(name)s: %(head)s") % told, 1, said.sentence)


def series() -> Iterator[Finding]:
    """Every series that is agreed to knows its next occurrence, and none that is due is missing."""
    now = database_now()
    agreed = SendJob.objects.filter(series=OuterRef("pk"), occurrence__isnull=True, state=SendJob.State.SCHEDULED)
    active = Series.objects.filter(Exists(agreed), is_active=True).select_related("mini_program").defer(*SECRETS)
    for one in active.order_by("pk").iterator():
        sentence = _what_is_missing(one, ahead=occurrences.following(repeating.schedule_of(one), after=now))
        if one.next_at and one.next_at < now - LATE:
            sentence = _("an occurrence of the series %(name)s is due and has not been made")
        if sentence:
            cure = _("See that a worker runs. If one does, pause the series and resume it.")
            yield Finding("series", sentence % {"name": one.name}, 1, cure)


def _what_is_missing(one: Series, *, ahead: occurrences.Occurrence | None) -> str:
    """Return the sentence for a series that would pass over its next occurrence; empty for one in order."""
    if ahead is None or (one.next_at and one.next_at <= ahead.at):
        return ""
    made = SendJob.objects.filter(series=one, occurrence=ahead.day)
    return "" if made.exists() else _("the series %(name)s would pass over its next occurrence")


def tallies() -> Iterator[Finding]:
    """What is counted ahead of the question has been counted lately, and right."""
    now = database_now()
    turns = DriverLease.objects.filter(name__startswith=bells.TURN, until__lt=now - TURN_LATE)
    for name in turns.values_list("name", flat=True):
        sentence = _("%(name)s were not counted for more than an hour") % {"name": name.removeprefix(bells.TURN)}
        yield Finding("tallies", sentence, 1, _("See that a worker runs; its log says why counting fails."))
    if wrong := sending.disagreeing():
        sentence = _("tallies of sending do not say what the rows of their day say")
        yield Finding("tallies", sentence, wrong, _("Count them again: manage.py doctor --recount."))
