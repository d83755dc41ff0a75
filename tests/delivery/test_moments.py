"""When may a card leave? Every rule of time, alone and together."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify_platform.delivery.models import Reason
from notify_platform.delivery.moments import HORIZON, Hours, Moment, NotBefore, Quiet, Window, next_allowed_moment

SHANGHAI = ZoneInfo("Asia/Shanghai")
ZONES = [SHANGHAI, ZoneInfo("UTC"), ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata"), ZoneInfo("Europe/London")]
NIGHT = Hours(time(22), time(8))


def shanghai(text):
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def allowed(now, *rules, zone=SHANGHAI, not_after=None):
    return next_allowed_moment(now, zone=zone, rules=rules, not_after=not_after)


def test_without_rules_it_may_leave_now():
    now = shanghai("2026-11-23 14:05")

    assert allowed(now) == Moment(at=now, reason=None)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-23 21:59", "2026-11-23 21:59"),
        ("2026-11-23 22:00", "2026-11-24 08:00"),
        ("2026-11-23 23:59", "2026-11-24 08:00"),
        ("2026-11-24 00:00", "2026-11-24 08:00"),
        ("2026-11-24 07:59", "2026-11-24 08:00"),
        ("2026-11-24 08:00", "2026-11-24 08:00"),
    ],
)
def test_quiet_hours_over_midnight_end_in_the_morning(now, expected):
    assert allowed(shanghai(now), Quiet(NIGHT)).at == shanghai(expected)


def test_quiet_hours_are_those_of_the_persons_own_clock():
    now = shanghai("2026-11-23 14:00")  # 01:00 in New York
    moment = allowed(now, Quiet(NIGHT), zone=ZoneInfo("America/New_York"))

    assert moment.at == datetime(2026, 11, 23, 13, 0, tzinfo=UTC)
    assert moment.reason == Reason.QUIET_HOURS


def test_quiet_hours_that_follow_one_another_are_waited_out_together():
    moment = allowed(shanghai("2026-11-23 23:00"), Quiet(NIGHT), Quiet(Hours(time(8), time(9))))

    assert moment.at == shanghai("2026-11-24 09:00")


def test_a_window_opens_the_next_day_when_it_is_over_for_today():
    moment = allowed(shanghai("2026-11-23 21:00"), Window(Hours(time(9), time(20))))

    assert moment == Moment(at=shanghai("2026-11-24 09:00"), reason=Reason.WINDOW)


def test_the_rule_that_decides_gives_the_reason():
    paused = NotBefore(shanghai("2026-11-24 23:00"), Reason.PERSON_PAUSED)

    assert allowed(shanghai("2026-11-23 10:00"), paused, Quiet(NIGHT)) == Moment(
        at=shanghai("2026-11-25 08:00"), reason=Reason.QUIET_HOURS
    )


def test_past_the_deadline_there_is_no_moment():
    moment = allowed(shanghai("2026-11-23 23:00"), Quiet(NIGHT), not_after=shanghai("2026-11-24 07:00"))

    assert moment == Moment(at=None, reason=Reason.QUIET_HOURS)


def test_the_deadline_itself_is_still_in_time():
    deadline = shanghai("2026-11-24 08:00")

    assert allowed(shanghai("2026-11-23 23:00"), Quiet(NIGHT), not_after=deadline).at == deadline


def test_rules_that_never_leave_a_gap_end_the_search():
    window_inside_the_quiet_hours = [Quiet(Hours(time(8), time(20))), Window(Hours(time(9), time(10)))]

    assert allowed(shanghai("2026-11-23 12:00"), *window_inside_the_quiet_hours).at is None


def test_a_pause_of_a_month_is_waited_out():
    until = shanghai("2026-12-24 12:00")

    assert allowed(shanghai("2026-11-23 12:00"), NotBefore(until, Reason.PERSON_PAUSED), Quiet(NIGHT)).at == until


def test_clocks_that_go_forward_do_not_stop_the_search():
    new_york = ZoneInfo("America/New_York")
    now = datetime(2026, 3, 8, 1, 30, tzinfo=new_york)  # 02:00 to 03:00 does not exist that night
    moment = allowed(now, Quiet(Hours(time(1), time(2, 30))), zone=new_york)

    assert moment.at == datetime(2026, 3, 8, 7, 30, tzinfo=UTC)  # half an hour after the gap


def test_the_hour_that_comes_twice_is_quiet_both_times():
    new_york = ZoneInfo("America/New_York")
    quiet = Quiet(Hours(time(1), time(1, 45)))
    second_time = datetime(2026, 11, 1, 1, 10, fold=1, tzinfo=new_york)

    assert allowed(second_time, quiet, zone=new_york).at == datetime(2026, 11, 1, 6, 45, tzinfo=UTC)


clock = st.times(min_value=time(0), max_value=time(23, 59)).map(lambda one: one.replace(second=0, microsecond=0))
hours = st.builds(Hours, clock, clock)
rules = st.lists(
    st.one_of(
        st.builds(Quiet, hours),
        st.builds(Window, hours),
        st.builds(
            NotBefore,
            st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
            st.just(Reason.CAP),
        ),
    ),
    max_size=4,
)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))


@given(now=moments, rules=rules, zone=st.sampled_from(ZONES), patience=st.integers(0, 20 * 24))
def test_the_moment_is_allowed_by_every_rule_never_early_and_in_time(now, rules, zone, patience):
    deadline = now + timedelta(hours=patience)
    moment = next_allowed_moment(now, zone=zone, rules=rules, not_after=deadline)

    if moment.at is None:
        assert moment.reason is not None
    else:
        assert now <= moment.at <= deadline
        assert [rule for rule in rules if rule.earliest(moment.at, zone=zone) != moment.at] == []
        assert (moment.reason is None) == (moment.at == now)


@given(
    now=moments,
    rules=st.lists(st.one_of(st.builds(Quiet, hours), st.builds(Window, hours)), max_size=3),
    zone=st.sampled_from(ZONES),
)
def test_no_earlier_minute_was_allowed(now, rules, zone):
    now = now.replace(second=0, microsecond=0)
    moment = next_allowed_moment(now, zone=zone, rules=rules)
    end = moment.at or now + min(HORIZON, timedelta(days=2))
    minutes = (now + timedelta(minutes=7 * step) for step in range(int((end - now) / timedelta(minutes=7))))

    assert [one for one in minutes if all(rule.earliest(one, zone=zone) == one for rule in rules)] == []
