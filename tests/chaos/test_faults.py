"""Every fault of WeChat and of the way to it, now and then or always; then it passes, and the job goes on."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from notify_platform.delivery import engine as engine_module
from notify_platform.delivery import upkeep
from notify_platform.delivery.engine import Engine
from notify_platform.delivery.models import Delivery, Pace
from notify_platform.insights import books, funnels
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob
from notify_platform.mirror import sync
from notify_platform.wechat import gateway
from notify_platform.wechat.courier import Courier
from tests import factories
from tests.chaos.campaign import a_campaign
from tests.chaos.sizes import SIZE

pytestmark = pytest.mark.django_db(transaction=True)
State, Pause = Delivery.State, SendJob.PauseReason
PEOPLE = 80
SLICES = 3
# What WeChat does to a send → why the job is paused when it does so to all of them.
FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "busy": ({"action": "code", "code": -1}, ""),
    "token expired": ({"action": "code", "code": 42001}, Pause.ACCOUNT),
    "token replaced": ({"action": "code", "code": 40001}, Pause.ACCOUNT),
    "daily limit": ({"action": "code", "code": 45009}, Pause.DAILY_LIMIT),
    "minute limit": ({"action": "code", "code": 45011}, ""),
    "concurrent": ({"action": "code", "code": 43108}, ""),
    "not subscribed": ({"action": "code", "code": 43101}, ""),
    "bad user": ({"action": "code", "code": 40003}, ""),
    "bad data": ({"action": "code", "code": 47003}, Pause.CONTENT),
    "bad page": ({"action": "code", "code": 41030}, Pause.CONTENT),
    "bad template": ({"action": "code", "code": 40037}, Pause.TEMPLATE),
    "banned": ({"action": "code", "code": 48004}, Pause.ACCOUNT),
    "address not on the list": ({"action": "code", "code": 40164}, Pause.ACCOUNT),
    "a code nobody knows": ({"action": "code", "code": 99999}, Pause.CONTENT),
    "hang": ({"action": "hang"}, ""),
    "reset before it counted": ({"action": "reset_before"}, ""),
    "reset after it counted": ({"action": "reset_after"}, ""),
    "502 before it counted": ({"action": "status_before", "http_status": 502}, ""),
    "502 after it counted": ({"action": "status_after", "http_status": 502}, ""),
    "503 at the door": ({"action": "status_before", "http_status": 503}, ""),
    "garbage": ({"action": "garbage"}, ""),
    "late": ({"action": "delay", "delay_ms": 300}, ""),
}
# After these a message may have been counted or not: it stays unknown, and is never sent again.
AMBIGUOUS = ("hang", "reset", "502", "garbage")
# Of these some or all are refused for good.
FINAL = {"busy", "concurrent", "not subscribed", "bad user", "bad data", "bad page", "bad template", "banned",
         "a code nobody knows", "token expired", "token replaced"}  # fmt: skip


@pytest.fixture(autouse=True)
def short_patience(monkeypatch, settings):
    """A hang is given up after a second instead of thirteen."""

    def impatient(mini_program, *, concurrency):
        url = settings.WECHAT_API_BASE_URL
        return Courier(base_url=url, concurrency=concurrency, connect_timeout=0.5, read_timeout=0.5)

    monkeypatch.setattr(engine_module, "courier_for", impatient)


def send(campaign, *, slices=1):
    """So many slices, with all the time between them that anybody waits for."""
    engine = Engine(campaign.job.mini_program)
    try:
        for _ in range(slices):
            engine.run_slice(seconds=5.0, stopping=lambda: False)
            upkeep.tick()
            Delivery.objects.filter(state=State.WAITING).update(due_at=timezone.now())
            Pace.objects.update(next_slot_us=0, booked=F("booked"))
    finally:
        engine.close()


@pytest.mark.parametrize("rate", SIZE.rates)
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_passes(name, rate, wechat):
    fault, pause_reason = FAULTS[name]
    campaign = a_campaign(wechat, people=PEOPLE, latency_ms=0.0, pace=2000)
    upkeep.tick()
    wechat.set_faults([{"endpoint": gateway.SEND, "rate": rate, **fault}])
    send(campaign, slices=SLICES)

    job = SendJob.objects.get()
    if rate == 1.0 and pause_reason:
        assert (job.state, job.pause_reason) == (SendJob.State.PAUSED, pause_reason)
        assert job.pause_detail
    assert_true_so_far(campaign)

    wechat.set_faults([])
    # What an operator would do: a template WeChat did not know is looked up again, a paused job resumed.
    sync.sync(campaign.job.mini_program)
    for _ in range(10):
        job.refresh_from_db()
        if job.state == SendJob.State.PAUSED:
            jobs.resume(job, by=factories.a_user())
        send(campaign)
        if SendJob.objects.get().state == SendJob.State.FINISHED:
            break
    funnel = assert_true_so_far(campaign)
    assert SendJob.objects.get().state == SendJob.State.FINISHED
    if name not in FINAL:
        assert funnel.count(State.FAILED) == 0
    if not name.startswith(AMBIGUOUS):
        assert funnel.count(State.UNKNOWN) == 0


def assert_true_so_far(campaign):
    """At any moment between two slices."""
    funnel, counts = funnels.of_job(campaign.job), campaign.wechat.counts()
    assert sum(funnel.by_state.values()) == PEOPLE
    assert counts.doubles == 0
    cards = Counter(row.openid for row in campaign.wechat.deliveries(campaign.job.mini_program.app_id))
    assert set(cards.values()) <= {1}
    assert funnel.accepted <= counts.counted <= funnel.accepted + funnel.count(State.UNKNOWN)
    assert books.check() == []
    return funnel
