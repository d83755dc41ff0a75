"""What happens to a person's record."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from subscriptions.models import Subscriber, Visit
from subscriptions.people import people
from tests import factories

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def person():
    return factories.subscribers(factories.a_mini_program(), count=1)[0]


def test_a_visit_is_written_and_is_the_last_one(person):
    other = factories.subscribers(person.mini_program, count=1)[0]
    before = timezone.now() - timedelta(seconds=5)

    people.record_visit(person, page="pages/a?id=1")

    visit = Visit.objects.get()
    assert (visit.subscriber, visit.page) == (person, "pages/a?id=1")
    assert before <= visit.at <= timezone.now() + timedelta(seconds=5)
    person.refresh_from_db()
    other.refresh_from_db()
    assert abs(person.last_visit_at - visit.at) < timedelta(seconds=1)
    assert other.last_visit_at is None


def test_ending_sessions_raises_one_persons_version(person):
    other = factories.subscribers(person.mini_program, count=1)[0]

    people.revoke_sessions(person)
    people.revoke_sessions(person)

    versions = dict(Subscriber.objects.values_list("pk", "session_version"))
    assert versions == {person.pk: 3, other.pk: 1}


def test_the_main_switch_keeps_the_moment_it_was_first_known_to_be_off(person):
    assert people.note_main_switch(person, on=False, at=NOW)

    assert not people.note_main_switch(person, on=False, at=NOW + timedelta(minutes=1))
    assert Subscriber.objects.get(pk=person.pk).main_switch_off_at == NOW


def test_the_main_switch_that_is_on_again_is_news_once(person):
    people.note_main_switch(person, on=False, at=NOW)

    assert [people.note_main_switch(person, on=True, at=NOW) for _ in range(2)] == [True, False]
    assert Subscriber.objects.get(pk=person.pk).main_switch_off_at is None


@pytest.mark.parametrize("now_on", [True, False])
def test_old_news_of_the_main_switch_changes_nothing(person, now_on):
    people.note_main_switch(person, on=not now_on, at=NOW - timedelta(minutes=2))
    people.note_main_switch(person, on=now_on, at=NOW)

    assert not people.note_main_switch(person, on=not now_on, at=NOW - timedelta(minutes=1))
    assert (Subscriber.objects.get(pk=person.pk).main_switch_off_at is None) == now_on
