"""What became of a job: counted from the rows, never from a counter."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from django.db.models import Count

from notify_platform.delivery.models import Delivery, Skip
from notify_platform.jobs.models import SendJob

State = Delivery.State


@dataclass(frozen=True, slots=True)
class JobFunnel:
    """People of a job: all of them (``audience``), by state of their delivery, and why the others got nothing.

    ``not_sent`` counts by ``Reason`` value, the skips of the fan-out and those of the gates together; ``held`` those
    that wait for a reason.
    """

    audience: int
    by_state: Counter[str]
    not_sent: Counter[str]
    held: Counter[str]

    def count(self, *states: State) -> int:
        """Return how many deliveries are in any of these states."""
        return sum(self.by_state[state.value] for state in states)

    @property
    def accepted(self) -> int:
        """WeChat took the message, whatever its sent event said later."""
        return self.count(State.ACCEPTED, State.DELIVERED, State.UNDELIVERED)

    @property
    def left(self) -> int:
        """Still to be sent."""
        return self.count(State.WAITING, State.CLAIMED, State.SENDING)

    @property
    def is_balanced(self) -> bool:
        """Whether everybody of the frozen audience is accounted for."""
        at_fanout = sum(self.not_sent.values()) - self.count(State.SKIPPED)
        return self.audience == sum(self.by_state.values()) + at_fanout


def of_job(job: SendJob) -> JobFunnel:
    """Count one job: three queries, whatever its size."""
    by_state: Counter[str] = Counter()
    not_sent: Counter[str] = Counter()
    held: Counter[str] = Counter()
    rows = Delivery.objects.filter(job=job).values_list("state", "reason").annotate(number=Count("pk"))
    for state, reason, number in rows:
        by_state[state] += number
        if state == State.SKIPPED:
            not_sent[reason] += number
        elif state == State.WAITING and reason:
            held[reason] += number
    for reason, number in Skip.objects.filter(job=job).values_list("reason").annotate(number=Count("pk")):
        not_sent[reason] += number
    audience, pruned = SendJob.objects.values_list("audience_size", "pruned_skips").get(pk=job.pk)
    not_sent.update(pruned)
    return JobFunnel(audience=audience, by_state=by_state, not_sent=not_sent, held=held)
