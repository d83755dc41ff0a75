"""The same thing reported by several requests at the same moment: a phone that repeats, or a double tap."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from notify_platform.delivery import fanout, keys
from notify_platform.delivery.models import Delivery, Open
from subscriptions.models import Answer, Grant, Scene, Subscriber
from tests import factories
from tests.api.conftest import Caller

pytestmark = pytest.mark.django_db(transaction=True)
TIMES = 6


@pytest.fixture
def at_once():
    """Post the same body several times at the same moment; return the answers."""

    def at_once(headers, name, body):
        gate = threading.Barrier(TIMES)

        def post():
            try:
                gate.wait()
                return Caller(headers=headers).post(name, body)
            finally:
                connection.close()

        with ThreadPoolExecutor(TIMES) as pool:
            return [future.result() for future in [pool.submit(post) for _ in range(TIMES)]]

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
    body = {"app_id": mini_program.app_id, "openid": "o9AgO5Kd5ggOC-bXrbNODIiE3bGY"}

    answers = at_once(back_end.headers, "sessions", body)

    assert len({answer.json()["subscriber"] for answer in answers}) == 1
    assert Subscriber.objects.count() == 1
