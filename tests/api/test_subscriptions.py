"""The person's standing, template by template."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from subscriptions.grants import ledger
from subscriptions.grants.ledger import TurnedOff
from subscriptions.models import Subscription
from templates_app.models import MessageTemplate
from tests import factories
from tests.api.conftest import iso

pytestmark = pytest.mark.django_db
# Near the database's own clock, which nobody can set.
NOW = timezone.now().replace(microsecond=0)


def test_what_a_person_has_to_do_with_is_listed_by_title(phone, person, mini_program):
    shipped = factories.a_template(mini_program, title="B 发货通知")
    off = factories.a_template(mini_program, title="A 上新", kind=MessageTemplate.Kind.LONG_TERM)
    factories.a_template(mini_program, title="C")
    with time_machine.travel(NOW, tick=False):
        factories.grants(shipped, to=[person], units=2)
        factories.grants(shipped, to=[person], age=timedelta(days=3))
        ledger.turn_off([TurnedOff(off.pk, person.pk, NOW)])
        answer = phone.get("subscriptions")

    assert answer.status_code == 200
    assert answer.json() == {
        "subscriptions": [
            {
                "template_id": off.wechat_id,
                "state": "off",
                "available": 0,
                "expires_at": None,
                "title": "A 上新",
                "kind": "long_term",
            },
            {
                "template_id": shipped.wechat_id,
                "state": "on",
                "available": 3,
                "expires_at": iso(NOW + timedelta(days=4)),
                "title": "B 发货通知",
                "kind": "one_time",
            },
        ]
    }


def test_nobody_sees_what_others_have(phone, person, template):
    other = factories.subscribers(person.mini_program, count=1)[0]
    factories.grants(template, to=[other], units=3)

    assert phone.get("subscriptions").json() == {"subscriptions": []}

    factories.grants(template, to=[person])
    assert [row["available"] for row in phone.get("subscriptions").json()["subscriptions"]] == [1]


@pytest.mark.parametrize("count", [1, 4])
def test_the_number_of_queries_does_not_grow(phone, person, mini_program, count, django_assert_num_queries):
    for _ in range(count):
        factories.grants(factories.a_template(mini_program), to=[person])
    assert Subscription.objects.count() == count

    # The session, the templates, their states, their units.
    with django_assert_num_queries(4):
        phone.get("subscriptions")
