"""A campaign whose worker is killed in the middle, three times: no double, none lost, nobody over-served."""

from __future__ import annotations

import signal
from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from notify_platform.callbacks.models import CallbackEvent
from notify_platform.delivery.models import Delivery
from notify_platform.insights import books, funnels
from notify_platform.jobs.models import SendJob
from tests import factories, wechat_world
from tests.journeys.waiting import PATIENCE_SECONDS, until

PEOPLE = 600
KILLS = 3
State = Delivery.State

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("processes")]


def counted(wechat):
    return wechat.counts().counted


def let_leases_lapse():
    """What a minute would do: the holder of these leases is dead."""
    Delivery.objects.filter(state__in=Delivery.IN_FLIGHT).update(lease_until=timezone.now() - timedelta(seconds=1))


def test_kill_nine_in_the_middle_doubles_nobody_and_loses_nobody(wechat, web, spawn):
    mini_program = factories.a_mini_program(pace_per_second=200)
    template = factories.a_template(mini_program)
    people = factories.subscribers(mini_program, count=PEOPLE)
    factories.grants(template, to=people)
    callback_url = f"{web}/wechat/callback/{mini_program.app_id}"
    wechat_world.introduce(
        wechat, mini_program, people=people, callback_url=callback_url, settings={"latency_ms": 50.0}
    )
    wechat.set_faults([{"endpoint": "/cgi-bin/message/subscribe/send", "action": "reset_after", "rate": 0.01}])
    job = factories.a_running_job(template)

    armed_at_the_kills = 0
    for kill in range(KILLS):
        worker = spawn("manage.py", "deliver")
        enough = counted(wechat) + PEOPLE // 6
        until(lambda enough=enough: counted(wechat) > enough)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        armed_at_the_kills += Delivery.objects.filter(state=State.SENDING).count()
        assert Delivery.objects.filter(state__in=Delivery.OPEN).exists(), f"kill {kill} came too late"
        let_leases_lapse()
    worker = spawn("manage.py", "deliver")
    until(lambda: SendJob.objects.get().state == SendJob.State.FINISHED)
    assert wechat.wait_for_pushes(timeout_s=30.0)
    CallbackEvent.objects.filter(state=CallbackEvent.State.PENDING).update(due_at=timezone.now())
    until(lambda: not CallbackEvent.objects.filter(state=CallbackEvent.State.PENDING).exists())
    worker.terminate()
    assert worker.wait(timeout=30) == 0

    funnel = funnels.of_job(job)
    assert funnel.audience == PEOPLE
    assert sum(funnel.by_state.values()) == PEOPLE
    assert set(funnel.by_state) <= {State.DELIVERED, State.UNKNOWN}
    assert funnel.count(State.UNKNOWN) <= armed_at_the_kills
    assert counted(wechat) == funnel.accepted
    assert wechat.counts().doubles == 0
    cards = Counter(row.openid for row in wechat.deliveries(mini_program.app_id))
    assert set(cards.values()) == {1}
    assert [row for row in wechat.ledger(mini_program.app_id) if row.counted > row.granted] == []
    assert books.check() == []


def test_a_worker_asked_to_stop_settles_what_left_and_gives_back_the_rest(wechat, spawn):
    mini_program = factories.a_mini_program(pace_per_second=100)
    template = factories.a_template(mini_program)
    people = factories.subscribers(mini_program, count=300)
    factories.grants(template, to=people)
    wechat_world.introduce(wechat, mini_program, people=people, settings={"latency_ms": 100.0})
    job = factories.a_running_job(template)
    worker = spawn("manage.py", "deliver")
    until(lambda: counted(wechat) > 50)

    worker.terminate()

    assert worker.wait(timeout=30) == 0
    funnel = funnels.of_job(job)
    assert set(funnel.by_state) == {State.ACCEPTED, State.WAITING}
    assert funnel.accepted == counted(wechat)
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
    assert counted(wechat) == 30
