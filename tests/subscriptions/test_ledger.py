"""The books of consent, verb by verb."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from threading import Thread

import pytest
from django.db import connection, transaction
from django.utils import timezone

from subscriptions.grants import ledger, validity
from subscriptions.grants.ledger import NewAnswer, Refusal, TurnedOff
from subscriptions.models import Answer, Drift, Grant, Source, Subscription
from templates_app.models import MessageTemplate
from tests import factories

pytestmark = pytest.mark.django_db
State = Grant.State


@pytest.fixture
def template():
    return factories.a_template(factories.a_mini_program())


@pytest.fixture
def person(template):
    return factories.subscribers(template.mini_program, count=1)[0]


def states(template):
    return Counter(Grant.objects.filter(template=template).values_list("state", flat=True))


def an_answer(person, template, **changes):
    values = {
        "subscriber_id": person.pk,
        "template": template,
        "answer": "accept",
        "source": Source.CLIENT,
        "answered_at": timezone.now(),
        "request_key": "r1",
    }
    return NewAnswer(**(values | changes))


def test_three_accepts_are_three_units(person, template):
    recorded = ledger.record([an_answer(person, template, request_key=f"r{n}") for n in range(3)])

    assert recorded == (3, 3)
    assert states(template) == {State.AVAILABLE: 3}


def test_the_same_report_twice_is_one_unit(person, template):
    ledger.record([an_answer(person, template)])

    assert ledger.record([an_answer(person, template)]) == (0, 0)
    assert states(template) == {State.AVAILABLE: 1}


def test_the_same_report_twice_in_one_call_is_one_unit(person, template):
    assert ledger.record([an_answer(person, template), an_answer(person, template)]) == (1, 1)


@pytest.mark.parametrize("word", ["reject", "filter", "something-new"])
def test_an_answer_that_is_no_yes_is_written_down_and_grants_nothing(person, template, word):
    assert ledger.record([an_answer(person, template, answer=word)]) == (1, 0)
    assert Answer.objects.get().answer == word
    assert states(template) == {}
    assert Subscription.objects.count() == 0


def test_a_ban_is_written_down_and_keeps_the_stock(person, template):
    ledger.record([an_answer(person, template)])

    assert ledger.record([an_answer(person, template, answer="ban", request_key="r2")]) == (1, 0)
    assert states(template) == {State.AVAILABLE: 1}
    assert Subscription.objects.get().state == Subscription.State.BANNED


def test_lifting_a_ban_leaves_everybody_as_they_last_decided(template):
    on, off, never = factories.subscribers(template.mini_program, count=3)
    ledger.record([an_answer(on, template), an_answer(off, template)])
    ledger.turn_off([TurnedOff(template.pk, off.pk, timezone.now())])
    ledger.record([an_answer(who, template, answer="ban", request_key="r2") for who in (on, off, never)])

    assert ledger.lift_ban(template) == 3
    assert dict(Subscription.objects.values_list("subscriber", "state")) == {
        on.pk: Subscription.State.ON,
        off.pk: Subscription.State.OFF,
        never.pk: Subscription.State.OFF,
    }


@pytest.mark.parametrize(("reject_revokes", "left"), [(False, State.AVAILABLE), (True, State.REVOKED)])
def test_what_a_refused_popup_does_to_the_stock_is_the_mini_programs_to_say(reject_revokes, left):
    template = factories.a_template(factories.a_mini_program(reject_revokes=reject_revokes))
    person = factories.subscribers(template.mini_program, count=1)[0]
    ledger.record([an_answer(person, template, answered_at=timezone.now() - timedelta(minutes=9))])

    ledger.record([an_answer(person, template, answer="reject", request_key="r2")])

    assert states(template) == {left: 1}


def test_a_silent_yes_is_a_unit_like_any_other_and_marked(person, template):
    ledger.record([an_answer(person, template, request_key=f"r{n}", is_silent=True) for n in range(3)])

    assert states(template) == {State.AVAILABLE: 3}
    assert Answer.objects.filter(is_silent=True).count() == 3


@pytest.mark.parametrize("word", ["accept", "acceptWithAlert", "acceptWithForcePush"])
def test_every_word_that_begins_with_accept_is_a_yes(person, template, word):
    assert ledger.record([an_answer(person, template, answer=word)]).units == 1


def test_a_yes_to_a_long_term_template_turns_the_subscription_on_and_grants_no_unit(person, template):
    template.kind = template.Kind.LONG_TERM
    template.save()

    assert ledger.record([an_answer(person, template)]) == (1, 0)
    assert Subscription.objects.get().state == Subscription.State.ON


def test_a_unit_is_valid_for_as_long_as_its_template_says(person, template):
    template.validity_days = 3
    answered_at = timezone.now()

    ledger.record([an_answer(person, template, answered_at=answered_at)])

    assert Grant.objects.get().expires_at == answered_at + timedelta(days=3)


def test_without_a_validity_a_unit_never_lapses(person, template):
    template.validity_days = None
    ledger.record([an_answer(person, template)])

    assert Grant.objects.get().expires_at is None
    assert validity.lapse() == 0


def test_reserving_takes_the_unit_that_lapses_first(person, template):
    template.validity_days = 7
    ledger.record([an_answer(person, template, request_key="late")])
    ledger.record([an_answer(person, template, request_key="soon", answered_at=timezone.now() - timedelta(days=5))])
    template.validity_days = None
    ledger.record([an_answer(person, template, request_key="never")])

    taken = ledger.reserve(template=template, subscriber_ids=[person.pk])

    assert Grant.objects.get(pk=taken[person.pk]).answer.request_key == "soon"
    assert states(template) == {State.AVAILABLE: 2, State.RESERVED: 1}


def test_a_unit_past_its_validity_is_not_reserved_even_before_the_sweep(person, template):
    factories.grants(template, to=[person], age=timedelta(days=8))

    assert ledger.reserve(template=template, subscriber_ids=[person.pk]) == {}
    assert states(template) == {State.AVAILABLE: 1}


def test_a_unit_of_another_template_is_not_reserved(person, template):
    other = factories.a_template(template.mini_program)
    factories.grants(other, to=[person])

    assert ledger.reserve(template=template, subscriber_ids=[person.pk]) == {}


def test_spending_takes_only_what_was_reserved(person, template):
    factories.grants(template, to=[person], units=2)
    taken = ledger.reserve(template=template, subscriber_ids=[person.pk])

    assert ledger.spend(Grant.objects.values_list("pk", flat=True)) == 1
    assert Grant.objects.get(state=State.SPENT).pk == taken[person.pk]
    assert ledger.spend(taken.values()) == 0


def test_a_unit_given_back_can_be_reserved_again(person, template):
    factories.grants(template, to=[person])
    taken = ledger.reserve(template=template, subscriber_ids=[person.pk])

    assert ledger.give_back(taken.values()) == 1
    assert ledger.reserve(template=template, subscriber_ids=[person.pk]) == taken


@pytest.mark.parametrize("days", [None, 7])
def test_a_unit_given_back_is_valid_as_long_as_the_template_says(person, template, days):
    factories.grants(template, to=[person])
    MessageTemplate.objects.filter(pk=template.pk).update(validity_days=days)
    unit = Grant.objects.get()

    ledger.give_back(ledger.reserve(template=template, subscriber_ids=[person.pk]).values())

    end = unit.granted_at + timedelta(days=days) if days else None
    assert list(Grant.objects.values_list("state", "expires_at")) == [(State.AVAILABLE, end)]


def test_a_unit_given_back_after_the_person_turned_the_template_off_is_revoked(person, template):
    factories.grants(template, to=[person])
    taken = ledger.reserve(template=template, subscriber_ids=[person.pk])
    ledger.turn_off([TurnedOff(template.pk, person.pk, timezone.now())])

    ledger.give_back(taken.values())

    assert states(template) == {State.REVOKED: 1}


def test_turning_a_template_off_revokes_what_was_granted_by_then_and_nothing_else(person, template):
    neighbour = factories.subscribers(template.mini_program, count=1)[0]
    factories.grants(template, to=[person, neighbour], age=timedelta(hours=1))
    factories.grants(template, to=[person])

    revoked = ledger.turn_off([TurnedOff(template.pk, person.pk, timezone.now() - timedelta(minutes=30))])

    assert revoked == 1
    assert states(template) == {State.AVAILABLE: 2, State.REVOKED: 1}
    assert Subscription.objects.get(subscriber=person).state == Subscription.State.ON
    assert Subscription.objects.get(subscriber=neighbour).state == Subscription.State.ON


def test_a_refusal_by_wechat_revokes_what_was_held_when_the_message_left_but_no_newer_unit(person, template):
    factories.grants(template, to=[person], units=2, age=timedelta(minutes=5))
    taken = ledger.reserve(template=template, subscriber_ids=[person.pk])
    left_at = timezone.now() - timedelta(minutes=1)
    factories.grants(template, to=[person])

    revoked = ledger.revoke_refused(template=template, refusals=[Refusal(person.pk, taken[person.pk], left_at)])

    assert revoked == 2
    assert states(template) == {State.REVOKED: 2, State.AVAILABLE: 1}
    assert list(Drift.objects.values_list("subscriber", "template", "units", "at")) == [
        (person.pk, template.pk, 2, left_at)
    ]


def test_a_refusal_revokes_the_unit_of_its_own_message_only_and_no_other_persons(template):
    one, other = factories.subscribers(template.mini_program, count=2)
    factories.grants(template, to=[one, other], age=timedelta(minutes=5))
    taken = ledger.reserve(template=template, subscriber_ids=[one.pk, other.pk])

    ledger.revoke_refused(template=template, refusals=[Refusal(one.pk, taken[one.pk], timezone.now())])

    assert dict(Grant.objects.values_list("subscriber", "state")) == {one.pk: State.REVOKED, other.pk: State.RESERVED}


def test_a_refusal_for_a_long_term_template_turns_it_off_unless_there_is_a_newer_yes():
    template = factories.a_template(factories.a_mini_program(), kind=MessageTemplate.Kind.LONG_TERM)
    old, newer = factories.subscribers(template.mini_program, count=2)
    left_at = timezone.now() - timedelta(minutes=1)
    ledger.record([an_answer(old, template, answered_at=left_at - timedelta(hours=1)), an_answer(newer, template)])

    ledger.revoke_refused(template=template, refusals=[Refusal(old.pk, 0, left_at), Refusal(newer.pk, 0, left_at)])

    assert dict(Subscription.objects.values_list("subscriber", "state")) == {
        old.pk: Subscription.State.OFF,
        newer.pk: Subscription.State.ON,
    }
    assert Drift.objects.count() == 0


def test_refusals_of_many_people_take_as_many_queries_as_of_one(template, django_assert_num_queries):
    people = factories.subscribers(template.mini_program, count=60)
    factories.grants(template, to=people, units=2, age=timedelta(minutes=5))
    taken = ledger.reserve(template=template, subscriber_ids=[person.pk for person in people])

    for some in (people[:1], people[1:]):
        with django_assert_num_queries(6):
            refusals = [Refusal(person.pk, taken[person.pk], timezone.now()) for person in some]
            ledger.revoke_refused(template=template, refusals=refusals)

    assert states(template) == {State.REVOKED: 120}


def test_units_lapse_in_batches_until_none_are_left(person, template, monkeypatch):
    monkeypatch.setattr(validity, "BATCH", 2)
    factories.grants(template, to=[person], units=3, age=timedelta(days=8))
    factories.grants(template, to=[person])

    assert [validity.lapse(), validity.lapse(), validity.lapse()] == [2, 1, 0]
    assert states(template) == {State.LAPSED: 3, State.AVAILABLE: 1}


def test_a_reserved_unit_does_not_lapse_under_its_message(person, template):
    factories.grants(template, to=[person])
    ledger.reserve(template=template, subscriber_ids=[person.pk])
    Grant.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert validity.lapse() == 0
    assert states(template) == {State.RESERVED: 1}


def test_reserving_for_many_people_takes_as_many_queries_as_for_one(template, django_assert_num_queries):
    people = factories.subscribers(template.mini_program, count=50)
    factories.grants(template, to=people)

    with django_assert_num_queries(2):
        taken = ledger.reserve(template=template, subscriber_ids=[person.pk for person in people])
    assert sorted(taken) == sorted(person.pk for person in people)


def test_lapsing_passes_over_a_unit_somebody_else_holds_and_waits_for_nobody(transactional_db):
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("SQLite has one writer")
    template = factories.a_template(factories.a_mini_program())
    factories.grants(template, to=factories.subscribers(template.mini_program, count=2), age=timedelta(days=8))
    lapsed: list[int] = []

    def lapse():
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '5s'")
        lapsed.append(validity.lapse())
        connection.close()

    with transaction.atomic():
        held = Grant.objects.select_for_update().latest("pk")
        other = Thread(target=lapse)
        other.start()
        other.join()

    assert lapsed == [1]
    assert list(Grant.objects.filter(state=State.AVAILABLE)) == [held]
    assert validity.lapse() == 1


# --- a validity that is changed --------------------------------------------------------------------------------------


def change_validity(template, days):
    MessageTemplate.objects.filter(pk=template.pk).update(validity_days=days)
    while validity.apply():
        pass


def ends(template):
    return sorted((grant.expires_at - grant.granted_at).days for grant in Grant.objects.filter(template=template))


def test_a_longer_validity_brings_back_what_our_policy_let_lapse(person, template, monkeypatch):
    monkeypatch.setattr(validity, "BATCH", 2)
    factories.grants(template, to=[person], units=3, age=timedelta(days=8))
    factories.grants(template, to=[person], units=2)
    while validity.lapse():
        pass

    change_validity(template, 14)

    assert states(template) == {State.AVAILABLE: 5}
    assert ends(template) == [14] * 5
    assert not validity.changed().exists()


def test_no_limit_brings_everything_back_for_good(person, template):
    factories.grants(template, to=[person], age=timedelta(days=400))
    validity.lapse()

    change_validity(template, None)

    assert list(Grant.objects.values_list("state", "expires_at")) == [(State.AVAILABLE, None)]


def test_a_shorter_validity_lets_units_lapse_earlier(person, template):
    factories.grants(template, to=[person], age=timedelta(days=5))

    change_validity(template, 3)

    assert ledger.in_stock(template=template).count() == 0
    assert validity.lapse() == 1


def test_what_is_revoked_or_void_does_not_come_back(template):
    revoked, turned_off, drifted = factories.subscribers(template.mini_program, count=3)
    factories.grants(template, to=[revoked, turned_off, drifted], age=timedelta(days=8))
    ledger.turn_off([TurnedOff(template.pk, revoked.pk, timezone.now())])
    validity.lapse()
    ledger.turn_off([TurnedOff(template.pk, turned_off.pk, timezone.now())])
    Drift.objects.create(template=template, subscriber=drifted, units=1, at=timezone.now())

    change_validity(template, 30)

    assert states(template) == {State.REVOKED: 1, State.LAPSED: 2}


def test_a_spent_unit_stays_as_it_is(person, template):
    factories.grants(template, to=[person])
    ledger.spend(ledger.reserve(template=template, subscriber_ids=[person.pk]).values())

    change_validity(template, 30)

    assert (states(template), ends(template)) == ({State.SPENT: 1}, [7])


def test_a_unit_in_use_keeps_its_end_and_is_reckoned_anew_when_it_comes_back(person, template):
    factories.grants(template, to=[person])
    reserved = ledger.reserve(template=template, subscriber_ids=[person.pk]).values()

    change_validity(template, 3)
    in_use = ends(template)
    ledger.give_back(reserved)

    assert (in_use, ends(template), states(template)) == ([7], [3], {State.AVAILABLE: 1})


def test_a_validity_changed_again_in_the_middle_is_reckoned_from_the_beginning(person, template, monkeypatch):
    monkeypatch.setattr(validity, "BATCH", 2)
    factories.grants(template, to=[person], units=5)
    MessageTemplate.objects.update(validity_days=30)
    validity.apply()

    change_validity(template, 14)
    once_more = ends(template)
    MessageTemplate.objects.update(validity_days=30)
    validity.apply()
    change_validity(template, 14)

    assert (once_more, ends(template)) == ([14] * 5, [14] * 5)
    assert MessageTemplate.objects.get().validity_applied_upto == 0


def test_what_only_a_phone_speaks_for_stays_lapsed(person, template):
    long_ago = timezone.now() - timedelta(days=8)
    ledger.record([an_answer(person, template, answered_at=long_ago)])
    ledger.record([an_answer(person, template, answered_at=long_ago, source=Source.IMPORT, request_key="r2")])
    validity.lapse()

    change_validity(template, 30)

    assert dict(Grant.objects.values_list("answer__source", "state")) == {
        Source.CLIENT: State.LAPSED,
        Source.IMPORT: State.AVAILABLE,
    }


def test_a_refusal_voids_a_unit_that_counted_as_spent_meanwhile(person, template):
    factories.grants(template, to=[person], age=timedelta(minutes=20))
    taken = ledger.reserve(template=template, subscriber_ids=[person.pk])
    ledger.spend(taken.values())

    ledger.revoke_refused(template=template, refusals=[Refusal(person.pk, taken[person.pk], timezone.now())])

    assert states(template) == {State.REVOKED: 1}
