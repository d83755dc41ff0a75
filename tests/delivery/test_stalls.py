"""Why a running job sends nothing."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

import pytest
from django.utils import timezone

from notify_platform.core.models import Bell, WorkerNode
from notify_platform.delivery import pacing, speed, stalls
from notify_platform.delivery.models import Delivery, Reason, Throughput
from notify_platform.delivery.stalls import Cause
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob
from templates_app.models import AccessToken, MiniProgram
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def job() -> SendJob:
    """A job that has been running for three minutes, with a message due, all well but that nothing leaves."""
    now = timezone.now()
    template = factories.a_template(factories.a_mini_program())
    job = factories.a_running_job(template)
    a_row(job)
    WorkerNode.objects.create(name="host:1", started_at=now, beat_at=now, pulse_at=now)
    AccessToken.objects.create(
        mini_program=template.mini_program, token="t", fetched_at=now, expires_at=now + timedelta(hours=1)
    )
    SendJob.objects.filter(pk=job.pk).update(started_at=now - timedelta(minutes=3), fanned_out_at=now)
    job.refresh_from_db()
    return job


def a_row(job: SendJob, **values: Any) -> Delivery:
    (person,) = factories.subscribers(job.mini_program, count=1)
    return Delivery.objects.create(
        mini_program=job.mini_program, job=job, variant=job.variants.get(), template=job.template, subscriber=person,
        is_counted=True, **({"due_at": timezone.now() - timedelta(seconds=5)} | values),
    )  # fmt: skip


def cause(job: SendJob) -> Cause | None:
    job.refresh_from_db()
    stall = stalls.of_job(job)
    return stall.cause if stall else None


def test_a_job_that_sends_does_not_stand_still(job: SendJob) -> None:
    speed.note({job.pk: 5})
    assert cause(job) is None


def test_within_two_minutes_nobody_is_alarmed(job: SendJob) -> None:
    SendJob.objects.filter(pk=job.pk).update(started_at=timezone.now() - timedelta(minutes=1))
    assert cause(job) is None


def test_a_job_with_nothing_left_does_not_stand_still(job: SendJob) -> None:
    Delivery.objects.all().delete()
    assert cause(job) is None


def test_a_paused_job_has_its_own_reason(job: SendJob) -> None:
    jobs.pause(job, by=factories.a_user())
    assert cause(job) is None


def test_an_audience_that_is_being_counted_does_not_stand_still(job: SendJob) -> None:
    SendJob.objects.filter(pk=job.pk).update(fanned_out_at=None)
    assert cause(job) is None


def test_quiet_hours_are_told_at_once_with_their_end(job: SendJob) -> None:
    until = timezone.now() + timedelta(hours=2)
    Delivery.objects.update(due_at=until, reason=Reason.QUIET_HOURS)
    speed.note({job.pk: 5})
    stall = stalls.of_job(job)
    assert stall is not None
    assert (stall.cause, stall.until, stall.reason) == (Cause.CLOCK, until, "quiet_hours")


def test_a_used_up_day_is_told_at_once_with_its_end_in_beijing(job: SendJob) -> None:
    speed.note({job.pk: 5})
    MiniProgram.objects.update(daily_budget=5)
    pacing.book(pacing.pace_of(job.mini_program), count=5, per_second=50)
    job.refresh_from_db()
    stall = stalls.of_job(job)
    assert stall is not None
    assert stall.until is not None
    assert stall.cause is Cause.BUDGET
    assert timedelta(0) < stall.until - timezone.now() <= timedelta(days=1)
    assert f"{stall.until.astimezone(UTC):%H:%M:%S}" == "16:00:00"


def test_without_a_worker_nothing_is_sent(job: SendJob) -> None:
    WorkerNode.objects.update(beat_at=timezone.now() - timedelta(seconds=20))
    assert cause(job) is Cause.NO_WORKER


def test_a_queue_that_does_not_answer_is_named(job: SendJob) -> None:
    Bell.objects.create(name="deliver:1", rung_at=timezone.now() - timedelta(minutes=2))
    assert cause(job) is Cause.QUEUE


@pytest.mark.parametrize("expires_in", [None, timedelta(minutes=-1)])
def test_a_missing_token_is_named(job: SendJob, expires_in: timedelta | None) -> None:
    AccessToken.objects.update(expires_at=timezone.now() + expires_in if expires_in else None)
    assert cause(job) is Cause.TOKEN


def test_a_pace_that_is_held_is_told_with_its_end(job: SendJob) -> None:
    pacing.hold(pacing.pace_of(job.mini_program), seconds=60)
    stall = stalls.of_job(job)
    assert stall is not None
    assert stall.until is not None
    assert stall.cause is Cause.PACE_HELD
    assert timedelta(seconds=50) < stall.until - timezone.now() <= timedelta(seconds=60)


def test_nothing_of_all_that_is_told_as_such(job: SendJob) -> None:
    assert cause(job) is Cause.UNCLEAR


def test_speed_is_that_of_the_last_half_minute_and_old_notes_go(job: SendJob) -> None:
    Throughput.objects.create(job=job, at=timezone.now() - timedelta(hours=2), messages=1000)
    Throughput.objects.create(job=job, at=timezone.now() - timedelta(minutes=5), messages=1000)
    assert speed.of_jobs([job.pk])[job.pk].per_second == 0
    speed.note({job.pk: 300})
    found = speed.of_jobs([job.pk])[job.pk]
    assert 30 < found.per_second <= 60
    assert found.seconds_for(0) == 0
    assert Throughput.objects.count() == 2
