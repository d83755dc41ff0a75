"""Opens and visits over HTTP."""

from __future__ import annotations

import pytest

from notify_platform.delivery import keys
from notify_platform.delivery.models import Open
from subscriptions.models import Subscriber, Visit
from tests import factories
from tests.api.conftest import a_phone_of, invalid, problem

pytestmark = pytest.mark.django_db
BAD_KEY = "This is not the key of a card."


def written():
    return [Open.objects.count(), Visit.objects.count()]


def test_the_persons_own_card_is_opened_once(phone, delivery):
    answers = [phone.post("opens", {"nk": keys.make(delivery.pk)}) for _ in range(2)]

    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {"deed": "open"})] * 2
    assert written() == [1, 0]


def test_somebody_elses_card_is_a_shared_visit(delivery, person):
    other = factories.subscribers(person.mini_program, count=1)[0]

    answer = a_phone_of(other).post("opens", {"nk": keys.make(delivery.pk)})

    assert (answer.status_code, answer.json()) == (200, {"deed": "shared_visit"})
    assert written() == [0, 1]
    assert Visit.objects.get().subscriber == other


@pytest.mark.parametrize(
    ("name", "body"), [("opens", {"nk": "1.nonsense"}), ("visits", {"page": "pages/a", "nk": "1.nonsense"})]
)
def test_a_key_we_did_not_make_is_an_error_and_nothing_is_written(phone, delivery, name, body):
    answer = phone.post(name, body)

    assert (answer.status_code, answer.json()) == (400, problem("bad_key", BAD_KEY, nk=BAD_KEY))
    assert written() == [0, 0]


@pytest.mark.parametrize("nk", [..., None])
def test_a_visit_is_written_and_noted_as_the_last(phone, person, nk):
    answer = phone.post("visits", {"page": "pages/index/index"} | ({} if nk is ... else {"nk": nk}))

    assert (answer.status_code, answer.json()) == (200, {"deed": "visit"})
    assert list(Visit.objects.values_list("subscriber_id", "page")) == [(person.pk, "pages/index/index")]
    assert Subscriber.objects.get(pk=person.pk).last_visit_at is not None


def test_a_visit_by_a_card_is_its_open_too(phone, delivery):
    answer = phone.post("visits", {"page": "pages/order/detail", "nk": keys.make(delivery.pk)})

    assert (answer.status_code, answer.json()) == (200, {"deed": "open"})
    assert written() == [1, 1]


@pytest.mark.parametrize(
    ("name", "body", "fields"),
    [
        ("opens", {}, {"nk": "This field is required."}),
        ("opens", {"nk": None}, {"nk": "This field may not be null."}),
        ("opens", {"nk": 7}, {"nk": "Not a valid string."}),
        ("opens", {"nk": "f" * 65}, {"nk": "Ensure this field has no more than 64 characters."}),
        ("visits", {}, {"page": "This field is required."}),
        ("visits", {"page": ""}, {"page": "This field may not be blank."}),
        ("visits", {"page": "x" * 301}, {"page": "Ensure this field has no more than 300 characters."}),
        ("visits", {"page": "a\u0000"}, {"page": "Null characters are not allowed."}),
        ("visits", {"page": ["pages/a"]}, {"page": "Not a valid string."}),
        ("visits", {"page": "pages/a", "nk": {}}, {"nk": "Not a valid string."}),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(phone, name, body, fields):
    answer = phone.post(name, body)

    assert (answer.status_code, answer.json()) == (400, invalid(**fields))
    assert written() == [0, 0]


def test_half_a_character_is_refused(phone):
    answer = phone.send("visits", b'{"page": "pages/\\ud83d"}')

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid"
    assert written() == [0, 0]
