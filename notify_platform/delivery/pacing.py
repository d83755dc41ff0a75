"""One pace per mini-program, shared by all workers and hosts: the next free slot lives in the database.

The only writer of ``Pace``. Slots are booked for a batch with one UPDATE; time nobody booked is lost, never caught up.
"""

from __future__ import annotations

from collections.abc import Collection

from django.db import connection
from django.db.models import CharField, F, Q, QuerySet, Value
from django.db.models.functions import Cast, Concat, Greatest

from notify_platform.core.clock import database_now
from notify_platform.delivery.models import Pace
from notify_platform.jobs.models import SendJob
from templates_app.models import MiniProgram

SECOND_US = 1_000_000


def pace_of(owner: MiniProgram | SendJob) -> Pace:
    """Return the pace row of a mini-program, or of a job that is slower than its mini-program."""
    pace, _made = Pace.objects.get_or_create(name=name_of(owner))
    return pace


def name_of(owner: MiniProgram | SendJob) -> str:
    """Return what the pace row of a mini-program or of a job is called."""
    return f"{'app' if isinstance(owner, MiniProgram) else 'job'}:{owner.pk}"


def of_programs(programs: Collection[int]) -> QuerySet[Pace]:
    """Return the pace rows of these mini-programs, by number, and of their jobs."""
    own = [name_of(MiniProgram(pk=number)) for number in programs]
    name = Concat(Value("job:"), Cast("pk", CharField()))
    jobs = SendJob.objects.filter(mini_program__in=programs).values_list(name)
    return Pace.objects.filter(Q(name__in=own) | Q(name__in=jobs))


def book(pace: Pace, *, count: int, per_second: float) -> float:
    """Book ``count`` slots in a row; return how many seconds from now the first one is (never negative).

    The slots lie 1 / ``per_second`` seconds apart.
    """
    now = _now_us()
    length = round(count * SECOND_US / per_second)
    with connection.cursor() as cursor:
        # The ORM has no RETURNING for an UPDATE, and booking has to be one statement.
        table = connection.ops.quote_name(Pace._meta.db_table)
        greatest = "MAX" if connection.vendor == "sqlite" else "GREATEST"
        cursor.execute(
            f"UPDATE {table} SET next_slot_us = {greatest}(next_slot_us, %s) + %s "  # noqa: S608
            "WHERE name = %s RETURNING next_slot_us",
            [now, length, pace.pk],
        )
        end = int(cursor.fetchone()[0])
    return max(0.0, (end - length - now) / SECOND_US)


def seconds_until_free(pace: Pace) -> float:
    """Return how many seconds from now the next free slot is (0 when one is free)."""
    next_slot = Pace.objects.values_list("next_slot_us", flat=True).get(pk=pace.pk)
    return max(0.0, (next_slot - _now_us()) / SECOND_US)


def hold(pace: Pace, *, seconds: float) -> None:
    """Let nothing leave for some seconds: WeChat asked for it, or is flooded."""
    until = _now_us() + round(seconds * SECOND_US)
    Pace.objects.filter(pk=pace.pk).update(next_slot_us=Greatest(F("next_slot_us"), Value(until)))


def _now_us() -> int:
    return round(database_now().timestamp() * SECOND_US)
