"""One pace and one daily budget per mini-program, shared by all workers and hosts: both live in the database.

The only writer of ``Pace``. Slots are booked for a batch with one UPDATE; time nobody booked is lost, never caught up.
A day's slots are counted where they are booked. One that was not used is given back, or a day of many short slices
would end below its budget; what a worker that died had booked is lost: rather too few than too many.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from django.db import connection
from django.db.models import BigIntegerField, Case, CharField, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Cast, Concat, Greatest, Substr

from notify_platform.core.clock import BEIJING, database_now
from notify_platform.delivery.models import Pace
from notify_platform.jobs.models import SendJob
from templates_app.models import MiniProgram

SECOND_US = 1_000_000


class Booking(NamedTuple):
    """So many slots of a day (as ``Pace`` keeps it), the first of them in so many seconds (never negative)."""

    starts_in: float
    slots: int
    day: int


class Look(NamedTuple):
    """In how many seconds the next slot is free (never negative), and how many of today's are booked."""

    free_in: float
    booked: int


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


def with_owners(paces: QuerySet[Pace]) -> QuerySet[Pace]:
    """Annotate pace rows with ``owner``: what their mini-program or job is called (None: it is gone)."""
    numbered = paces.annotate(number=Cast(Substr("name", len("app:") + 1), BigIntegerField()))
    program, job = (model.objects.filter(pk=OuterRef("number")).values("name") for model in (MiniProgram, SendJob))
    return numbered.annotate(owner=Case(When(name__startswith="app:", then=Subquery(program)), default=Subquery(job)))


def book(pace: Pace, *, count: int, per_second: float, budget: int | None = None) -> Booking:
    """Book up to ``count`` slots in a row: as many as ``budget`` (slots a day) still allows.

    The slots lie 1 / ``per_second`` seconds apart.
    """
    moment = database_now()
    now, today = _us(moment), _day(moment)
    length = round(count * SECOND_US / per_second)
    with connection.cursor() as cursor:
        # The ORM has no RETURNING for an UPDATE, and booking has to be one statement. A worker that read the clock
        # before midnight and gets here after another one books on the new day.
        table = connection.ops.quote_name(Pace._meta.db_table)
        greatest = "MAX" if connection.vendor == "sqlite" else "GREATEST"
        cursor.execute(
            f"UPDATE {table} SET next_slot_us = {greatest}(next_slot_us, %s) + %s, "  # noqa: S608
            f"booked = CASE WHEN day >= %s THEN booked ELSE 0 END + %s, day = {greatest}(day, %s) "
            "WHERE name = %s RETURNING next_slot_us, booked, day",
            [now, length, today, count, today, pace.pk],
        )
        end, booked, day = cursor.fetchone()
    fitting = count if budget is None else min(count, max(0, budget - (booked - count)))
    if fitting < count:
        give_back(pace, count=count - fitting, day=day)
    return Booking(starts_in=max(0.0, (end - length - now) / SECOND_US), slots=fitting, day=day)


def give_back(pace: Pace, *, count: int, day: int) -> None:
    """Nothing left in these slots of a day: it has so many more. Their time is lost."""
    Pace.objects.filter(pk=pace.pk, day=day, booked__gte=count).update(booked=F("booked") - count)


def look(pace: Pace) -> Look:
    """Return what is booked: one query."""
    return looks([pace.pk])[pace.pk]


def looks(names: Collection[str]) -> dict[str, Look]:
    """The same of several pace rows, by name: one query."""
    moment = database_now()
    return {row.pk: look_of(row, moment=moment) for row in Pace.objects.filter(pk__in=names)}


def look_of(row: Pace, *, moment: datetime) -> Look:
    """Return what a row in hand says of a moment."""
    free_in = max(0.0, (row.next_slot_us - _us(moment)) / SECOND_US)
    return Look(free_in=free_in, booked=row.booked if row.day >= _day(moment) else 0)


def seconds_until_free(pace: Pace) -> float:
    """Return how many seconds from now the next free slot is (0 when one is free)."""
    return look(pace).free_in


def left_today(mini_program: MiniProgram) -> int:
    """Return how many messages the daily budget still allows (0 when it is used up)."""
    today = Pace.objects.filter(name=name_of(mini_program), day__gte=_day(database_now()))
    return max(0, mini_program.daily_budget - (today.values_list("booked", flat=True).first() or 0))


def used_up() -> QuerySet[Pace]:
    """Return the pace row of an outer mini-program whose daily budget is used up."""
    name = Concat(Value("app:"), Cast(OuterRef("pk"), CharField()))
    return Pace.objects.filter(name=name, day__gte=_day(database_now()), booked__gte=OuterRef("daily_budget"))


def hold(pace: Pace, *, seconds: float) -> None:
    """Let nothing leave for some seconds: WeChat asked for it, or is flooded."""
    until = _us(database_now()) + round(seconds * SECOND_US)
    Pace.objects.filter(pk=pace.pk).update(next_slot_us=Greatest(F("next_slot_us"), Value(until)))


def _us(moment: datetime) -> int:
    return round(moment.timestamp() * SECOND_US)


def _day(moment: datetime) -> int:
    return moment.astimezone(BEIJING).toordinal()
