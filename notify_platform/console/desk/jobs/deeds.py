"""The buttons of a job: who may press which one in which state, what it asks first, and the verb behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from notify_platform.console.desk.jobs import deciding
from notify_platform.delivery import settlement
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.utils.functional import _StrPromise

State = SendJob.State
CHANGE, APPROVE, OPERATE = "jobs.change_sendjob", "jobs.approve_sendjob", "jobs.operate_sendjob"
STARTED = frozenset({State.RUNNING, State.PAUSED, State.FINISHED, State.CANCELLED})


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing a person does with a job. ``done`` is said afterwards; ``tone`` colours the button."""

    name: str
    label: _StrPromise
    question: _StrPromise
    done: _StrPromise
    permission: str
    states: frozenset[str]
    verb: Callable[..., object]
    tone: str = "plain"
    asks_reason: bool = False
    second_person: bool = False
    shows_reach: bool = False
    # Typed when it concerns many people.
    asks_name: bool = False
    # All that is decided about stands on the page of the question.
    shows_all: bool = False
    # One that stands beside what it is about, not among the buttons at the head of the page.
    is_aside: bool = False

    def is_offered(self, job: SendJob, *, to: User) -> bool:
        """Whether this person sees the button now."""
        is_own = self.second_person and job.created_by_id == to.pk
        if job.is_pattern and self.verb is jobs.start:
            return False
        return self.is_possible(job) and to.has_perm(self.permission) and not is_own

    def is_possible(self, job: SendJob) -> bool:
        """Whether the job is in a state for it; one that would go on by itself can be kept from it."""
        return job.state in self.states or (self.verb is jobs.pause and job.goes_on_by_itself)

    def do(self, job: SendJob, *, by: User, given: Mapping[str, str]) -> None:
        """Call the verb with what was typed. Raises ``Refused``."""
        more: dict[str, Any] = {"reason": given.get("reason", "")} if self.asks_reason else {}
        if self.asks_name:
            deciding.check_name(job, given.get("name", ""))
        if self.shows_all:
            more["seen"] = given.get("seen", "")
        self.verb(job, by=by, **more)


_DEEDS = (
    Deed(
        "submit",
        _("Submit"),
        _("Submit this job for approval? It cannot be changed while it waits."),
        _("The job was submitted."),
        CHANGE,
        frozenset({State.DRAFT}),
        deciding.submit,
        tone="main",
        shows_reach=True,
    ),
    Deed(
        "approve",
        _("Approve"),
        _("Approve this job? It can be started from then on."),
        _("The job was approved."),
        APPROVE,
        frozenset({State.SUBMITTED}),
        deciding.approve,
        tone="main",
        second_person=True,
        shows_reach=True,
        asks_name=True,
        shows_all=True,
    ),
    Deed(
        "refuse",
        _("Refuse"),
        _("Refuse this job? It goes back to its composer with your reason."),
        _("The job was refused."),
        APPROVE,
        frozenset({State.SUBMITTED}),
        jobs.refuse,
        tone="bad",
        asks_reason=True,
        second_person=True,
    ),
    Deed(
        "reopen",
        _("Take back and change"),
        _("Take this job back to draft? It has to be submitted again."),
        _("The job is a draft again."),
        CHANGE,
        frozenset({State.SUBMITTED, State.SCHEDULED}),
        jobs.reopen,
    ),
    Deed(
        "start",
        _("Start"),
        _("Start to send now? The audience is frozen from here on."),
        _("The job was started."),
        OPERATE,
        frozenset({State.SCHEDULED}),
        jobs.start,
        tone="main",
        shows_reach=True,
        asks_name=True,
    ),
    Deed(
        "pause",
        _("Pause"),
        _("Pause this job? At most the messages that are just leaving still leave."),
        _("The job was paused."),
        OPERATE,
        frozenset({State.RUNNING}),
        jobs.pause,
    ),
    Deed(
        "resume",
        _("Resume"),
        _("Go on with this job?"),
        _("The job goes on."),
        OPERATE,
        frozenset({State.PAUSED}),
        jobs.resume,
        tone="main",
    ),
    Deed(
        "cancel",
        _("Cancel the job"),
        _("Cancel this job for good? Who has not been sent to yet gets nothing."),
        _("The job was cancelled."),
        OPERATE,
        SendJob.CANCELLABLE,
        jobs.cancel,
        tone="bad",
    ),
    Deed(
        "settle_sent",
        _("Count them as sent"),
        _("Count all messages with an unknown result as sent? Their consents are spent. How do you know?"),
        _("The unknown results were settled as sent."),
        OPERATE,
        STARTED,
        partial(settlement.resolve_unknown_of, sent=True),
        asks_reason=True,
        is_aside=True,
    ),
    Deed(
        "settle_not_sent",
        _("Count them as not sent"),
        _("Count all messages with an unknown result as not sent? Their consents are given back. How do you know?"),
        _("The unknown results were settled as not sent."),
        OPERATE,
        STARTED,
        partial(settlement.resolve_unknown_of, sent=False),
        tone="bad",
        asks_reason=True,
        is_aside=True,
    ),
)
DEEDS: Mapping[str, Deed] = {deed.name: deed for deed in _DEEDS}


def offered(job: SendJob, *, to: User) -> list[Deed]:
    """Return the buttons this person sees, in the order of a job's life."""
    return [deed for deed in _DEEDS if deed.is_offered(job, to=to) and not deed.is_aside]
