"""Statements that are made once: the same answers as the queryset, without making it again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.models import Count, Min
from django.test.utils import CaptureQueriesContext

from notify_platform.core.prepared import Prepared
from subscriptions.models import ExpectedDemand, Grant, Subscriber
from templates_app.models import MiniProgram
from tests import factories

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def template():
    return factories.a_template(factories.a_mini_program())


@pytest.fixture
def people(template):
    persons = factories.subscribers(template.mini_program, count=4)
    for number, person in enumerate(persons):
        Subscriber.objects.filter(pk=person.pk).update(last_visit_at=NOON + timedelta(hours=number))
    return persons


def counted(make):
    """A maker of querysets, and the list that grows with every making."""
    made = []

    def counting(**values):
        made.append(values)
        return make(**values)

    return counting, made


def test_it_answers_as_the_queryset_does_whatever_the_values(people):
    def make(since, until, openids):
        return Subscriber.objects.filter(
            last_visit_at__range=(since, until), openid__in=openids, session_version=1
        ).values_list("pk", "last_visit_at", "tags")

    prepared = Prepared(make)
    for hours in range(4):
        for wanted in ([people[0]], [people[1]], people[:2], people):
            values = {"since": NOON, "until": NOON + timedelta(hours=hours), "openids": [one.openid for one in wanted]}
            assert sorted(prepared.rows(**values)) == sorted(make(**values))


def test_a_statement_is_made_once_for_each_length_of_a_list(people):
    make, made = counted(lambda ids: Subscriber.objects.filter(pk__in=ids).values_list("pk"))
    prepared = Prepared(make)
    for wanted in (people[:1], people[1:2], people[:2], people[2:], people[:1]):
        assert {pk for (pk,) in prepared.rows(ids=[one.pk for one in wanted])} == {one.pk for one in wanted}
    assert len(made) == 2


def test_a_statement_for_a_long_list_is_not_kept(people):
    make, made = counted(lambda ids: Subscriber.objects.filter(pk__in=ids).values_list("pk"))
    prepared = Prepared(make)
    ids = [people[0].pk, *range(1_000_000, 1_000_040)]
    assert [prepared.rows(ids=ids) for _ in range(2)] == [[(people[0].pk,)]] * 2
    assert len(made) == 2


def test_an_empty_list_finds_nothing_and_asks_nobody(people):
    prepared = Prepared(lambda ids: Subscriber.objects.filter(pk__in=ids))
    with CaptureQueriesContext(connection) as asked:
        assert prepared.rows(ids=[]) == prepared.objects(ids=[]) == []
    assert asked.captured_queries == []


def test_sums_are_answered_too(template, people):
    factories.grants(template, to=people[:2], units=3)
    stock = Prepared(
        lambda who: (
            Grant.objects.filter(subscriber=who)
            .values_list("template_id")
            .annotate(available=Count("pk"), expires_at=Min("expires_at"))
        )
    )
    ends_at = Grant.objects.filter(subscriber=people[1]).earliest("expires_at").expires_at
    assert stock.rows(who=people[1].pk) == [(template.pk, 3, ends_at)]
    assert stock.rows(who=people[2].pk) == []


def test_objects_are_whole_and_their_secrets_open(template):
    other = factories.a_mini_program(callback_token="AnotherToken")
    prepared = Prepared(lambda app_id: MiniProgram.objects.filter(app_id=app_id))
    prepared.objects(app_id=template.mini_program.app_id)
    [found] = prepared.objects(app_id=other.app_id)
    fresh = MiniProgram.objects.get(pk=other.pk)
    names = [field.attname for field in MiniProgram._meta.concrete_fields]
    assert {name: getattr(found, name) for name in names} == {name: getattr(fresh, name) for name in names}
    assert found.callback_token == "AnotherToken"


def test_days_are_values_too(template):
    def make(template, first, last):
        return ExpectedDemand.objects.filter(template=template, day__range=(first, last)).values_list("day", "messages")

    days = [NOON.date() + timedelta(days=number) for number in range(4)]
    ExpectedDemand.objects.bulk_create(
        ExpectedDemand(template=template, day=day, messages=number, per_person=1) for number, day in enumerate(days)
    )
    prepared = Prepared(make)
    for first, last in [(days[0], days[1]), (days[1], days[3]), (days[3], days[3])]:
        wanted = {"template": template.pk, "first": first, "last": last}
        assert sorted(prepared.rows(**wanted)) == sorted(make(**wanted))
    assert sorted(prepared.rows(template=template.pk, first=days[3], last=days[3])) == [(days[3], 3.0)]


def test_objects_have_their_annotations(template, people):
    factories.grants(template, to=people[:1], units=3)
    prepared = Prepared(lambda pk: Subscriber.objects.filter(pk=pk).defer("nickname").annotate(units=Count("grants")))
    assert [(one.pk, one.units, one.openid) for one in prepared.objects(pk=people[0].pk)] == [
        (people[0].pk, 3, people[0].openid)
    ]
    assert [one.units for one in prepared.objects(pk=people[1].pk)] == [0]


def test_objects_leave_out_what_the_queryset_leaves_out(template):
    prepared = Prepared(lambda pk: MiniProgram.objects.filter(pk=pk).only("name"))
    [found] = prepared.objects(pk=template.mini_program.pk)
    assert found.get_deferred_fields() >= {"app_secret", "callback_token"}
    assert found.app_secret == template.mini_program.app_secret


@pytest.mark.parametrize("lookup", ["openid__icontains", "openid__startswith"])
def test_a_lookup_that_alters_its_value_is_refused(lookup):
    with pytest.raises(TypeError):
        Prepared(lambda text: Subscriber.objects.filter(**{lookup: text})).rows(text="o")


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite makes its plans on the spot")
def test_postgresql_keeps_the_plan_of_a_statement_that_is_asked_again_and_again(people):
    prepared = Prepared(lambda nickname: Subscriber.objects.filter(nickname=nickname).values_list("pk"))
    assert [prepared.rows(nickname=f"nobody {number}") for number in range(5)] == [[]] * 5
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements WHERE statement LIKE '%%nickname%%'")
        assert len(cursor.fetchall()) == 1
