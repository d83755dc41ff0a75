"""Which other jobs meet a job on its days."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from notify_platform.jobs import conflicts
from notify_platform.jobs.models import SendJob, Series
from subscriptions.models import Audience
from templates_app.models import MessageTemplate
from tests import factories

pytestmark = pytest.mark.django_db
SHANGHAI = ZoneInfo("Asia/Shanghai")
State = SendJob.State


@pytest.fixture
def template() -> MessageTemplate:
    return factories.a_template(factories.a_mini_program())


def in_three_days(hour: int) -> datetime:
    day = timezone.now().astimezone(SHANGHAI) + timedelta(days=3)
    return day.replace(hour=hour, minute=0, second=0, microsecond=0)


def others(job: SendJob) -> list[tuple[SendJob, bool, bool]]:
    return [(found.job, found.same_audience, found.same_template) for found in conflicts.of_job(job)]


def test_a_job_of_the_same_day_is_told_with_what_it_shares(template: MessageTemplate) -> None:
    program = template.mini_program
    elsewhere = Audience.objects.create(mini_program=program, name="Elsewhere")
    job = factories.a_job(template, starts_at=in_three_days(20))
    both = factories.a_job(template, state=State.SCHEDULED, starts_at=in_three_days(9))
    people = factories.a_job(factories.a_template(program), state=State.SUBMITTED, starts_at=in_three_days(10))
    stock = factories.a_job(template, audience=elsewhere, state=State.SCHEDULED, starts_at=in_three_days(11))
    factories.a_job(
        factories.a_template(program), audience=elsewhere, state=State.SCHEDULED, starts_at=in_three_days(9)
    )
    assert others(job) == [(both, True, True), (people, True, False), (stock, False, True)]


@pytest.mark.parametrize(
    ("state", "hours", "meets"),
    [
        (State.DRAFT, 0, False),
        (State.CANCELLED, 0, False),
        (State.SCHEDULED, 0, True),
        (State.SCHEDULED, 24, False),
        (State.SCHEDULED, -24, False),
    ],
)
def test_only_what_will_go_out_on_these_days_counts(
    template: MessageTemplate, state: SendJob.State, hours: int, meets: bool
) -> None:
    job = factories.a_job(template, starts_at=in_three_days(12))
    factories.a_job(template, state=state, starts_at=in_three_days(12) + timedelta(hours=hours))
    assert len(conflicts.of_job(job)) == int(meets)


def test_a_deadline_makes_a_job_last_for_days(template: MessageTemplate) -> None:
    job = factories.a_job(template, starts_at=in_three_days(12), not_after=in_three_days(12) + timedelta(days=1))
    factories.a_job(template, state=State.SCHEDULED, starts_at=in_three_days(23) + timedelta(days=1))
    assert len(conflicts.of_job(job)) == 1


def test_what_waits_for_somebody_to_press_start_may_go_on_any_day(template: MessageTemplate) -> None:
    job = factories.a_job(template, starts_at=in_three_days(12))
    waiting = factories.a_job(template, state=State.SCHEDULED)
    assert others(job) == [(waiting, True, True)]


def test_what_runs_or_went_out_today_meets_a_job_of_today_only(template: MessageTemplate) -> None:
    running = factories.a_running_job(template)
    today = factories.a_job(template)
    later = factories.a_job(template, starts_at=in_three_days(12))
    assert (others(today), others(later)) == ([(running, True, True)], [])
    SendJob.objects.filter(pk=running.pk).update(state=State.FINISHED)
    assert (len(others(today)), others(later)) == (1, [])


@pytest.mark.parametrize(("days", "meets"), [(0, True), (7, False)])
def test_the_pattern_of_a_series_meets_a_job_on_its_next_day(template: MessageTemplate, days: int, meets: bool) -> None:
    weekly = Series.objects.create(
        mini_program=template.mini_program,
        name="Weekly",
        weekdays=[1],
        at_time="09:00",
        starts_on="2026-11-23",
        next_at=in_three_days(9) + timedelta(days=days),
    )
    pattern = factories.a_job(template, state=State.SCHEDULED, series=weekly)
    job = factories.a_job(template, starts_at=in_three_days(12))
    assert (len(others(job)), len(others(pattern))) == (int(meets), 0)
    SendJob.objects.filter(pk=job.pk).update(state=State.SCHEDULED)
    assert len(others(pattern)) == int(meets)


def test_a_job_does_not_meet_itself_nor_another_mini_programs(template: MessageTemplate) -> None:
    job = factories.a_job(template, state=State.SCHEDULED)
    factories.a_job(factories.a_template(factories.a_mini_program()), state=State.SCHEDULED)
    assert conflicts.of_job(job) == []
