"""kill -9 at random instants: no double, none lost, and unknown is exactly what was armed and never counted."""

from __future__ import annotations

import random
import signal

import pytest

from notify_platform.core.models import WorkerNode
from tests.chaos.campaign import a_campaign, freeze, kill, stop
from tests.chaos.sizes import SIZE
from tests.journeys.processes import children, descendants
from tests.journeys.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("processes")]


def moments(dice: random.Random, *, people: int, count: int) -> list[int]:
    """At how many counted messages something happens: any number, near its end too."""
    return sorted(dice.sample(range(people), count))


def test_kill_nine(wechat, web, spawn, record):
    dice = random.Random(1126)
    campaign = a_campaign(wechat, people=SIZE.people, callback_url=web)

    worker = spawn("manage.py", "deliver")
    for moment in moments(dice, people=SIZE.people, count=SIZE.kills):
        campaign.reach(moment)
        worker.kill()
        worker.wait()
        campaign.note_the_armed()
        worker = spawn("manage.py", "deliver")
    campaign.finish()
    stop(worker)

    figures = campaign.figures()
    record({"kills": SIZE.kills} | figures)
    # After the sent events only what WeChat never counted is unknown.
    assert figures["pushes given up"] == 0
    assert figures["unknown, never counted"] == figures["unknown"] <= figures["armed"]
    assert figures["unknown, not armed when somebody died"] == 0


def test_queue_killed_and_frozen(wechat, web, spawn, record):
    """The cluster, its guard, its workers: one of them or all at once, killed or frozen; the supervisor mends it."""
    dice = random.Random(1127)
    times = 2 * SIZE.freezes
    people = 500 * (times + 1)
    campaign = a_campaign(wechat, people=people, callback_url=web)
    worker = spawn("manage.py", "worker")
    blows = [(deed, whole) for whole in (True, False) for deed in (kill, freeze)] * times
    for number, moment in enumerate(moments(dice, people=people, count=times)):
        campaign.reach(moment)
        until(lambda: children(worker.pid))
        deed, whole = blows[number]
        cluster = children(worker.pid)[0]
        victim = cluster if whole else dice.choice([cluster, *descendants(cluster)])
        deed(victim, group=whole)
        campaign.note_the_armed()
    campaign.finish()
    stop(worker)

    assert WorkerNode.objects.count() == 0
    figures = campaign.figures()
    record({"blows": times} | figures)
    assert figures["pushes given up"] == 0
    assert figures["unknown, never counted"] == figures["unknown"] <= figures["armed"]


def test_sleep_past_the_lease(wechat, web, spawn, record):
    """Two workers; one is frozen until its leases have lapsed, the other goes on, the first wakes up."""
    dice = random.Random(1128)
    people = 600 * SIZE.freezes
    campaign = a_campaign(wechat, people=people, callback_url=web)
    workers = [spawn("manage.py", "deliver") for _ in range(2)]

    for moment in moments(dice, people=people - 150, count=SIZE.freezes):
        campaign.reach(moment)
        sleeper = dice.choice(workers)
        freeze(sleeper.pid)
        campaign.note_the_armed()
        campaign.reach(min(people - 100, campaign.counted + 100))
        sleeper.send_signal(signal.SIGCONT)
    campaign.finish()
    stop(*workers)

    figures = campaign.figures()
    record({"freezes": SIZE.freezes} | figures)
    assert figures["pushes given up"] == 0
    assert figures["unknown, never counted"] == figures["unknown"] <= figures["armed"]
