"""What came of a card, over HTTP: goals that were reached, and what people think of it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from notify_platform.delivery import keys
from notify_platform.delivery.models import Conversion, Feedback
from tests import factories
from tests.api.conftest import a_phone_of, invalid, problem

pytestmark = pytest.mark.django_db
BAD_KEY = "This is not the key of a card."
NOT_YOURS = "This card was sent to somebody else."
AMOUNT = "Send a number from 0 to 9999999999.99, or a text like “19.90”."


@pytest.fixture
def nk(delivery):
    return keys.make(delivery.pk)


@pytest.fixture
def other(person):
    return a_phone_of(factories.subscribers(person.mini_program, count=1)[0])


def reached():
    return list(Conversion.objects.order_by("pk").values_list("goal", "value", "delivery_id", "request_key"))


def thought():
    return list(Feedback.objects.values_list("delivery_id", "subscriber_id", "kind", "text"))


def test_a_goal_by_the_persons_own_card_counts_for_it(phone, person, nk, delivery):
    answer = phone.post("conversions", {"nk": nk, "goal": "order", "value": 19.9})

    assert (answer.status_code, answer.json()) == (200, {"attributed": True})
    assert reached() == [("order", Decimal("19.90"), delivery.pk, "")]
    assert Conversion.objects.get().subscriber == person


@pytest.mark.parametrize("more", [{}, {"nk": None}, {"value": None, "client_request_id": None}])
def test_a_goal_without_a_card_counts_for_none_not_even_for_the_last_one(phone, delivery, more):
    answer = phone.post("conversions", {"goal": "order"} | more)

    assert (answer.status_code, answer.json()) == (200, {"attributed": False})
    assert reached() == [("order", None, None, "")]


def test_a_goal_by_somebody_elses_card_does_not_count_for_it(other, nk):
    answer = other.post("conversions", {"nk": nk, "goal": "order"})

    assert (answer.status_code, answer.json()) == (200, {"attributed": False})
    assert reached() == [("order", None, None, "")]


def test_the_same_report_again_counts_once_and_is_answered_alike(phone, nk, delivery):
    body = {"nk": nk, "goal": "order", "client_request_id": "request-1"}
    answers = [phone.post("conversions", each) for each in (body, body, body | {"nk": None, "goal": "other"})]

    assert [answer.json() for answer in answers] == [{"attributed": True}] * 3
    assert reached() == [("order", None, delivery.pk, "request-1")]


def test_one_persons_report_is_not_anothers_and_none_is_the_same_as_no_other(phone, other):
    body = {"goal": "order", "client_request_id": "request-1"}
    for caller in (phone, other):
        caller.post("conversions", body)
        caller.post("conversions", {"goal": "order"})

    assert len(reached()) == 4


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (0, "0.00"),
        (128, "128.00"),
        (0.1 + 0.2, "0.30"),
        (1.005, "1.01"),
        (9_999_999_999.99, "9999999999.99"),
        ("0", "0.00"),
        ("19.9", "19.90"),
        ("9999999999.99", "9999999999.99"),
    ],
)
def test_the_value_is_money(phone, value, kept):
    assert phone.post("conversions", {"goal": "order", "value": value}).status_code == 200
    assert Conversion.objects.get().value == Decimal(kept)


@pytest.mark.parametrize(
    "value", [-0.01, "-1", "1.001", "1e3", " 1", "", "１", "٣", True, [], 10_000_000_000, 10**400, 1e300]
)
def test_what_is_no_money_is_refused(phone, value):
    answer = phone.post("conversions", {"goal": "order", "value": value})

    assert (answer.status_code, answer.json()) == (400, invalid(value=AMOUNT))
    assert reached() == []


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"goal": "order", "nk": "1.nonsense"}, problem("bad_key", BAD_KEY, nk=BAD_KEY)),
        ({}, invalid(goal="This field is required.")),
        ({"goal": "a goal"}, invalid(goal="This value has the wrong shape.")),
        ({"goal": "x" * 61}, invalid(goal="This value has the wrong shape.")),
        ({"goal": "order", "client_request_id": "short"}, invalid(client_request_id="This value has the wrong shape.")),
    ],
)
def test_a_wrong_conversion_is_refused_and_nothing_is_written(phone, body, refusal):
    answer = phone.post("conversions", body)

    assert (answer.status_code, answer.json()) == (400, refusal)
    assert reached() == []


def test_what_a_person_thinks_of_their_card_is_noted_and_the_latest_counts(phone, person, nk, delivery):
    first = phone.post("feedback", {"nk": nk, "kind": "too_often", "text": "一周一次\n就够了"})
    assert (first.status_code, first.json()) == (200, {"kind": "too_often"})
    assert thought() == [(delivery.pk, person.pk, "too_often", "一周一次\n就够了")]
    before = Feedback.objects.get().at

    second = phone.post("feedback", {"nk": nk, "kind": "useful"})

    assert second.json() == {"kind": "useful"}
    assert thought() == [(delivery.pk, person.pk, "useful", "")]
    assert Feedback.objects.get().at > before


@pytest.mark.parametrize("text", [None, "", "  "])
def test_words_may_be_left_out(phone, nk, text):
    assert phone.post("feedback", {"nk": nk, "kind": "irrelevant", "text": text}).status_code == 200
    assert Feedback.objects.get().text == ""


def test_nobody_speaks_of_another_persons_card(other, nk):
    answer = other.post("feedback", {"nk": nk, "kind": "useful"})

    assert (answer.status_code, answer.json()) == (400, problem("not_your_card", NOT_YOURS, nk=NOT_YOURS))
    assert thought() == []


@pytest.mark.parametrize(
    ("more", "refusal"),
    [
        ({"nk": "1.nonsense"}, problem("bad_key", BAD_KEY, nk=BAD_KEY)),
        ({"nk": None}, invalid(nk="This field may not be null.")),
        ({"kind": "great"}, invalid(kind='"great" is not a valid choice.')),
        ({"kind": ""}, invalid(kind='"" is not a valid choice.')),
        ({"text": "x" * 501}, invalid(text="Ensure this field has no more than 500 characters.")),
        ({"text": "a\u0000"}, invalid(text="Null characters are not allowed.")),
    ],
)
def test_a_wrong_feedback_is_refused_and_nothing_is_written(phone, nk, more, refusal):
    answer = phone.post("feedback", {"nk": nk, "kind": "useful"} | more)

    assert (answer.status_code, answer.json()) == (400, refusal)
    assert thought() == []
