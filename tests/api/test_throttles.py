"""How often anybody may call."""

from __future__ import annotations

import pytest
import time_machine
from django.conf import settings
from django.urls import reverse
from rest_framework.settings import api_settings

from notify_platform.api import keys, urls
from notify_platform.api.throttles import CallerThrottle
from tests import factories
from tests.api.conftest import Caller, a_back_end_of, a_phone_of, problem

pytestmark = pytest.mark.django_db
OPENID = "o9AgO5Kd5ggOC-bXrbNODIiE3bGY"


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel("2026-11-23T08:00:00Z", tick=False) as traveller:
        yield traveller


@pytest.fixture
def rates(monkeypatch):
    """Set the rate of some scopes."""

    def rates(**changes):
        known = settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]
        monkeypatch.setattr(CallerThrottle, "THROTTLE_RATES", known | changes)

    return rates


def test_every_address_has_a_scope_with_a_rate():
    scopes = {route.name: route.callback.view_class.throttle_scope for route in urls.version_1}

    assert [name for name, scope in scopes.items() if scope not in api_settings.DEFAULT_THROTTLE_RATES] == []
    assert len(scopes) == 18


def test_one_call_too_many_is_told_when_to_come_back(phone, rates, clock):
    rates(subscriptions="2/min")

    assert [phone.get("subscriptions").status_code for _ in range(2)] == [200, 200]
    clock.shift(18)
    refused = phone.get("subscriptions")

    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "42")
    words = "Request was throttled. Expected available in 42 seconds."
    assert refused.json() == problem("throttled", words)
    clock.shift(42)
    assert phone.get("subscriptions").status_code == 200


def test_one_scope_does_not_use_up_another(phone, rates):
    rates(subscriptions="1/min")
    phone.get("subscriptions")

    assert phone.get("subscriptions").status_code == 429
    assert phone.post("visits", {"page": "pages/a"}).status_code == 200


def test_one_person_does_not_use_up_anothers(phone, person, rates):
    rates(subscriptions="1/min")
    other = a_phone_of(factories.subscribers(person.mini_program, count=1)[0])

    assert [caller.get("subscriptions").status_code for caller in (phone, other, phone)] == [200, 200, 429]


def test_what_is_refused_writes_nothing(phone, person, rates):
    rates(visits="1/min")
    for _ in range(3):
        phone.post("visits", {"page": "pages/a"})

    assert person.visits.count() == 1


def test_a_new_session_is_no_way_around(phone, person, rates):
    rates(subscriptions="1/min")

    assert [caller.get("subscriptions").status_code for caller in (phone, a_phone_of(person))] == [200, 429]


def test_strangers_are_counted_by_address(rates, db):
    rates(sessions="1/min")
    body = {"app_id": "wx0000000000000000", "code": "0a"}

    def from_address(address, **headers):
        caller = Caller(headers=headers)
        caller.client.defaults["REMOTE_ADDR"] = address
        return caller.post("sessions", body).status_code

    assert [from_address(address) for address in ("10.0.0.1", "10.0.0.2", "10.0.0.1")] == [400, 400, 429]
    assert from_address("10.0.0.1", **{"X-Forwarded-For": "10.0.0.9"}) == 429


def test_behind_a_proxy_its_word_for_the_address_counts_and_not_the_callers(rates, db, monkeypatch):
    monkeypatch.setattr(api_settings, "NUM_PROXIES", 1)
    rates(sessions="1/min")
    body = {"app_id": "wx0000000000000000", "code": "0a"}

    def forwarded(*addresses):
        return Caller().post("sessions", body, **{"X-Forwarded-For": ", ".join(addresses)}).status_code

    assert [forwarded("10.0.0.1"), forwarded("10.0.0.2")] == [400, 400]
    assert forwarded("10.9.9.9", "10.0.0.1") == 429


def test_a_back_end_is_counted_by_its_key(back_end, stranger, mini_program, rates):
    rates(sessions="1/min", sessions_by_key="2/min")
    second = keys.issue(mini_program, name="Other", scopes=["sessions"], by=None)
    other = Caller(headers={"Authorization": f"Api-Key {second.plaintext}"})
    body = {"app_id": mini_program.app_id, "openid": OPENID}

    assert [back_end.post("sessions", body).status_code for _ in range(3)] == [200, 200, 429]
    assert other.post("sessions", body).status_code == 200
    assert stranger.post("sessions", {"app_id": "wx0000000000000000", "code": "0a"}).status_code == 400


def test_each_of_a_back_ends_tasks_is_counted_for_itself(mini_program, rates):
    rates(deliveries="1/min")
    shop = a_back_end_of(mini_program, "deliveries", "events")

    assert [shop.call("get", "delivery", 1).status_code for _ in range(2)] == [404, 429]
    assert shop.call("delete", "event", mini_program.app_id, "order_paid", "1").status_code == 200


def test_refused_credentials_are_told_so_however_often(rates, db):
    rates(subscriptions="1/min")

    assert [Caller().get("subscriptions").status_code for _ in range(3)] == [401, 401, 401]


def test_the_documents_have_a_rate_too(stranger, rates):
    rates(documents="1/min")

    answers = [stranger.client.get(reverse(name)) for name in ("api-docs", "api-schema")]
    assert [answer.status_code for answer in answers] == [200, 429]
