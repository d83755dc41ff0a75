"""Reading tables that only grow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notify_platform.core import history
from subscriptions.models import Subscriber, Visit
from tests import factories

FIRST = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def visits(db: None) -> list[Visit]:
    """Sixty visits an hour apart, every third of them deleted since."""
    (person,) = factories.subscribers(factories.a_mini_program(), count=1)
    rows = Visit.objects.bulk_create(
        Visit(subscriber=person, at=FIRST + timedelta(hours=number)) for number in range(60)
    )
    Visit.objects.filter(pk__in=[row.pk for row in rows[::3]]).delete()
    return [row for number, row in enumerate(rows) if number % 3]


@pytest.mark.parametrize("hours", [-5, 0, 1, 1.5, 7, 30, 58, 59, 70])
def test_a_day_begins_where_reading_all_rows_would_find_it(visits: list[Visit], hours: float) -> None:
    at = FIRST + timedelta(hours=hours)
    later, first = history.first_keys_at(Visit, moment="at", ats=[at + timedelta(hours=1), at])
    assert later >= first
    assert list(Visit.objects.filter(pk__gte=first).order_by("pk")) == [row for row in visits if row.at >= at]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL takes the ends of a table from its index anyway")
def test_looking_for_a_moment_does_not_go_through_the_table(visits: list[Visit]) -> None:
    with CaptureQueriesContext(connection) as captured:
        history.first_keys_at(Visit, moment="at", ats=[FIRST])
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {captured[0]['sql']}")
        steps = [row[3] for row in cursor.fetchall()]
    assert [step for step in steps if step.startswith("SCAN subscriptions_visit")] == []


def test_an_empty_table_begins_nowhere(db: None) -> None:
    assert history.first_keys_at(Visit, moment="at", ats=[FIRST])[0] >= 0
    assert list(Visit.objects.filter(history.between(Visit, moment="at", since=FIRST, until=FIRST))) == []


def test_a_span_holds_its_first_moment_and_not_its_end(visits: list[Visit]) -> None:
    since, until = FIRST + timedelta(hours=4), FIRST + timedelta(hours=8)
    within = history.between(Visit, moment="at", since=since, until=until)
    assert list(Visit.objects.filter(within).order_by("pk")) == [row for row in visits if since <= row.at < until]


@pytest.mark.parametrize(("since", "until"), [(None, 5), (5, None), (2, 7), (5, 5), (-9, 99), (99, None), (None, -9)])
def test_rows_that_stand_the_other_way_round_at_its_ends_are_sorted_out(
    db: None, since: int | None, until: int | None
) -> None:
    (person,) = factories.subscribers(factories.a_mini_program(), count=1)
    minutes = [0, 2, 1, 4, 6, 5, 3, 7, 5, 9]
    Visit.objects.bulk_create(Visit(subscriber=person, at=FIRST + timedelta(minutes=one)) for one in minutes)

    within = history.between(
        Visit,
        moment="at",
        since=None if since is None else FIRST + timedelta(minutes=since),
        until=None if until is None else FIRST + timedelta(minutes=until),
    )

    found = Visit.objects.filter(within).order_by("pk").values_list("at", flat=True)
    assert [round((at - FIRST).total_seconds() / 60) for at in found] == [
        one for one in minutes if (since is None or one >= since) and (until is None or one < until)
    ]


def test_a_span_with_clean_ends_is_one_of_keys_alone(visits: list[Visit]) -> None:
    since, until = FIRST + timedelta(hours=4), FIRST + timedelta(hours=8)
    within = history.between(Visit, moment="at", since=since, until=until)
    assert "at" not in str(Visit.objects.filter(within).values("pk").query).partition("WHERE")[2].split('"')


def test_counts_stop_at_the_cap_and_take_one_statement(visits: list[Visit]) -> None:
    sets = [Visit.objects.all(), Visit.objects.filter(pk__in=[visits[0].pk, visits[1].pk]), Visit.objects.none()]
    with CaptureQueriesContext(connection) as captured:
        assert history.capped_counts(sets, cap=5) == [5, 2, 0]
    assert len(captured) == 1
    assert history.capped_counts([], cap=5) == []


def test_the_first_keys_of_several_sets_are_those_of_all_together(visits: list[Visit]) -> None:
    odd = [row.pk for row in visits[::2]]
    sets = [Visit.objects.filter(pk__in=odd), Visit.objects.exclude(pk__in=odd), Visit.objects.none()]
    keys = [row.pk for row in visits]
    assert history.page_of_keys(sets, newest_first=True, limit=7) == keys[::-1][:7]
    assert history.page_of_keys(sets, newest_first=False, limit=7) == keys[:7]
    assert history.page_of_keys([Subscriber.objects.none()], newest_first=True, limit=7) == []
