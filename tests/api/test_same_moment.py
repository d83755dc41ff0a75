"""The same thing reported by several requests at the same moment: a phone that repeats, or a double tap."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from notify_platform.delivery import fanout, keys
from notify_platform.delivery.models import Conversion, Delivery, Open
from notify_platform.jobs.models import Event
from subscriptions.models import Answer, Grant, Scene, Subscriber, Subscription
from tests import factories
from tests.api.conftest import Caller, a_back_end_of

pytestmark = pytest.mark.django_db(transaction=True)
TIMES = 6
OPENID = "o9AgO5Kd5ggOC-bXrbNODIiE3bGY"


@pytest.fixture
def at_once():
    """Send the same body several times at the same moment; return the answers."""

    def at_once(headers, name, body, *, method="post"):
        gate = threading.Barrier(TIMES)

        def send():
            try:
                gate.wait()
                return Caller(headers=headers).call(method, name, body=body)
            finally:
                connection.close()

        with ThreadPoolExecutor(TIMES) as pool:
            return [future.result() for future in [pool.submit(send) for _ in range(TIMES)]]

    return at_once


def test_one_popup_is_one_unit(at_once, phone, mini_program, template):
    Scene.objects.create(mini_program=mini_program, code="order-paid", name="Paid")
    body = {"scene": "order-paid", "client_request_id": "request-1", "results": {template.wechat_id: "accept"}}

    answers = at_once(phone.headers, "authorizations", body)

    assert [answer.status_code for answer in answers] == [200] * TIMES
    assert {answer.json()["balances"][0]["available"] for answer in answers} == {1}
    assert (Answer.objects.count(), Grant.objects.count()) == (1, 1)


def test_one_tap_is_one_open(at_once, phone, person, template):
    factories.grants(template, to=[person])
    job = factories.a_running_job(template)
    while fanout.step(job):
        pass
    key = keys.make(Delivery.objects.get().pk)

    answers = at_once(phone.headers, "opens", {"nk": key})

    assert [answer.json() for answer in answers] == [{"deed": "open"}] * TIMES
    assert Open.objects.count() == 1


def test_one_newcomer_is_one_person(at_once, back_end, mini_program):
    body = {"app_id": mini_program.app_id, "openid": OPENID}

    answers = at_once(back_end.headers, "sessions", body)

    assert len({answer.json()["subscriber"] for answer in answers}) == 1
    assert Subscriber.objects.count() == 1


def test_one_goal_is_one_conversion(at_once, phone):
    answers = at_once(phone.headers, "conversions", {"goal": "order", "client_request_id": "request-1"})

    assert [answer.json() for answer in answers] == [{"attributed": False}] * TIMES
    assert Conversion.objects.count() == 1


def test_one_event_is_one_event(at_once, mini_program):
    shop = a_back_end_of(mini_program, "events")
    body = {"app_id": mini_program.app_id, "event": "order_shipped", "event_id": "1", "openid": OPENID, "data": {}}

    answers = at_once(shop.headers, "events", body)

    assert sorted(answer.json()["duplicate"] for answer in answers) == [False] + [True] * (TIMES - 1)
    assert (Event.objects.count(), Subscriber.objects.count()) == (1, 1)


def test_the_same_people_told_of_at_once_are_each_one_person(at_once, mini_program):
    shop = a_back_end_of(mini_program, "subscribers")
    rows = [{"openid": factories.an_openid(), "city": "杭州"} for _ in range(50)]

    answers = at_once(shop.headers, "subscribers", {"app_id": mini_program.app_id, "subscribers": rows})

    assert sum(answer.json()["created"] for answer in answers) == 50
    assert sum(answer.json()["updated"] for answer in answers) == 50 * (TIMES - 1)
    assert Subscriber.objects.filter(city="杭州").count() == 50


def test_one_import_is_one_import(at_once, mini_program, template):
    shop = a_back_end_of(mini_program, "consents")
    rows = [{"openid": factories.an_openid(), "template_id": template.wechat_id} for _ in range(20)]
    body = {"app_id": mini_program.app_id, "import_id": "import-1", "consents": rows}

    answers = at_once(shop.headers, "consents", body)

    assert sorted(answer.json()["units"] for answer in answers) == [0] * (TIMES - 1) + [20]
    assert Grant.objects.count() == 20


def test_one_settings_page_is_noted_once(at_once, phone, mini_program):
    settings = {factories.a_template(mini_program).wechat_id: "accept" for _ in range(5)}

    answers = at_once(phone.headers, "wechat-settings", {"mainSwitch": True, "itemSettings": settings}, method="put")

    assert [answer.status_code for answer in answers] == [200] * TIMES
    assert Subscription.objects.filter(always_keep="accept").count() == 5
