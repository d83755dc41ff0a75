"""How fast the messages of a job leave: the only writer of ``Throughput``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from django.db.models import Max, Min, Q, Sum
from django.db.models.functions import Now

from notify_platform.core.clock import database_now
from notify_platform.delivery.models import Throughput

# An engine notes this often what has left; "now" is this long.
EVERY_SECONDS: Final = 5.0
LATELY: Final = timedelta(seconds=30)
KEPT: Final = timedelta(hours=1)


class Speed(NamedTuple):
    """Messages a second within the last half minute, and when the last one left (None: within the hour none did)."""

    per_second: float = 0.0
    last_at: datetime | None = None

    def seconds_for(self, messages: int) -> float | None:
        """Return how long so many messages take; None while nothing leaves."""
        return messages / self.per_second if self.per_second else None


def note(messages: Mapping[int, int]) -> None:
    """Write down how many messages of each job (by id) have left since the last note."""
    if not messages:
        return
    Throughput.objects.bulk_create(
        [Throughput(job_id=job_id, at=Now(), messages=number) for job_id, number in messages.items() if number]
    )
    Throughput.objects.filter(job__in=messages, at__lt=Now() - KEPT).delete()


def of_jobs(job_ids: Collection[int]) -> dict[int, Speed]:
    """Return the speed of each of these jobs that has sent anything within the hour: one query."""
    now = database_now()
    lately = Q(at__gt=now - LATELY)
    rows = Throughput.objects.filter(job__in=job_ids).values_list("job").order_by()
    told = rows.annotate(number=Sum("messages", filter=lately), first=Min("at", filter=lately), last=Max("at"))
    return {job_id: Speed(_rate(number, first, now=now), last) for job_id, number, first, last in told}


def _rate(messages: int | None, first: datetime | None, *, now: datetime) -> float:
    """The first note of the half minute speaks of the seconds before it, too."""
    if not messages or first is None:
        return 0.0
    return messages / min((now - first).total_seconds() + EVERY_SECONDS, LATELY.total_seconds())
