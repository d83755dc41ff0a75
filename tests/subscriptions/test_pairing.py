"""One popup, two witnesses: however they arrive, it is one answer."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations

import pytest
from django.utils import timezone

from subscriptions.grants import ledger
from subscriptions.grants.ledger import Refusal, TurnedOff
from subscriptions.grants.pairing import NewAnswer
from subscriptions.models import Answer, Grant, Source
from tests import factories

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def template():
    return factories.a_template(factories.a_mini_program())


@pytest.fixture
def person(template):
    return factories.subscribers(template.mini_program, count=1)[0]


@pytest.fixture
def tell(person, template):
    def tell(source, *, after=0, answer="accept", template=template, person=person):
        number = Answer.objects.count()
        new = NewAnswer(
            subscriber_id=person.pk,
            template=template,
            answer=answer,
            source=source,
            answered_at=NOW + timedelta(seconds=after),
            request_key=f"{source}:{number}",
        )
        return ledger.record([new]).units

    return tell


def units():
    return Grant.objects.filter(state=Grant.State.AVAILABLE).count()


@pytest.mark.parametrize("order", [(Source.CLIENT, Source.CALLBACK), (Source.CALLBACK, Source.CLIENT)])
@pytest.mark.parametrize("apart", [0, 1, 120])
def test_a_popup_told_by_phone_and_event_is_one_unit(tell, order, apart):
    tell(order[0])

    assert tell(order[1], after=apart) == 0
    assert units() == 1
    assert Answer.objects.get(source=order[1]).pair.source == order[0]


def test_more_than_two_minutes_apart_they_are_two_popups(tell):
    tell(Source.CLIENT)

    assert tell(Source.CALLBACK, after=121) == 1
    assert units() == 2


@pytest.mark.parametrize("order", sorted(set(permutations(["client"] * 3 + ["callback"] * 3))))
def test_three_popups_in_a_minute_stay_three_in_whatever_order_they_are_told(tell, order):
    moments = {"client": iter([0, 20, 40]), "callback": iter([0, 20, 40])}
    for source in order:
        tell(Source(source), after=next(moments[source]))

    assert units() == 3


def test_the_nearest_report_is_taken(tell):
    tell(Source.CLIENT, after=0)
    tell(Source.CLIENT, after=60)
    tell(Source.CALLBACK, after=50)

    assert Answer.objects.get(source=Source.CALLBACK).pair.answered_at == NOW + timedelta(seconds=60)


def test_a_report_is_paired_once_for_ever(tell):
    tell(Source.CLIENT)
    tell(Source.CALLBACK)

    assert tell(Source.CALLBACK, after=1) == 1


def test_a_yes_is_not_paired_with_a_no(tell):
    tell(Source.CLIENT, answer="reject")

    assert tell(Source.CALLBACK) == 1
    assert Answer.objects.filter(pair__isnull=False).count() == 0


def test_a_no_is_paired_with_a_no_and_grants_nothing(tell):
    tell(Source.CLIENT, answer="reject")
    tell(Source.CALLBACK, answer="reject")

    assert Answer.objects.filter(pair__isnull=False).count() == 1
    assert units() == 0


def test_a_special_yes_of_the_phone_is_the_plain_yes_of_the_event(tell):
    tell(Source.CLIENT, answer="acceptWithAlert")

    assert tell(Source.CALLBACK) == 0


def test_another_persons_or_templates_report_is_another_popup(tell, template):
    tell(Source.CLIENT)
    neighbour = factories.subscribers(template.mini_program, count=1)[0]

    assert tell(Source.CALLBACK, person=neighbour) == 1
    assert tell(Source.CALLBACK, template=factories.a_template(template.mini_program)) == 1


def test_two_reports_by_the_same_witness_are_two_popups(tell):
    assert [tell(Source.CLIENT), tell(Source.CLIENT, after=1)] == [1, 1]


def test_a_phone_alone_can_hold_five_units_and_no_more(tell):
    granted = [tell(Source.CLIENT, after=number * 300) for number in range(7)]

    assert granted == [1, 1, 1, 1, 1, 0, 0]
    assert units() == 5


def test_wechats_event_grants_what_the_cap_held_back(tell):
    for number in range(6):
        tell(Source.CLIENT, after=number * 300)

    assert tell(Source.CALLBACK, after=5 * 300) == 1
    assert units() == 6


def test_a_confirmed_unit_makes_room_for_another_unconfirmed_one(tell):
    for number in range(5):
        tell(Source.CLIENT, after=number * 300)
    tell(Source.CALLBACK, after=0)

    assert tell(Source.CLIENT, after=9000) == 1


def test_a_spent_unit_makes_room_for_another_unconfirmed_one(tell, template, person):
    for number in range(5):
        tell(Source.CLIENT, after=number * 300)
    ledger.spend(ledger.reserve(template=template, subscriber_ids=[person.pk]).values())

    assert tell(Source.CLIENT, after=9000) == 1


def paired():
    """The seconds of each pair: the phone's, WeChat's."""
    rows = Answer.objects.filter(pair__isnull=False).select_related("pair")
    both = [sorted((row, row.pair), key=lambda one: one.source, reverse=True) for row in rows]
    return sorted(tuple((one.answered_at - NOW).total_seconds() for one in pair) for pair in both)


def test_events_that_overtake_their_claims_make_no_unit_more(tell):
    for source, after in [("client", 0), ("callback", 110), ("client", 110), ("callback", 220), ("client", 220)]:
        tell(Source(source), after=after)

    assert tell(Source.CALLBACK, after=0) == 0
    assert units() == 3
    assert paired() == [(0, 0), (110, 110), (220, 220)]


def test_a_nearer_report_takes_the_place_of_the_one_that_came_first(tell):
    tell(Source.CLIENT, after=0)
    tell(Source.CALLBACK, after=50)

    assert tell(Source.CLIENT, after=60) == 1
    assert paired() == [(60, 50)]
    assert sorted(Answer.objects.values_list("answered_at", "units")) == [
        (NOW, 1),
        (NOW + timedelta(seconds=50), 0),
        (NOW + timedelta(seconds=60), 1),
    ]


@pytest.mark.parametrize("order", [(Source.CLIENT, Source.CALLBACK), (Source.CALLBACK, Source.CLIENT)])
def test_a_unit_is_granted_when_wechat_says_so(tell, order):
    moments = {Source.CLIENT: 3, Source.CALLBACK: 0}
    for source in order:
        tell(source, after=moments[source])

    assert list(Grant.objects.values_list("granted_at", "expires_at")) == [(NOW, NOW + timedelta(days=7))]


@pytest.mark.parametrize(("event_after", "left"), [(2, Grant.State.AVAILABLE), (-2, Grant.State.REVOKED)])
def test_the_event_says_whether_the_consent_was_before_or_after_the_off(tell, template, person, event_after, left):
    tell(Source.CLIENT, after=-event_after)
    ledger.turn_off([TurnedOff(template.pk, person.pk, NOW)])

    assert tell(Source.CALLBACK, after=event_after) == 0
    assert Grant.objects.get().state == left


def test_what_wechat_refused_does_not_come_back_with_the_event(tell, template, person):
    tell(Source.CLIENT, after=-2)
    refusal = Refusal(person.pk, 0, NOW)
    ledger.revoke_refused(template=template, refusals=[refusal])
    ledger.turn_off([TurnedOff(template.pk, person.pk, NOW)])

    tell(Source.CALLBACK, after=2)

    assert Grant.objects.get().state == Grant.State.REVOKED


def test_a_unit_that_was_spent_moves_with_its_popup_and_keeps_its_end(tell, template, person):
    tell(Source.CLIENT)
    ledger.spend(ledger.reserve(template=template, subscriber_ids=[person.pk]).values())

    tell(Source.CALLBACK, after=7)

    moved = (Grant.State.SPENT, NOW + timedelta(seconds=7), NOW + timedelta(days=7))
    assert list(Grant.objects.values_list("state", "granted_at", "expires_at")) == [moved]


def test_a_unit_that_comes_back_is_as_old_as_its_popup_turned_out_to_be(tell, template, person):
    tell(Source.CLIENT, after=-2)
    taken = ledger.reserve(template=template, subscriber_ids=[person.pk])
    ledger.turn_off([TurnedOff(template.pk, person.pk, NOW)])
    tell(Source.CALLBACK, after=2)

    ledger.give_back(taken.values())

    granted_at = NOW + timedelta(seconds=2)
    back = (Grant.State.AVAILABLE, granted_at, granted_at + timedelta(days=7))
    assert list(Grant.objects.values_list("state", "granted_at", "expires_at")) == [back]


def test_what_the_person_made_void_comes_back_although_wechat_refused_another_message_meanwhile(tell, template, person):
    tell(Source.CLIENT, after=-5)
    ledger.turn_off([TurnedOff(template.pk, person.pk, NOW)])
    ledger.revoke_refused(template=template, refusals=[Refusal(person.pk, 0, NOW - timedelta(seconds=1))])

    tell(Source.CALLBACK, after=2)

    assert list(Grant.objects.values_list("state", "revoked_by")) == [(Grant.State.AVAILABLE, "")]


def test_both_witnesses_in_one_call_are_one_unit(template, person):
    answers = [
        NewAnswer(
            subscriber_id=person.pk,
            template=template,
            answer="accept",
            source=source,
            answered_at=NOW,
            request_key=source,
        )
        for source in (Source.CLIENT, Source.CALLBACK)
    ]

    assert ledger.record(answers) == (2, 1)


def test_events_of_many_people_take_as_many_queries_as_of_one(template, django_assert_num_queries):
    def told(people, source, second):
        return [
            NewAnswer(
                subscriber_id=person.pk,
                template=template,
                answer="accept",
                source=source,
                answered_at=NOW + timedelta(seconds=second),
                request_key=f"{source}:{second}",
            )
            for person in people
        ]

    for count in (1, 30):
        people = factories.subscribers(template.mini_program, count=count)
        ledger.record(told(people, Source.CLIENT, 0))
        ledger.record(told(people, Source.CALLBACK, 50))
        # The event of each finds its claim taken by a nearer one.
        with django_assert_num_queries(14):
            ledger.record(told(people, Source.CLIENT, 60))
        with django_assert_num_queries(6):
            ledger.record(told(people, Source.CALLBACK, 0))


def test_a_phone_that_draws_an_event_from_claim_to_claim_gains_nothing(template):
    person = factories.subscribers(template.mini_program, count=1)[0]
    happened = timezone.now().replace(microsecond=0) - timedelta(minutes=5)

    def tell(source, seconds, key):
        at = happened - timedelta(seconds=seconds)
        new = NewAnswer(
            subscriber_id=person.pk, template=template, answer="accept", source=source, answered_at=at, request_key=key
        )
        ledger.record([new])

    tell(Source.CLIENT, 110, "claim 110")
    tell(Source.CALLBACK, 0, "event")
    for seconds in range(100, 60, -1):
        tell(Source.CLIENT, seconds, f"claim {seconds}")

    limit = template.mini_program.client_unconfirmed_limit
    assert Grant.objects.filter(state=Grant.State.AVAILABLE).count() == limit + 1
