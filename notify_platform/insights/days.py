"""Days as people at the desk count them: from midnight to midnight where the mini-program is at home."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from notify_platform.core.clock import zone_of
from templates_app.models import MiniProgram

# The days a person looks at, and those they are compared with: further back nothing is counted by itself.
FURTHEST: Final = 14


def zones() -> Mapping[int, ZoneInfo]:
    """Return mini-program id → its time zone."""
    return {pk: zone_of(name) for pk, name in MiniProgram.objects.order_by("pk").values_list("pk", "time_zone")}


class Home(NamedTuple):
    """A time zone, and the mini-programs that are at home in it: their days begin at one moment."""

    zone: ZoneInfo
    mini_program_ids: Sequence[int]


def homes() -> list[Home]:
    """Return every time zone somebody is at home in."""
    ids: dict[ZoneInfo, list[int]] = defaultdict(list)
    for pk, zone in zones().items():
        ids[zone].append(pk)
    return [Home(zone, these) for zone, these in ids.items()]


def day_of(moment: datetime, *, zone: ZoneInfo) -> date:
    """Return the day a moment belongs to."""
    return moment.astimezone(zone).date()


def begin_of(day: date, *, zone: ZoneInfo) -> datetime:
    """Return the first moment of a day, in UTC; a day may have 23 or 25 hours."""
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def bounds(day: date, *, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the first moment of a day and of the next, in UTC."""
    return begin_of(day, zone=zone), begin_of(day + timedelta(days=1), zone=zone)


def row_of(first: date, *, count: int) -> list[date]:
    """Return so many days in a row."""
    return [first + timedelta(days=number) for number in range(count)]


def to_count(*, newest: date | None, today: date) -> list[date]:
    """Return the days to count again: from the day before the newest tally up to today, a fortnight when there is none.

    The oldest comes first: when counting dies halfway, the newest tally says where to go on.
    """
    behind = FURTHEST if newest is None else (today - newest).days + 1
    back = min(max(behind, 1), FURTHEST)
    return row_of(today - timedelta(days=back), count=back + 1)
