"""On which moments a series comes again: pure arithmetic of days and zones, no rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

# A weekday comes within a week, and where a zone drops one of its days, within two.
_SEARCH_DAYS = 15


@dataclass(frozen=True, slots=True)
class Schedule:
    """Weekdays (1 is Monday), a time of day, and the first and the last day (None: no last one) in a zone."""

    weekdays: Collection[int]
    at_time: time
    starts_on: date
    ends_on: date | None
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One time a series comes: its day where the mini-program is at home, and the moment."""

    day: date
    at: datetime


def following(schedule: Schedule, *, after: datetime) -> Occurrence | None:
    """Return the first occurrence later than a moment (aware); None: there is none any more."""
    return next(_all(schedule, after=after), None)


def next_ones(schedule: Schedule, *, after: datetime, count: int) -> list[Occurrence]:
    """Return the next occurrences later than a moment, at most ``count``."""
    return list(islice(_all(schedule, after=after), count))


def last_one(schedule: Schedule, *, until: datetime) -> Occurrence | None:
    """Return the latest occurrence at or before a moment; None: there was none yet."""
    day = until.astimezone(schedule.zone).date() + timedelta(days=1)
    if schedule.ends_on is not None:
        day = min(day, schedule.ends_on)
    for back in range(_SEARCH_DAYS):
        found = _on(schedule, day - timedelta(days=back))
        if found is not None and found.at <= until:
            return found
    return None


def _all(schedule: Schedule, *, after: datetime) -> Iterator[Occurrence]:
    day = max(after.astimezone(schedule.zone).date(), schedule.starts_on)
    empty = 0
    while empty < _SEARCH_DAYS and (schedule.ends_on is None or day <= schedule.ends_on):
        found = _on(schedule, day)
        empty += 1
        if found is not None and found.at > after:
            empty = 0
            yield found
        if day == date.max:
            return
        day += timedelta(days=1)


def _on(schedule: Schedule, day: date) -> Occurrence | None:
    """Return the occurrence of a day. A time that clocks skip comes as much later; a day that a zone skips, never."""
    if day.isoweekday() not in schedule.weekdays or day < schedule.starts_on:
        return None
    at = datetime.combine(day, schedule.at_time, tzinfo=schedule.zone).astimezone(UTC)
    return Occurrence(day, at) if at.astimezone(schedule.zone).date() == day else None
