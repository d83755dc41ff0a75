"""The worker, with real processes: it starts on time, heals, leaves no orphans, and stops in good order."""

from __future__ import annotations

import os
import signal
from collections import Counter
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from notify_platform.core.models import WorkerNode
from notify_platform.delivery.models import Delivery
from notify_platform.insights import books, funnels
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob
from tests import factories, wechat_world
from tests.journeys.processes import children, descendants, is_alive
from tests.journeys.waiting import until

State = Delivery.State

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("processes")]


@pytest.fixture
def stage(wechat):
    """A mini-program whose people have consent, known to WeChat."""

    def stage(*, people, pace=200, latency_ms=20.0):
        mini_program = factories.a_mini_program(pace_per_second=pace)
        template = factories.a_template(mini_program)
        persons = factories.subscribers(mini_program, count=people)
        factories.grants(template, to=persons)
        wechat_world.introduce(wechat, mini_program, people=persons, settings={"latency_ms": latency_ms})
        return template

    return stage


@pytest.fixture
def worker(spawn):
    """A running worker whose queue answers."""
    child = spawn("manage.py", "worker")
    until(
        lambda: (
            WorkerNode.objects.filter(pulse_at__gt=timezone.now() - timedelta(seconds=2)).exists()
            and descendants(child.pid)
        )
    )
    first = WorkerNode.objects.get().pulse_at
    until(lambda: WorkerNode.objects.get().pulse_at > first)
    return child


def job_state():
    return SendJob.objects.get().state


def test_a_scheduled_job_starts_within_two_seconds_of_its_time_and_is_sent(stage, worker, wechat):
    job = factories.a_job(stage(people=50))
    starts_at = timezone.now() + timedelta(seconds=1)
    SendJob.objects.filter(pk=job.pk).update(starts_at=starts_at, state=SendJob.State.SCHEDULED)

    until(lambda: job_state() == SendJob.State.FINISHED)

    job.refresh_from_db()
    assert job.started_at - starts_at < timedelta(seconds=2)
    assert Counter(Delivery.objects.values_list("state", flat=True)) == {State.ACCEPTED: 50}
    assert wechat.counts().counted == 50


def test_killing_an_idle_process_of_the_queue_heals(stage, worker):
    template = stage(people=10)
    sentinel = children(children(worker.pid)[0])[0]
    victims = children(sentinel)[:2]
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    killed_at = timezone.now()

    until(lambda: WorkerNode.objects.get().pulse_at > killed_at + timedelta(seconds=4))
    factories.a_running_job(template)
    until(lambda: job_state() == SendJob.State.FINISHED)

    assert Counter(Delivery.objects.values_list("state", flat=True)) == {State.ACCEPTED: 10}


def test_killing_the_supervisor_leaves_nobody_sending(stage, worker, wechat):
    factories.a_running_job(stage(people=2000))
    until(lambda: wechat.counts().counted > 50)
    family = descendants(worker.pid)
    assert len(family) >= 5

    worker.send_signal(signal.SIGKILL)
    worker.wait()

    until(lambda: not any(is_alive(pid) for pid in family))
    after = wechat.counts().requests
    until(lambda: wechat.health() is not None)
    assert wechat.counts().requests == after
    assert Delivery.objects.filter(state=State.WAITING).exists()


def test_killing_the_supervisor_while_its_cluster_starts_leaves_no_process(spawn):
    worker = spawn("manage.py", "worker")
    until(lambda: children(worker.pid))
    cluster = children(worker.pid)[0]

    worker.send_signal(signal.SIGKILL)
    worker.wait()

    until(lambda: not is_alive(cluster))


def test_a_worker_asked_to_stop_settles_what_left_and_leaves_no_process(stage, worker, wechat):
    job = factories.a_running_job(stage(people=2000, latency_ms=100.0))
    until(lambda: wechat.counts().counted > 50)
    family = descendants(worker.pid)

    worker.terminate()

    assert worker.wait(timeout=40) == 0
    assert [pid for pid in family if is_alive(pid)] == []
    funnel = funnels.of_job(job)
    assert set(funnel.by_state) == {State.ACCEPTED, State.WAITING}
    assert funnel.accepted == wechat.counts().counted
    assert WorkerNode.objects.count() == 0
    assert books.check() == []


def test_killing_a_driver_in_mid_campaign_doubles_nobody_and_loses_nobody(stage, worker, wechat):
    job = factories.a_running_job(stage(people=600))
    until(lambda: wechat.counts().counted > 100)
    sentinel = children(children(worker.pid)[0])[0]
    for victim in children(sentinel)[:2]:
        os.kill(victim, signal.SIGKILL)
    # What a minute would do: the holders of these leases are dead.
    Delivery.objects.filter(state__in=Delivery.IN_FLIGHT).update(lease_until=timezone.now())

    until(lambda: job_state() == SendJob.State.FINISHED)

    funnel = funnels.of_job(job)
    assert sum(funnel.by_state.values()) == 600
    assert set(funnel.by_state) <= {State.ACCEPTED, State.UNKNOWN}
    assert funnel.accepted <= wechat.counts().counted <= funnel.accepted + funnel.count(State.UNKNOWN)
    assert wechat.counts().doubles == 0
    assert books.check() == []


def test_pausing_acts_within_two_seconds(stage, worker, wechat):
    job = factories.a_running_job(stage(people=2000))
    until(lambda: wechat.counts().counted > 50)

    jobs.pause(job, by=factories.a_user())
    until(lambda: not Delivery.objects.filter(state__in=Delivery.IN_FLIGHT).exists())

    paused = wechat.counts().requests
    assert Delivery.objects.filter(state=State.WAITING).exists()
    jobs.resume(job, by=factories.a_user())
    until(lambda: wechat.counts().requests > paused)


@pytest.mark.parametrize(("name", "state"), [("pause", "paused"), ("cancel", "cancelled")])
def test_a_button_of_the_desk_stops_the_sending_within_two_seconds_of_its_pace(
    stage, worker, wechat, client, name, state
):
    """Measured in requests, by WeChat's own count: after the answer no more leave than two seconds of pace hold."""
    pace = 200
    job = factories.a_running_job(stage(people=3000, pace=pace))
    client.force_login(factories.a_user(is_staff=True, is_superuser=True))
    until(lambda: wechat.counts().requests > 50)

    assert client.post(reverse("admin:jobs_sendjob_do", args=[job.pk, name])).status_code == 302
    at_the_answer = wechat.counts().requests
    until(lambda: not Delivery.objects.filter(job=job, state__in=Delivery.IN_FLIGHT).exists())
    until(lambda: name == "pause" or not Delivery.objects.filter(job=job, state=State.WAITING).exists())

    stopped = wechat.counts().requests
    assert stopped - at_the_answer <= 2 * pace
    job.refresh_from_db()
    assert job.state == state
    left = {"pause": State.WAITING, "cancel": State.CANCELLED}[name]
    assert funnels.of_job(job).count(left) == 3000 - stopped
    if name == "pause":
        client.post(reverse("admin:jobs_sendjob_do", args=[job.pk, "resume"]))
        until(lambda: wechat.counts().requests > stopped)
