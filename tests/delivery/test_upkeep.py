"""Around the sending: what is cancelled is cleared away, what breaks stays alone."""

from __future__ import annotations

import pytest

from notify_platform.delivery import claims, fanout, retention, upkeep
from notify_platform.delivery.models import Delivery
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob
from subscriptions.models import Audience
from tests import factories

pytestmark = pytest.mark.django_db
State = Delivery.State


def test_a_cancelled_job_ends_when_what_was_in_flight_has_come_back_too(job, take, states):
    claim = take(job, limit=1)
    jobs.cancel(job, by=factories.a_user())
    upkeep.tick()
    assert states() == {State.CANCELLED: 2, State.CLAIMED: 1}
    assert SendJob.objects.get().ended_at is None

    claims.release(claim.token, delivery_ids=[message.delivery_id for message in claim.messages])
    upkeep.tick()
    upkeep.tick()

    assert states() == {State.CANCELLED: 3}
    assert SendJob.objects.get().ended_at is not None


def test_an_audience_that_makes_no_sense_pauses_its_job_and_no_other(job, template):
    broken = Audience.objects.create(mini_program=template.mini_program, name="Broken", rule={"shoe_size": 43})
    bad = factories.a_job(template, audience=broken)
    SendJob.objects.filter(pk=bad.pk).update(state=SendJob.State.RUNNING, fanout_upto=10**9)
    good = factories.a_running_job(template)

    upkeep.tick()

    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.state, bad.pause_reason) == (SendJob.State.PAUSED, "content")
    assert "shoe_size" in bad.pause_detail
    assert good.fanned_out_at is not None


def test_a_job_that_breaks_does_not_stop_the_others(job, template, monkeypatch):
    bad, good = factories.a_running_job(template), factories.a_running_job(template)
    step = fanout.step

    def break_one(job):
        if job.pk == bad.pk:
            raise KeyError("boom")
        return step(job)

    monkeypatch.setattr(fanout, "step", break_one)
    upkeep.tick()

    good.refresh_from_db()
    assert good.fanned_out_at is not None


def test_what_cannot_be_deleted_keeps_nothing_back(template, monkeypatch):
    def break_it():
        raise KeyError("boom")

    monkeypatch.setattr(retention, "tidy", break_it)
    job = factories.a_running_job(template)

    upkeep.tick()

    job.refresh_from_db()
    assert job.fanned_out_at is not None
