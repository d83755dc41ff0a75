"""Set-based writes, the same on both databases."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.db.models import Value

from notify_platform.core.bulk import Among, Still, insert_from_select, insert_missing, update_from_values
from subscriptions.models import Audience, AudienceMember, Grant, Subscriber
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def people():
    return factories.subscribers(factories.a_mini_program(), count=3)


def test_every_row_gets_its_own_values_in_one_statement(people, django_assert_num_queries):
    moment = datetime(2026, 11, 23, 6, 5, tzinfo=UTC)
    rows = [(person.pk, f"昵称{number}", moment if number else None) for number, person in enumerate(people)]

    with django_assert_num_queries(1):
        changed = update_from_values(Subscriber, columns=["nickname", "last_visit_at"], rows=rows, only_if="1 = 1")

    assert sorted(changed) == [person.pk for person in people]
    values = Subscriber.objects.order_by("pk").values_list("nickname", "last_visit_at")
    assert list(values) == [("昵称0", None), ("昵称1", moment), ("昵称2", moment)]


def test_rows_that_fail_the_compare_are_left_alone_and_not_named(people):
    Subscriber.objects.filter(pk=people[0].pk).update(region="浙江")

    changed = update_from_values(
        Subscriber,
        columns=["nickname"],
        rows=[(person.pk, "new") for person in people],
        only_if="t.region = %s",
        params=["浙江"],
    )

    assert changed == [people[0].pk]
    assert Subscriber.objects.filter(nickname="new").count() == 1


def test_a_column_of_nothing_but_nulls_is_no_puzzle(people):
    update_from_values(Subscriber, columns=["last_visit_at"], rows=[(people[0].pk, None)], only_if="1 = 1")

    assert Subscriber.objects.get(pk=people[0].pk).last_visit_at is None


def test_no_rows_no_query(django_assert_num_queries, db):
    with django_assert_num_queries(0):
        assert update_from_values(Subscriber, columns=["nickname"], rows=[], only_if="1 = 1") == []


def test_inserting_from_a_select_passes_over_what_is_there(people):
    audience = Audience.objects.create(mini_program=people[0].mini_program, name="List", kind=Audience.Kind.LIST)
    AudienceMember.objects.create(audience=audience, subscriber=people[0])
    rows = Subscriber.objects.filter(pk__gt=0).values_list(Value(audience.pk), "pk")

    assert insert_from_select(AudienceMember, columns=["audience", "subscriber"], rows=rows) == 2
    assert AudienceMember.objects.count() == 3


def test_only_rows_that_are_not_there_are_inserted_in_one_statement(people, django_assert_num_queries):
    mini_program = people[0].mini_program
    known = Subscriber(mini_program=mini_program, openid=people[0].openid, nickname="other", tags=["new"])
    new = Subscriber(mini_program=mini_program, openid=factories.an_openid(), nickname="小红", tags=["会员"])

    with django_assert_num_queries(1):
        inserted = insert_missing(Subscriber, rows=[known, new])

    assert inserted == 1
    assert Subscriber.objects.values_list("nickname", "tags").get(pk=people[0].pk) == ("小明", [])
    written = Subscriber.objects.get(openid=new.openid)
    assert (written.nickname, written.tags, written.session_version) == ("小红", ["会员"], 1)
    assert written.created_at is not None


def test_inserting_nothing_asks_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert insert_missing(Subscriber, rows=[]) == 0


def test_of_rows_found_by_key_those_that_are_still_in_a_state_are_changed(people):
    Subscriber.objects.filter(pk=people[0].pk).update(region="浙江")
    keys = [person.pk for person in people[:2]]

    changed = Subscriber.objects.filter(Among("pk", keys), Still("region", "浙江")).update(region="广东")

    assert changed == 1
    assert list(Subscriber.objects.order_by("pk").values_list("region", flat=True)) == ["广东", "", ""]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite finds rows by key anyway")
def test_a_state_that_is_only_checked_finds_no_rows():
    held = Grant.objects.filter(Among("pk", [1, 2]), Still("state", Grant.State.RESERVED))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    assert "grant_list_by_state" not in held.explain()
    assert "grant_pkey" in held.explain()
