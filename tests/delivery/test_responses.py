"""Cards that were tapped, and cards that were passed on."""

from __future__ import annotations

import pytest

from notify_platform.core.errors import Refused
from notify_platform.delivery import keys, responses
from notify_platform.delivery.models import Delivery, Open
from notify_platform.delivery.responses import Deed
from subscriptions.models import Subscriber, Visit
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def delivery(job):
    return Delivery.objects.filter(job=job).order_by("pk")[0]


def opens():
    return list(Open.objects.values_list("delivery_id", "subscriber_id"))


def visits():
    return list(Visit.objects.order_by("pk").values_list("subscriber_id", "page"))


def somebody_else(delivery):
    return Subscriber.objects.exclude(pk=delivery.subscriber_id).order_by("pk")[0]


def test_the_persons_own_card_is_opened_once(delivery):
    key = keys.make(delivery.pk)

    assert [responses.record_open(delivery.subscriber, key=key) for _ in range(2)] == [Deed.OPEN, Deed.OPEN]

    assert opens() == [(delivery.pk, delivery.subscriber_id)]
    assert visits() == []


def test_somebody_elses_card_is_a_shared_visit(delivery):
    other = somebody_else(delivery)

    assert responses.record_open(other, key=keys.make(delivery.pk)) is Deed.SHARED_VISIT

    assert opens() == []
    assert visits() == [(other.pk, "")]


def test_a_card_of_another_mini_program_is_a_shared_visit(delivery):
    stranger = factories.subscribers(factories.a_mini_program(), count=1)[0]

    assert responses.record_open(stranger, key=keys.make(delivery.pk)) is Deed.SHARED_VISIT


def test_a_card_that_is_gone_from_the_log_is_a_shared_visit(delivery):
    assert responses.record_open(delivery.subscriber, key=keys.make(10**9)) is Deed.SHARED_VISIT


@pytest.mark.parametrize("key", ["", "nonsense", "1.AAAAAAAAAAAAAA"])
def test_a_key_we_did_not_make_is_refused_and_nothing_is_written(delivery, key):
    with pytest.raises(Refused) as refused:
        responses.record_open(delivery.subscriber, key=key)

    assert refused.value.code == "bad_key"
    assert (opens(), visits()) == ([], [])


def test_a_visit_without_a_card_is_a_visit(delivery):
    assert responses.record_visit(delivery.subscriber, page="pages/a") is Deed.VISIT

    assert (opens(), visits()) == ([], [(delivery.subscriber_id, "pages/a")])


def test_a_visit_by_the_persons_own_card_is_its_open_too(delivery):
    person, key = delivery.subscriber, keys.make(delivery.pk)

    assert responses.record_visit(person, page="pages/a", key=key) is Deed.OPEN
    assert responses.record_visit(person, page="pages/b", key=key) is Deed.OPEN

    assert opens() == [(delivery.pk, person.pk)]
    assert visits() == [(person.pk, "pages/a"), (person.pk, "pages/b")]


def test_a_visit_by_somebody_elses_card_is_one_visit(delivery):
    other = somebody_else(delivery)

    assert responses.record_visit(other, page="pages/a", key=keys.make(delivery.pk)) is Deed.SHARED_VISIT

    assert (opens(), visits()) == ([], [(other.pk, "pages/a")])


def test_a_visit_with_a_key_we_did_not_make_is_not_written(delivery):
    with pytest.raises(Refused):
        responses.record_visit(delivery.subscriber, page="pages/a", key="nonsense")

    assert visits() == []
    assert Subscriber.objects.get(pk=delivery.subscriber_id).last_visit_at is None
