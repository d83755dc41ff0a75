"""WeChat's daily limit pauses what runs, and the pause ends by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from notify_platform.core.models import AuditEvent, Bell, DriverLease, WorkerNode
from notify_platform.delivery import claims, fanout, limits, tasks, upkeep
from notify_platform.delivery.engine import Engine
from notify_platform.delivery.models import Delivery
from notify_platform.insights import books
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob
from templates_app.models import AccessToken
from tests import factories, wechat_world

pytestmark = pytest.mark.django_db
State, JobState, PauseReason = Delivery.State, SendJob.State, SendJob.PauseReason
SEND = "/cgi-bin/message/subscribe/send"
QUOTA = "/cgi-bin/openapi/quota/get"
TOKEN = "/cgi-bin/stable_token"


@pytest.fixture(autouse=True)
def noon_in_beijing(monkeypatch):
    """Whenever the tests run: jobs wait for minutes in them, and no midnight comes between."""
    monkeypatch.setattr(limits, "beijing_midnight", lambda moment: moment - timedelta(hours=12))


@pytest.fixture
def limited(wechat, mini_program, template):
    """A job of eight people that WeChat stopped after five of them, ten minutes ago."""
    people = factories.subscribers(mini_program, count=8)
    factories.grants(template, to=people)
    job = factories.a_running_job(template)
    while fanout.step(job):
        pass
    wechat_world.introduce(wechat, mini_program, people=people, settings={"daily_limit": 5})
    send(mini_program)
    pass_time(minutes=10)
    job.refresh_from_db()
    return job


def send(mini_program):
    engine = Engine(mini_program)
    try:
        engine.run_slice(seconds=5.0, stopping=lambda: False)
    finally:
        engine.close()


def pass_time(*, minutes):
    past = timedelta(minutes=minutes)
    SendJob.objects.update(paused_at=F("paused_at") - past)
    DriverLease.objects.update(until=F("until") - past)
    Delivery.objects.filter(state=State.WAITING).update(due_at=timezone.now() - timedelta(seconds=1))


def resumed():
    rows = AuditEvent.objects.filter(action="resume").order_by("pk")
    return [(row.actor, row.subject, row.detail["reason"], row.detail["detail"]) for row in rows]


def is_due():
    """Whether the worker would ring for upkeep."""
    now = timezone.now()
    WorkerNode.objects.get_or_create(name="host:1", defaults={"started_at": now, "beat_at": now, "pulse_at": now})
    return WorkerNode.objects.filter(upkeep.due()).exists()


def test_a_limit_in_mid_job_ends_when_wechat_has_quota_again_and_everybody_gets_one(
    limited, wechat, mini_program, states
):
    assert (limited.state, limited.pause_reason) == (JobState.PAUSED, PauseReason.DAILY_LIMIT)
    assert "go on by themselves" in limited.pause_detail
    assert states() == {State.ACCEPTED: 5, State.WAITING: 3}
    wechat.change_settings(daily_limit=100)

    tasks.quota(mini_program.pk)
    limited.refresh_from_db()
    assert (limited.state, limited.pause_reason, limited.pause_detail, limited.paused_at) == ("running", "", "", None)
    send(mini_program)
    upkeep.tick()

    assert states() == {State.ACCEPTED: 8}
    assert (wechat.counts().counted, wechat.counts().doubles) == (8, 0)
    assert SendJob.objects.get().state == JobState.FINISHED
    assert books.check() == []
    assert resumed() == [(None, f"job {limited.pk}", "daily_limit", "WeChat has quota again: 95 messages.")]


def test_without_quota_the_job_waits_on(limited, wechat, mini_program):
    assert limits.ask(mini_program) == 0

    limited.refresh_from_db()
    assert (limited.state, wechat.counts().calls.get(QUOTA, 0), resumed()) == (JobState.PAUSED, 1, [])


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "code", "code": 45009},
        {"action": "code", "code": 76022},
        {"action": "reset_before"},
        {"action": "garbage"},
    ],
    ids=["limited itself", "refused", "unreachable", "unreadable"],
)
def test_when_wechat_does_not_say_the_next_day_ends_the_wait(limited, wechat, mini_program, fault):
    wechat.set_faults([{"endpoint": QUOTA, **fault}])
    tasks.quota(mini_program.pk)
    pass_time(minutes=12 * 60 - 11)
    upkeep.tick()
    limited.refresh_from_db()
    assert (limited.state, resumed()) == (JobState.PAUSED, [])

    pass_time(minutes=2)
    upkeep.tick()
    upkeep.tick()

    limited.refresh_from_db()
    assert limited.state == JobState.RUNNING
    assert resumed() == [(None, f"job {limited.pk}", "daily_limit", "WeChat's day is over.")]


def test_a_replaced_token_does_not_keep_wechat_from_being_asked(limited, wechat, mini_program):
    wechat.change_settings(daily_limit=100)
    AccessToken.objects.update(token="77_" + "x" * 128)

    assert limits.ask(mini_program) == 1
    assert (wechat.counts().calls.get(QUOTA, 0), wechat.counts().calls.get(TOKEN, 0)) == (2, 2)


def test_only_what_waits_for_the_limit_goes_on(limited, wechat, mini_program, template):
    others = {reason: factories.a_running_job(template) for reason in PauseReason if reason != PauseReason.DAILY_LIMIT}
    for reason, job in others.items():
        jobs.pause_all(reason=reason, detail="x", job_ids=[job.pk])
    elsewhere = factories.a_running_job(factories.a_template(factories.a_mini_program()))
    jobs.pause_all(reason=PauseReason.DAILY_LIMIT, detail="x", job_ids=[elsewhere.pk])
    wechat.change_settings(daily_limit=100)

    assert limits.ask(mini_program) == 1
    assert set(SendJob.objects.filter(state=JobState.PAUSED)) == {*others.values(), elsewhere}

    pass_time(minutes=24 * 60)
    assert limits.begin_day() == 1
    assert set(SendJob.objects.filter(state=JobState.PAUSED)) == set(others.values())


def test_a_person_can_keep_it_from_going_on(limited, wechat, mini_program):
    wechat.change_settings(daily_limit=100)
    jobs.pause(limited, by=factories.a_user())
    pass_time(minutes=24 * 60)

    assert (limits.ask(mini_program), limits.begin_day(), wechat.counts().calls.get(QUOTA, 0)) == (0, 0, 0)
    assert (limited.state, limited.pause_reason, limited.pause_detail) == (JobState.PAUSED, PauseReason.OPERATOR, "")


def test_what_stops_running_jobs_stops_one_that_would_go_on_by_itself(limited, mini_program, template):
    assert jobs.pause_all(reason=PauseReason.DAILY_LIMIT, detail="again", mini_program=mini_program) == 0
    assert jobs.pause_all(reason=PauseReason.TEMPLATE, detail="Write it anew.", template=template) == 1
    pass_time(minutes=24 * 60)

    assert limits.begin_day() == 0
    limited.refresh_from_db()
    assert (limited.pause_reason, limited.pause_detail) == (PauseReason.TEMPLATE, "Write it anew.")


def test_upkeep_rings_ten_minutes_after_the_limit_and_then_every_ten(limited, wechat, mini_program):
    name = f"quota:{mini_program.pk}"
    SendJob.objects.update(paused_at=timezone.now() - timedelta(minutes=9))
    tasks.upkeep()
    assert (is_due(), Bell.objects.filter(name=name).exists()) == (True, False)

    pass_time(minutes=1)
    tasks.upkeep()
    assert Bell.objects.filter(name=name).exists()
    # Upkeep only rings; whoever answers asks.
    assert wechat.counts().calls.get(QUOTA, 0) == 0

    tasks.quota(mini_program.pk)
    tasks.upkeep()
    assert (wechat.counts().calls.get(QUOTA, 0), Bell.objects.filter(name=name).exists()) == (1, False)

    pass_time(minutes=10)
    tasks.upkeep()
    assert Bell.objects.filter(name=name).exists()


def test_without_the_queue_whoever_delivers_asks_ten_minutes_after_the_limit_and_then_every_ten(limited, wechat):
    SendJob.objects.update(paused_at=timezone.now() - timedelta(minutes=9))
    assert (limits.ask_in_turn(), wechat.counts().calls.get(QUOTA, 0)) == (False, 0)

    pass_time(minutes=1)
    assert [limits.ask_in_turn() for _time in range(2)] == [False, False]
    assert wechat.counts().calls[QUOTA] == 1

    wechat.change_settings(daily_limit=100)
    pass_time(minutes=10)
    assert (limits.ask_in_turn(), len(resumed())) == (True, 1)


def test_a_question_that_comes_late_or_twice_changes_nothing(limited, wechat, mini_program, states):
    wechat.change_settings(daily_limit=100)
    for _time in range(2):
        tasks.quota(mini_program.pk)
    tasks.quota(10**9)

    assert (len(resumed()), wechat.counts().calls.get(QUOTA, 0)) == (1, 1)
    assert not limits.to_ask_for()


def test_a_job_that_goes_on_too_early_waits_again(limited, wechat, mini_program, states):
    pass_time(minutes=24 * 60)
    upkeep.tick()
    send(mini_program)

    limited.refresh_from_db()
    assert (limited.state, limited.pause_reason) == (JobState.PAUSED, PauseReason.DAILY_LIMIT)
    assert timezone.now() - limited.paused_at < timedelta(minutes=1)
    assert states() == {State.ACCEPTED: 5, State.WAITING: 3}
    assert claims.reap() == (0, 0)
