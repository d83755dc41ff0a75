"""Everything around the sending: start what is due, freeze audiences, mend after crashes, finish what is done.

``tick`` is short, safe to run from several workers at once, and safe to run twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.expressions import Combinable
from django.db.models.functions import Now

from notify_platform.core import outages
from notify_platform.core.errors import Refused
from notify_platform.delivery import claims, fanout, limits, pacing, retention, settlement
from notify_platform.delivery.models import Delivery
from notify_platform.jobs import jobs, series
from notify_platform.jobs.models import SendJob
from subscriptions.grants import validity
from subscriptions.models import Grant
from templates_app.models import MiniProgram

logger = logging.getLogger(__name__)

# Retries come back within seconds; a row held longer waits for a clock, not for us.
SOON = timedelta(minutes=1)


def tick() -> bool:
    """Do one round; return whether there is more to do at once."""
    released, lost = claims.reap()
    closed = [settlement.close_unknown(mini_program) for mini_program in MiniProgram.objects.all()]
    kept = [_fan_out(), _cancel(), _close_cancelled(), _finish()]
    consent = [validity.apply(), validity.lapse()]
    started = [limits.begin_day(), series.make_due(), jobs.start_due()]
    return any([*started, released, lost, *closed, *consent, *kept, _tidy()])


def _fan_out() -> int:
    unfrozen = SendJob.objects.filter(state=SendJob.State.RUNNING, fanned_out_at__isnull=True)
    return _each(unfrozen.select_related("template", "audience").order_by("started_at"), _freeze)


def _freeze(job: SendJob) -> bool:
    try:
        fanout.step(job)
    except Refused as refusal:
        jobs.pause_all(reason=SendJob.PauseReason.CONTENT, detail=refusal.message, job_ids={job.pk})
    return True


def _cancel() -> int:
    """Clear away what cancelled jobs still had waiting."""
    clearing = SendJob.objects.filter(state=SendJob.State.CANCELLED, ended_at__isnull=True)
    return _each(clearing, lambda job: bool(claims.cancel_waiting(job)))


def _close_cancelled() -> int:
    """With no row waiting or in flight any more a cancelled job has ended; what is in flight may still come back."""
    left = Delivery.objects.filter(job=OuterRef("pk"), state__in=Delivery.OPEN)
    cleared = SendJob.objects.filter(~Exists(left), state=SendJob.State.CANCELLED, ended_at__isnull=True)
    return _each(cleared, jobs.close_cancelled)


def _each(some: Iterable[SendJob], do: Callable[[SendJob], bool]) -> int:
    """Do it to every job and count the yeses; a job that breaks must not stop the others."""
    done = 0
    for job in some:
        try:
            done += do(job)
        except outages.AWAY:
            raise  # the database is away, for all of them
        except Exception:
            about = {"job": job.pk, "mini_program": job.mini_program_id}
            logger.exception("job %s cannot be kept moving", job.pk, extra=about)
    return done


def _finish() -> int:
    """Finish every running job whose audience is frozen and of which no row is waiting, claimed or sending."""
    left = Delivery.objects.filter(job=OuterRef("pk"), state__in=Delivery.OPEN)
    done = SendJob.objects.filter(~Exists(left), state=SendJob.State.RUNNING, fanned_out_at__isnull=False)
    return _each(done, jobs.finish)


def _tidy() -> bool:
    """Let go of what is too old; a row that cannot go must not keep the sending back."""
    try:
        return retention.tidy()
    except outages.AWAY:
        raise
    except Exception:
        logger.exception("what is too old cannot be deleted")
        return False


def due() -> Q:
    """Return the condition that ``tick`` or the engine has something to do: a few index probes, for one query."""
    started = Q(state=SendJob.State.RUNNING) | jobs.DUE
    clearing = Q(state=SendJob.State.CANCELLED, ended_at__isnull=True)
    lapsed = Delivery.objects.filter(state__in=Delivery.IN_FLIGHT, lease_until__lte=Now())
    unknown = Delivery.objects.filter(state=Delivery.State.UNKNOWN, settled_at__isnull=True)
    expired = Grant.objects.filter(state=Grant.State.AVAILABLE, expires_at__lte=Now())
    moving = SendJob.objects.filter(started | clearing | jobs.LIMITED)
    sending = Q(Exists(moving)) | Exists(lapsed) | Exists(unknown) | Exists(series.due())
    return sending | Exists(expired) | Exists(validity.changed()) | retention.due()


def mini_programs_with_work() -> list[MiniProgram]:
    """Return the mini-programs that have a message due this moment in a running job, and some of their day left."""
    return list(_with_work(until=Now()).order_by("pk"))


def is_idle() -> bool:
    """Whether nothing is under way, and nothing in a running job becomes due within a minute and may leave today."""
    in_flight = Delivery.objects.filter(state__in=Delivery.IN_FLIGHT).exists()
    freezing = SendJob.objects.filter(state=SendJob.State.RUNNING, fanned_out_at__isnull=True).exists()
    return not in_flight and not freezing and not _with_work(until=Now() + SOON).exists()


def _with_work(*, until: Combinable) -> QuerySet[MiniProgram]:
    """Return whose running jobs have a message waiting for a moment by ``until``: one index probe for each job."""
    waiting = Delivery.objects.filter(job=OuterRef("pk"), state=Delivery.State.WAITING, due_at__lte=until)
    due = SendJob.objects.filter(Exists(waiting), state=SendJob.State.RUNNING)
    return MiniProgram.objects.filter(~Exists(pacing.used_up()), pk__in=due.values("mini_program"))
