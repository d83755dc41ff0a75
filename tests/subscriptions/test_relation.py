"""On or off: what a person decided last counts, in whatever order we hear of it."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations

import pytest
from django.utils import timezone

from subscriptions.grants import ledger
from subscriptions.grants.ledger import TurnedOff
from subscriptions.grants.pairing import NewAnswer
from subscriptions.models import Answer, Grant, Source, Subscription
from tests import factories

pytestmark = pytest.mark.django_db
NOW = timezone.now()
ON, OFF = Subscription.State.ON, Subscription.State.OFF


@pytest.fixture
def template():
    return factories.a_template(factories.a_mini_program())


@pytest.fixture
def person(template):
    return factories.subscribers(template.mini_program, count=1)[0]


@pytest.fixture
def accept(person, template):
    def accept(minute, *, source=Source.CALLBACK, **changes):
        new = NewAnswer(
            subscriber_id=person.pk,
            template=template,
            answer="accept",
            source=source,
            answered_at=moment(minute),
            request_key=f"r{Answer.objects.count()}",
            **changes,
        )
        return ledger.record([new]).units

    return accept


@pytest.fixture
def turn_off(person, template):
    return lambda minute: ledger.turn_off([TurnedOff(template.pk, person.pk, moment(minute))])


def moment(minute):
    return NOW + timedelta(minutes=minute)


def relation():
    return Subscription.objects.values_list("state", "decided_at").get()


def available():
    return Grant.objects.filter(state=Grant.State.AVAILABLE).count()


def test_a_yes_turns_the_relation_on_as_of_when_it_was_said(accept):
    accept(-5)

    assert relation() == (ON, moment(-5))


def test_an_older_yes_neither_turns_on_again_nor_grants_what_is_void(accept, turn_off):
    turn_off(-1)

    assert accept(-2, units=3) == 0
    assert relation() == (OFF, moment(-1))
    assert Answer.objects.get().units == 0


def test_a_newer_yes_turns_on_again_and_grants(accept, turn_off):
    turn_off(-2)

    assert accept(-1) == 1
    assert relation() == (ON, moment(-1))


def test_an_older_no_voids_older_units_and_leaves_the_relation_on(accept, turn_off):
    accept(-3)
    accept(-1)

    assert turn_off(-2) == 1
    assert relation() == (ON, moment(-1))
    assert available() == 1


def test_in_one_instant_the_no_counts(accept, turn_off):
    accept(-1)
    turn_off(-1)

    assert accept(-1) == 0
    assert relation() == (OFF, moment(-1))
    assert available() == 0


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_the_books_are_the_same_in_whatever_order_we_hear(accept, turn_off, order):
    happenings = [(accept, -4), (turn_off, -3), (accept, -2), (accept, -1)]
    for number in order:
        verb, minute = happenings[number]
        verb(minute)

    assert relation() == (ON, moment(-1))
    assert available() == 2
    assert Subscription.objects.get().turned_off_at == moment(-3)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_no_at_the_end_is_the_end_in_whatever_order_we_hear(accept, turn_off, order):
    happenings = [(turn_off, -3), (accept, -2), (turn_off, -1)]
    for number in order:
        verb, minute = happenings[number]
        verb(minute)

    assert relation() == (OFF, moment(-1))
    assert available() == 0


def test_the_newest_yes_of_one_call_counts(person, template):
    ledger.record(
        [
            NewAnswer(
                subscriber_id=person.pk,
                template=template,
                answer="accept",
                source=Source.IMPORT,
                answered_at=moment(minute),
                request_key=f"r{minute}",
            )
            for minute in (-3, -1, -2)
        ]
    )

    assert relation() == (ON, moment(-1))


@pytest.mark.parametrize("state", [Subscription.State.BANNED, Subscription.State.SUSPENDED])
def test_an_import_lifts_no_ban_and_no_suspension(accept, state):
    accept(-2)
    Subscription.objects.update(state=state)

    accept(-1, source=Source.IMPORT)
    assert relation() == (state, moment(-2))

    accept(0)
    assert relation() == (ON, moment(0))


def test_a_relation_nobody_decided_on_is_turned_on_and_off_by_the_first_word(accept, turn_off, person, template):
    Subscription.objects.create(subscriber=person, template=template, state=OFF)
    accept(-2)
    assert relation() == (ON, moment(-2))

    Subscription.objects.update(decided_at=None)
    turn_off(-3)
    assert relation() == (OFF, moment(-3))


def test_a_unit_of_before_the_no_is_not_given_back_to_a_relation_turned_on_again(accept, turn_off, person, template):
    accept(-3)
    taken = ledger.reserve(template=template, subscriber_ids=[person.pk])
    turn_off(-2)
    accept(-1)

    ledger.give_back(taken.values())

    assert Grant.objects.get(pk__in=taken.values()).state == Grant.State.REVOKED
    assert available() == 1


def test_answers_of_many_people_take_as_many_queries_as_of_one(template, django_assert_num_queries):
    everybody = factories.subscribers(template.mini_program, count=60)
    off = [person.pk for person in everybody[:20]]
    ledger.turn_off([TurnedOff(template.pk, pk, moment(-2)) for pk in off])

    for some in (everybody[-1:], everybody):
        with django_assert_num_queries(6):
            factories.grants(template, to=some, age=timedelta(hours=1))

    assert available() == 41


def test_turning_off_many_people_takes_as_many_queries_as_one(template, django_assert_num_queries):
    everybody = [person.pk for person in factories.subscribers(template.mini_program, count=60)]

    for some in (everybody[:1], everybody):
        with django_assert_num_queries(9):
            ledger.turn_off([TurnedOff(template.pk, pk, NOW) for pk in some])

    assert Subscription.objects.filter(state=OFF).count() == 60


def test_each_person_and_template_has_a_moment_of_its_own(template, django_assert_num_queries):
    other = factories.a_template(template.mini_program)
    early, late = factories.subscribers(template.mini_program, count=2)
    for each in (template, other):
        factories.grants(each, to=[early, late], age=timedelta(hours=1))
    before, after = timezone.now() - timedelta(hours=2), timezone.now()

    with django_assert_num_queries(9):
        revoked = ledger.turn_off([TurnedOff(template.pk, early.pk, before), TurnedOff(other.pk, late.pk, after)])

    held = Grant.objects.filter(state=Grant.State.AVAILABLE).values_list("template_id", "subscriber_id")
    assert revoked == 1
    assert sorted(held) == sorted([(template.pk, early.pk), (template.pk, late.pk), (other.pk, early.pk)])
    turned_off = Subscription.objects.filter(turned_off_at__isnull=False)
    assert sorted(turned_off.values_list("template_id", "subscriber_id", "turned_off_at", "state")) == sorted(
        [(template.pk, early.pk, before, ON), (other.pk, late.pk, after, OFF)]
    )


def test_turning_off_nothing_asks_the_database_nothing(db, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert ledger.turn_off([]) == 0


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize(
    ("ban", "state"), [(-4, ON), (-2, ON), (0, Subscription.State.BANNED)], ids=["oldest", "between", "newest"]
)
def test_a_ban_counts_from_when_a_phone_met_it(accept, turn_off, person, template, order, ban, state):
    def meet_the_ban(minute):
        new = NewAnswer(
            subscriber_id=person.pk,
            template=template,
            answer="ban",
            source=Source.CLIENT,
            answered_at=moment(minute),
            request_key="ban",
        )
        ledger.record([new])

    happenings = [(turn_off, -3), (accept, -1), (meet_the_ban, ban)]
    for number in order:
        verb, minute = happenings[number]
        verb(minute)

    assert relation() == (state, moment(-1))


@pytest.mark.parametrize("order", list(permutations(range(2))))
@pytest.mark.parametrize(("ban", "state"), [(-4, OFF), (0, Subscription.State.BANNED)])
def test_a_no_lifts_no_ban_that_was_met_later(turn_off, person, template, order, ban, state):
    answer = NewAnswer(
        subscriber_id=person.pk,
        template=template,
        answer="ban",
        source=Source.CLIENT,
        answered_at=moment(ban),
        request_key="ban",
    )
    happenings = [lambda: turn_off(-3), lambda: ledger.record([answer])]
    for number in order:
        happenings[number]()

    assert relation() == (state, moment(-3))
