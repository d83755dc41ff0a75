"""What became of a job: counted from the rows, never from a counter."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from django.db.models import Count, Q

from notify_platform.delivery.models import Delivery, Open, Skip
from notify_platform.insights.lately import lately
from notify_platform.jobs import variants
from notify_platform.jobs.models import SendJob

State = Delivery.State


@dataclass(frozen=True, slots=True)
class JobFunnel:
    """People of a job: all of them (``audience``), by state of their delivery, and why the others got nothing.

    Counted by ``Reason`` value: who was skipped at the fan-out (``at_start``) or at the gates (``at_turn``), and who
    waits for a reason (``held``); by WeChat's code, or None, who was refused (``codes``).
    """

    audience: int
    by_state: Counter[str]
    at_start: Counter[str]
    at_turn: Counter[str]
    held: Counter[str]
    codes: Counter[int | None]

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
    def not_sent(self) -> Counter[str]:
        """Who got nothing by us, by reason."""
        return self.at_start + self.at_turn

    @property
    def is_balanced(self) -> bool:
        """Whether everybody of the frozen audience is accounted for."""
        return self.audience == self.by_state.total() + self.at_start.total()


@dataclass(frozen=True, slots=True)
class VariantResult:
    """What became of one of several variants, in people: who was to get it, and how far it came with them."""

    name: str
    people: int
    accepted: int
    delivered: int
    opened: int


def of_job(job: SendJob) -> JobFunnel:
    """Count one job: a handful of queries, whatever its size."""
    at_turn: Counter[str] = Counter()
    held: Counter[str] = Counter()
    deliveries = Delivery.objects.filter(job=job).order_by()
    # By state alone in the order of the index; SQLite would sort a million rows by both.
    by_state = Counter(dict(deliveries.values_list("state").annotate(number=Count("pk"))))
    why = deliveries.filter(state__in=[State.SKIPPED, State.WAITING]).exclude(reason="")
    for state, reason, number in why.values_list("state", "reason").annotate(number=Count("pk")):
        (at_turn if state == State.SKIPPED else held)[reason] += number
    failed = deliveries.filter(state=State.FAILED).values_list("error_code").annotate(number=Count("pk"))
    skips = Skip.objects.filter(job=job).order_by().values_list("reason").annotate(number=Count("pk"))
    audience, pruned = SendJob.objects.values_list("audience_size", "pruned_skips").get(pk=job.pk)
    at_start = Counter(dict(skips))
    at_start.update(pruned)
    return JobFunnel(audience, by_state, at_start, at_turn, held, Counter(dict(failed)))


def shown(job: SendJob, *, anew: bool) -> JobFunnel:
    """Return the numbers of a job for its page, which asks every other second: of a large one those of a moment ago.

    ``anew``: those of now.
    """
    return lately(f"funnel-{job.pk}", lambda: of_job(job), rows=job.audience_size, anew=anew)


def by_variant(job: SendJob, *, anew: bool) -> list[VariantResult]:
    """Return what became of each variant of a job that has several, in their order; ``anew`` as in ``shown``."""
    words = variants.of_job(job)
    if len(words) < 2:
        return []
    counted = lately(f"variants-{job.pk}", lambda: _by_variant(job), rows=job.audience_size, anew=anew)
    return [VariantResult(each.name, *counted.get(each.pk, (0, 0, 0, 0))) for each in words]


def _by_variant(job: SendJob) -> dict[int, tuple[int, int, int, int]]:
    taken = Q(state__in=[State.ACCEPTED, State.DELIVERED, State.UNDELIVERED])
    rows = Delivery.objects.filter(job=job).order_by().values_list("variant")
    sent = rows.annotate(
        people=Count("pk"), accepted=Count("pk", filter=taken), delivered=Count("pk", filter=Q(state=State.DELIVERED))
    )
    opens = Open.objects.filter(delivery__job=job).order_by().values_list("delivery__variant")
    opened = dict(opens.annotate(number=Count("pk")))
    return {key: (*numbers, opened.get(key, 0)) for key, *numbers in sent}
