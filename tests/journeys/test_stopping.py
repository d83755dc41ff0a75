"""Whoever is asked to stop has stopped within twenty seconds, also while WeChat hangs; nothing is doubled."""

from __future__ import annotations

from collections import Counter

import pytest

from notify_platform.core.models import WorkerNode
from notify_platform.delivery.models import Delivery
from notify_platform.insights import books, funnels
from notify_platform.jobs.models import SendJob
from notify_platform.wechat import gateway
from templates_app.models import AccessToken
from tests import factories, wechat_world
from tests.journeys.processes import descendants, is_alive
from tests.journeys.waiting import PATIENCE_SECONDS, until

PEOPLE = 200
# What systemd, and whoever waits at a keyboard, is promised.
SECONDS = 20
State = Delivery.State

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("processes")]


@pytest.fixture
def job(wechat):
    mini_program = factories.a_mini_program(pace_per_second=200)
    template = factories.a_template(mini_program)
    people = factories.subscribers(mini_program, count=PEOPLE)
    factories.grants(template, to=people)
    wechat_world.introduce(wechat, mini_program, people=people)
    return factories.a_running_job(template)


@pytest.mark.parametrize("command", ["deliver", "worker"])
def test_messages_that_hang_hold_nobody_up(command, job, wechat, spawn):
    wechat.set_faults([{"endpoint": gateway.SEND, "action": "hang"}])
    worker = spawn("manage.py", command)
    # More than there are connections: the others wait behind those that hang.
    until(lambda: Delivery.objects.filter(state=State.SENDING).count() > 20)
    family = descendants(worker.pid)

    worker.terminate()

    assert worker.wait(timeout=SECONDS) == 0
    assert [pid for pid in family if is_alive(pid)] == []
    funnel = funnels.of_job(job)
    assert set(funnel.by_state) == {State.UNKNOWN, State.WAITING}
    assert WorkerNode.objects.count() == 0
    assert books.check() == []

    wechat.set_faults([])
    assert spawn("manage.py", "deliver", "--until-idle").wait(timeout=PATIENCE_SECONDS) == 0
    assert SendJob.objects.get().state == SendJob.State.FINISHED
    assert wechat.counts().counted == PEOPLE - funnel.count(State.UNKNOWN)
    assert wechat.counts().doubles == 0
    assert books.check() == []


@pytest.mark.parametrize("command", ["deliver", "worker"])
def test_a_token_that_hangs_holds_nobody_up(command, job, wechat, spawn):
    wechat.set_faults([{"endpoint": gateway.STABLE_TOKEN, "action": "hang"}])
    worker = spawn("manage.py", command)
    until(AccessToken.objects.filter(lease_until__isnull=False).exists)

    worker.terminate()

    assert worker.wait(timeout=SECONDS) == 0
    assert funnels.of_job(job).by_state == {State.WAITING: PEOPLE}
    assert books.check() == []


def test_a_worker_asked_to_stop_settles_what_left_and_gives_back_the_rest(wechat, spawn):
    mini_program = factories.a_mini_program(pace_per_second=100)
    template = factories.a_template(mini_program)
    people = factories.subscribers(mini_program, count=300)
    factories.grants(template, to=people)
    wechat_world.introduce(wechat, mini_program, people=people, settings={"latency_ms": 100.0})
    job = factories.a_running_job(template)
    worker = spawn("manage.py", "deliver")
    until(lambda: wechat.counts().counted > 50)

    worker.terminate()

    assert worker.wait(timeout=30) == 0
    funnel = funnels.of_job(job)
    assert set(funnel.by_state) == {State.ACCEPTED, State.WAITING}
    assert funnel.accepted == wechat.counts().counted
    assert books.check() == []


def test_until_idle_ends_by_itself_when_the_job_is_done(wechat, spawn):
    mini_program = factories.a_mini_program()
    template = factories.a_template(mini_program)
    people = factories.subscribers(mini_program, count=40)
    factories.grants(template, to=people[:30])
    wechat_world.introduce(wechat, mini_program, people=people)
    job = factories.a_running_job(template)

    assert spawn("manage.py", "deliver", "--until-idle").wait(timeout=PATIENCE_SECONDS) == 0

    job.refresh_from_db()
    assert job.state == SendJob.State.FINISHED
    assert Counter(Delivery.objects.values_list("state", flat=True)) == {State.ACCEPTED: 30}
    assert wechat.counts().counted == 30
