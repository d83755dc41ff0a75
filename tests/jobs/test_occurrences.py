"""On which moments a series comes: any zone, any month."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from notify_platform.jobs.occurrences import Schedule, following, last_one, next_ones

SHANGHAI = ZoneInfo("Asia/Shanghai")
ZONES = st.sampled_from(
    ["Asia/Shanghai", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Europe/Lisbon", "UTC"]
).map(ZoneInfo)
DAYS = st.dates(date(2009, 12, 1), date(2031, 3, 31))


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    starts_on = draw(DAYS)
    length = draw(st.none() | st.integers(0, 90))
    return Schedule(
        weekdays=draw(st.sets(st.integers(1, 7), min_size=1)),
        at_time=draw(st.times().map(lambda moment: moment.replace(second=0, microsecond=0))),
        starts_on=starts_on,
        ends_on=None if length is None else starts_on + timedelta(days=length),
        zone=draw(ZONES),
    )


moments = st.datetimes(datetime(2009, 11, 1), datetime(2031, 6, 30), timezones=st.just(UTC))


def days_by_hand(schedule: Schedule, *, after: datetime, days: int) -> list[date]:
    """The days of a schedule within a span, one day at a time, as a calendar on the wall shows them."""
    first = after.astimezone(schedule.zone).date()
    found = []
    for day in (first + timedelta(days=number) for number in range(days)):
        at = datetime.combine(day, schedule.at_time, tzinfo=schedule.zone).astimezone(UTC)
        in_span = schedule.starts_on <= day and (schedule.ends_on is None or day <= schedule.ends_on)
        # Samoa had no 30 December 2011.
        exists = at.astimezone(schedule.zone).date() == day
        if in_span and exists and day.isoweekday() in schedule.weekdays and at > after:
            found.append(day)
    return found


@given(schedule=schedules(), after=moments)
def test_occurrences_are_the_days_of_the_calendar(schedule: Schedule, after: datetime) -> None:
    after = max(after, datetime.combine(schedule.starts_on, time(), tzinfo=UTC) - timedelta(days=20))
    expected = days_by_hand(schedule, after=after, days=60)
    assert [one.day for one in next_ones(schedule, after=after, count=len(expected))] == expected


@given(schedule=schedules(), after=moments)
def test_each_comes_later_than_the_one_before_and_never_twice(schedule: Schedule, after: datetime) -> None:
    found = next_ones(schedule, after=after, count=20)
    assert all(one.at > after for one in found)
    assert all(one.at < two.at and one.day < two.day for one, two in pairwise(found))


@given(schedule=schedules(), after=moments)
def test_one_after_the_other_leads_through_all_of_them(schedule: Schedule, after: datetime) -> None:
    walked, at = [], after
    for _step in range(5):
        one = following(schedule, after=at)
        if one is None:
            break
        walked.append(one)
        at = one.at
    assert walked == next_ones(schedule, after=after, count=5)


@given(schedule=schedules(), after=moments)
def test_the_last_one_is_the_one_that_has_come(schedule: Schedule, after: datetime) -> None:
    first = following(schedule, after=after)
    if first is None:
        return
    assert last_one(schedule, until=first.at) == first
    assert last_one(schedule, until=first.at + timedelta(minutes=1)) == first
    before = last_one(schedule, until=first.at - timedelta(seconds=1))
    assert before is None or before.at <= after


def test_a_time_that_clocks_skip_comes_an_hour_later() -> None:
    schedule = Schedule({7}, time(2, 30), date(2026, 3, 1), None, ZoneInfo("America/New_York"))
    found = next_ones(schedule, after=datetime(2026, 3, 2, tzinfo=UTC), count=2)
    assert [one.at for one in found] == [
        datetime(2026, 3, 8, 7, 30, tzinfo=UTC),
        datetime(2026, 3, 15, 6, 30, tzinfo=UTC),
    ]


def test_nothing_comes_before_the_first_day_or_after_the_last() -> None:
    schedule = Schedule({1, 3}, time(9), date(2026, 11, 24), date(2026, 12, 1), SHANGHAI)
    found = next_ones(schedule, after=datetime(2026, 1, 1, tzinfo=UTC), count=9)
    assert [one.day for one in found] == [date(2026, 11, 25), date(2026, 11, 30)]
    assert following(schedule, after=found[-1].at) is None
    assert last_one(schedule, until=datetime(2026, 11, 24, tzinfo=UTC)) is None
