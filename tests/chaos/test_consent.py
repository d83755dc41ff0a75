"""People agree, phones report, WeChat pushes, jobs run, and the worker is killed at any moment: the books stay true."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest
import requests
from django.utils import timezone

from notify_platform.api import sessions
from notify_platform.callbacks.models import CallbackEvent
from notify_platform.delivery.models import Delivery
from notify_platform.insights import books
from notify_platform.jobs.models import SendJob
from subscriptions.models import Grant
from tests import factories, wechat_world
from tests.chaos.campaign import let_leases_lapse, stop
from tests.journeys.waiting import until

# `make chaos` plays many.
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "1"))
PEOPLE = 25
DEEDS = 150
KILLS = 3

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("processes")]


class Phones:
    """What people do in the mini-program, over HTTP as their phones do it."""

    def __init__(self, wechat, template, *, people, web, dice) -> None:
        self.wechat, self.template, self.dice = wechat, template, dice
        self.app_id = template.mini_program.app_id
        self.address = f"{web}/api/v1/authorizations"
        self.people = list(people)
        self.asked: dict[int, float] = {}
        self.numbers = 0

    def do_something(self) -> None:
        # WeChat tells two equal answers of one person in one second apart from a repetition as little as we do.
        rested = [one for one in self.people if time.monotonic() - self.asked.get(one.pk, 0.0) > 1.5]
        if not rested:
            return
        person = self.dice.choice(rested)
        self.asked[person.pk] = time.monotonic()
        if self.dice.random() < 0.03:
            # Asked no more: of a yes and a no in the same second WeChat's pushes do not say which was first.
            self.people.remove(person)
            self.wechat.turn_off(self.app_id, person.openid, self.template.wechat_id)
            return
        word = "reject" if self.dice.random() < 0.1 else "accept"
        result = self.wechat.popup(self.app_id, person.openid, {self.template.wechat_id: word})
        if self.dice.random() < 0.9:
            self._report(person, result, times=self.dice.choice([1, 1, 2]))

    def _report(self, person, result, *, times: int) -> None:
        self.numbers += 1
        token = sessions.begin(self.template.mini_program, openid=person.openid).token
        words = {key: word for key, word in result.items() if key == self.template.wechat_id}
        body = {"scene": "paid", "results": words, "client_request_id": f"chaos-request-{self.numbers}"}
        for _ in range(times):
            answer = requests.post(self.address, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=30)
            assert answer.status_code == 200, answer.text


def everything_is_handled() -> bool:
    # A push about a message that is still leaving is tried ten times, minutes apart: hurried, it would be given up.
    if SendJob.objects.exclude(state=SendJob.State.FINISHED).exists():
        return False
    pending = CallbackEvent.objects.filter(state=CallbackEvent.State.PENDING)
    pending.update(due_at=timezone.now())
    return not pending.exists()


def ours(template, people) -> dict[str, int]:
    """What each could still be sent: in stock, or held for a request of which WeChat has never told."""
    stock = Grant.objects.filter(template=template, state__in=[Grant.State.AVAILABLE, Grant.State.RESERVED])
    held = list(stock.values_list("subscriber__openid", flat=True))
    return {person.openid: held.count(person.openid) for person in people}


@pytest.mark.parametrize("number", range(ROUNDS))
def test_our_books_and_wechats_are_the_same_after_kills_at_any_moment(number, wechat, web, spawn):
    dice = random.Random(number)
    mini_program = factories.a_mini_program(pace_per_second=100)
    template = factories.a_template(mini_program)
    mini_program.scenes.create(code="paid", name="支付成功页").asks.create(template=template)
    people = factories.subscribers(mini_program, count=PEOPLE)
    callback_url = f"{web}/wechat/callback/{mini_program.app_id}"
    world = {"latency_ms": 30.0}
    wechat_world.introduce(wechat, mini_program, people=people, units=0, callback_url=callback_url, settings=world)
    wechat.set_faults([{"endpoint": "/cgi-bin/message/subscribe/send", "action": "reset_after", "rate": 0.05}])
    phones = Phones(wechat, template, people=people, web=web, dice=dice)
    kills = set(dice.sample(range(DEEDS // 5, DEEDS), KILLS))

    worker = spawn("manage.py", "deliver")
    for deed in range(DEEDS):
        phones.do_something()
        if deed % 20 == 19:
            factories.a_running_job(template)
        if deed in kills:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            let_leases_lapse()
            worker = spawn("manage.py", "deliver")
    assert wechat.wait_for_pushes(timeout_s=30.0)
    until(everything_is_handled)
    assert wechat.wait_for_pushes(timeout_s=30.0)
    until(everything_is_handled)
    stop(worker)

    # A push that was given up and a phone that did not report: nobody has told us.
    assert wechat.counts().pushes.failed == 0
    assert not CallbackEvent.objects.filter(state=CallbackEvent.State.FAILED).exists()
    theirs = {row.openid: row.balance for row in wechat.ledger(mini_program.app_id)}
    assert ours(template, people) == {person.openid: theirs.get(person.openid, 0) for person in people}
    came = Delivery.objects.filter(state__in=[Delivery.State.ACCEPTED, Delivery.State.DELIVERED]).count()
    assert came == wechat.counts().counted
    assert wechat.counts().refused_by_code.get(43108, 0) == 0
    assert books.check() == []
