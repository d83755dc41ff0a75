"""A job's state in its colour."""

from __future__ import annotations

from django.utils.safestring import SafeString

from notify_platform.console.desk.base import label
from notify_platform.jobs.models import SendJob

State = SendJob.State
TONES = {
    State.DRAFT: "idle",
    State.SUBMITTED: "warn",
    State.SCHEDULED: "busy",
    State.RUNNING: "busy",
    State.PAUSED: "warn",
    State.FINISHED: "good",
    State.CANCELLED: "idle",
}


def state_label(job: SendJob) -> SafeString:
    """Return a job's state in its colour."""
    return label(TONES[State(job.state)], job.get_state_display())
