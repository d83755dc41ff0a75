"""Everything around the sending: start what is due, freeze audiences, mend after crashes, finish what is done.

``tick`` is short, safe to run from several workers at once, and safe to run twice.
"""

from __future__ import annotations

from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from notify_platform.delivery import claims, fanout, settlement
from notify_platform.delivery.models import Delivery
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob
from subscriptions.grants import ledger
from templates_app.models import MiniProgram


def tick() -> bool:
    """Do one round; return whether there is more to do at once."""
    released, lost = claims.reap()
    closed = [settlement.close_unknown(mini_program) for mini_program in MiniProgram.objects.all()]
    return any([jobs.start_due(), released, lost, *closed, ledger.lapse(), _fan_out(), _cancel(), _finish()])


def _fan_out() -> int:
    unfrozen = SendJob.objects.filter(state=SendJob.State.RUNNING, fanned_out_at__isnull=True)
    jobs_left = [fanout.step(job) for job in unfrozen.select_related("template", "audience").order_by("started_at")]
    return len(jobs_left)


def _cancel() -> int:
    """Clear away what cancelled jobs still had waiting; the last row taken, the job has ended."""
    clearing = SendJob.objects.filter(state=SendJob.State.CANCELLED, ended_at__isnull=True)
    return sum(claims.cancel_waiting(job) or jobs.close_cancelled(job) for job in clearing)


def _finish() -> int:
    """Finish every running job whose audience is frozen and of which no row is waiting, claimed or sending."""
    left = Delivery.objects.filter(job=OuterRef("pk"), state__in=Delivery.OPEN)
    done = SendJob.objects.filter(~Exists(left), state=SendJob.State.RUNNING, fanned_out_at__isnull=False)
    return sum(jobs.finish(job) for job in done)


def mini_programs_with_work() -> list[MiniProgram]:
    """Return the mini-programs that have a message due this moment in a running job."""
    due = Delivery.objects.filter(
        job__state=SendJob.State.RUNNING,
        job__mini_program=OuterRef("pk"),
        state=Delivery.State.WAITING,
        due_at__lte=Now(),
    )
    return list(MiniProgram.objects.filter(Exists(due)).order_by("pk"))


def is_idle() -> bool:
    """Whether nothing is under way or can become due without somebody doing something.

    Rows waiting for a later moment count as work; paused jobs do not.
    """
    moving = SendJob.objects.filter(state=SendJob.State.RUNNING).exists()
    in_flight = Delivery.objects.filter(state__in=Delivery.IN_FLIGHT).exists()
    return not moving and not in_flight
