"""A series: approved once, one job for each occurrence, never two."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connections, transaction
from django.db.models.signals import pre_save
from django.utils import timezone

from notify_platform.core.errors import Refused
from notify_platform.core.models import AuditEvent
from notify_platform.delivery import upkeep
from notify_platform.jobs import jobs, series, versions
from notify_platform.jobs.models import SendJob, Series
from templates_app.models import MiniProgram
from tests import factories

State = SendJob.State
SHANGHAI = ZoneInfo("Asia/Shanghai")
TODAY = timezone.localdate()
EVERY_DAY = range(1, 8)


@pytest.fixture
def composer(db: None) -> User:
    return factories.a_user()


@pytest.fixture
def draft(composer: User) -> SendJob:
    template = factories.a_template(factories.a_mini_program(approval_threshold=0))
    factories.grants(template, to=factories.subscribers(template.mini_program, count=2))
    return factories.a_job(template, created_by=composer, pace_per_second=9)


def repeat(job: SendJob, *, by: User, **changes: Any) -> Series:
    values: dict[str, Any] = {
        "weekdays": EVERY_DAY, "at_time": time(9), "starts_on": TODAY, "ends_on": None, "within_hours": 12,
    }  # fmt: skip
    return series.schedule(job, by=by, **(values | changes))


def agree(job: SendJob) -> None:
    jobs.submit(job, by=job.created_by)
    jobs.approve(job, by=factories.a_user())


@pytest.fixture
def running(draft: SendJob, composer: User) -> Series:
    """An approved series of every day at nine."""
    row = repeat(draft, by=composer)
    agree(draft)
    SendJob.objects.filter(pk=draft.pk).update(approved_at=timezone.now() - timedelta(days=30))
    return row


def move_next(row: Series, *, at: datetime) -> None:
    """Let the time of the next occurrence be this one, today."""
    local = at.astimezone(SHANGHAI)
    Series.objects.filter(pk=row.pk).update(
        next_at=at, at_time=local.time(), starts_on=local.date() - timedelta(days=20)
    )


def soon() -> datetime:
    return (timezone.now() + timedelta(minutes=2)).replace(second=0, microsecond=0)


def made() -> Iterator[SendJob]:
    yield from SendJob.objects.filter(occurrence__isnull=False).order_by("occurrence")


# --- setting it ------------------------------------------------------------------------------------------------------


def test_a_draft_becomes_the_pattern_of_a_series(draft: SendJob, composer: User) -> None:
    SendJob.objects.filter(pk=draft.pk).update(starts_at=timezone.now(), not_after=timezone.now())
    row = repeat(draft, by=composer, weekdays=[3, 1, 3])
    draft.refresh_from_db()
    assert (draft.series, draft.is_pattern, draft.starts_at, draft.not_after) == (row, True, None, None)
    assert (row.name, row.weekdays, row.is_active) == (draft.name, [1, 3], True)
    assert row.next_at is not None
    assert row.next_at.astimezone(SHANGHAI).time() == time(9)
    assert row.next_at.astimezone(SHANGHAI).isoweekday() in {1, 3}
    assert list(AuditEvent.objects.filter(action="repeat").values_list("actor", "subject")) == [
        (composer.pk, f"job {draft.pk}")
    ]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"weekdays": []}, "weekdays"),
        ({"weekdays": [8]}, "weekdays"),
        ({"ends_on": TODAY - timedelta(days=1)}, "ends_on"),
        ({"starts_on": date(2020, 1, 1), "ends_on": date(2020, 2, 1)}, "ends_on"),
        ({"within_hours": 24}, "within_hours"),
        ({"within_hours": 0}, "within_hours"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused_and_changes_nothing(
    draft: SendJob, composer: User, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(Refused) as refused:
        repeat(draft, by=composer, **changes)
    draft.refresh_from_db()
    assert (list(refused.value.fields), Series.objects.count(), draft.series) == ([field], 0, None)


def test_each_draft_gets_a_series_of_its_own(draft: SendJob, composer: User) -> None:
    other = factories.a_job(draft.template, created_by=composer)
    assert repeat(draft, by=composer, weekdays=[1]) != repeat(other, by=composer, weekdays=[2])
    assert [row.weekdays for row in Series.objects.order_by("pk")] == [[1], [2]]
    assert [job.series.weekdays for job in SendJob.objects.order_by("pk") if job.series] == [[1], [2]]


def test_only_a_draft_gets_a_schedule(draft: SendJob, composer: User) -> None:
    row = repeat(draft, by=composer)
    agree(draft)
    before = Series.objects.values().get()
    with pytest.raises(Refused):
        repeat(draft, by=composer, weekdays=[5])
    with pytest.raises(Refused):
        series.unschedule(draft, by=composer)
    assert Series.objects.values().get() == before
    jobs.reopen(draft, by=composer)
    assert repeat(draft, by=composer, weekdays=[5]) == row
    assert Series.objects.get().weekdays == [5]


def test_a_draft_can_be_sent_once_after_all(draft: SendJob, composer: User) -> None:
    repeat(draft, by=composer)
    series.unschedule(draft, by=composer)
    assert (draft.series, Series.objects.count()) == (None, 0)


def test_a_pattern_is_never_sent_itself(running: Series, draft: SendJob) -> None:
    with pytest.raises(Refused):
        jobs.start(draft)
    SendJob.objects.filter(pk=draft.pk).update(starts_at=timezone.now() - timedelta(minutes=1))
    assert jobs.start_due() == 0
    draft.refresh_from_db()
    assert draft.state == State.SCHEDULED


# --- coming again ----------------------------------------------------------------------------------------------------


def test_a_job_is_made_shortly_before_its_time_as_it_was_agreed_to(running: Series, draft: SendJob) -> None:
    move_next(running, at=timezone.now() + timedelta(hours=3))
    assert (series.make_due(), list(made())) == (0, [])
    at = soon()
    move_next(running, at=at)
    assert series.make_due() == 1
    (job,) = made()
    assert (job.state, job.starts_at, job.not_after) == (State.SCHEDULED, at, at + timedelta(hours=12))
    assert (job.series, job.occurrence) == (running, at.astimezone(SHANGHAI).date())
    assert (job.template, job.audience, job.pace_per_second) == (draft.template, draft.audience, 9)
    assert (job.created_by, job.approved_by_id is not None) == (draft.created_by, True)
    assert [one.texts for one in job.variants.all()] == [one.texts for one in draft.variants.all()]
    running.refresh_from_db()
    assert running.next_at == at + timedelta(days=1)
    assert (series.make_due(), len(list(made()))) == (0, 1)


def test_the_worker_makes_it_and_sends_it(running: Series) -> None:
    move_next(running, at=timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=1))
    assert Series.objects.filter(pk__in=series.due()).exists()
    upkeep.tick()
    upkeep.tick()
    (job,) = made()
    assert (job.state, job.audience_size) == (State.RUNNING, 2)


def test_a_start_missed_for_a_while_is_made_up_for(running: Series) -> None:
    move_next(running, at=timezone.now().replace(second=0, microsecond=0) - timedelta(hours=11))
    series.make_due()
    assert [job.state for job in made()] == [State.SCHEDULED]


def test_a_start_missed_for_too_long_is_dropped_and_noted(running: Series) -> None:
    at = timezone.now().replace(second=0, microsecond=0) - timedelta(hours=13)
    move_next(running, at=at)
    series.make_due()
    running.refresh_from_db()
    assert (list(made()), running.next_at) == ([], at + timedelta(days=1))
    assert AuditEvent.objects.filter(action="miss", subject=f"series {running.pk}").count() == 1


def test_after_days_of_downtime_only_the_last_time_counts(running: Series) -> None:
    at = timezone.now().replace(second=0, microsecond=0) - timedelta(hours=1)
    move_next(running, at=at - timedelta(days=6))
    while series.make_due():
        pass
    assert [job.occurrence for job in made()] == [at.astimezone(SHANGHAI).date()]


def test_what_came_before_the_approval_is_never_sent(running: Series, draft: SendJob) -> None:
    SendJob.objects.filter(pk=draft.pk).update(approved_at=timezone.now())
    move_next(running, at=timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=1))
    series.make_due()
    assert list(made()) == []


@pytest.mark.parametrize("verb", [jobs.reopen, jobs.cancel])
def test_a_pattern_that_is_not_agreed_to_makes_nothing(running: Series, draft: SendJob, verb: Any) -> None:
    move_next(running, at=soon())
    verb(draft, by=factories.a_user())
    assert (series.make_due(), list(made())) == (0, [])


def test_the_last_day_is_the_last(running: Series) -> None:
    at = soon()
    move_next(running, at=at)
    Series.objects.filter(pk=running.pk).update(ends_on=at.astimezone(SHANGHAI).date())
    series.make_due()
    running.refresh_from_db()
    assert (len(list(made())), running.next_at) == (1, None)


def test_a_series_that_breaks_stops_neither_the_others_nor_the_jobs_that_are_due(
    running: Series, draft: SendJob, composer: User
) -> None:
    abroad = factories.a_template(factories.a_mini_program(approval_threshold=0))
    factories.grants(abroad, to=factories.subscribers(abroad.mini_program, count=1))
    broken = SendJob.objects.create(
        mini_program=abroad.mini_program, name="Broken", purpose="?", template=abroad, state=State.SCHEDULED,
        audience=factories.everybody(abroad.mini_program), created_by=composer,
        series=Series.objects.create(
            mini_program=abroad.mini_program, name="Broken", weekdays="never", at_time=time(9), starts_on=TODAY,
            within_hours=1, is_active=True, next_at=timezone.now() - timedelta(hours=1),
        ),
    )  # fmt: skip
    once = factories.a_job(draft.template, created_by=composer)
    agree(once)
    SendJob.objects.filter(pk=once.pk).update(starts_at=timezone.now() - timedelta(minutes=1))
    move_next(running, at=soon())

    upkeep.tick()

    once.refresh_from_db()
    assert once.state == State.RUNNING
    assert [job.series for job in made()] == [running]
    assert Series.objects.get(pk=broken.series_id or 0).next_at is not None


# --- stopping --------------------------------------------------------------------------------------------------------


def test_a_paused_series_makes_nothing_and_takes_back_what_has_not_started(running: Series, composer: User) -> None:
    move_next(running, at=soon())
    series.make_due()
    series.pause(running, by=composer)
    assert [job.state for job in made()] == [State.CANCELLED]
    move_next(running, at=soon() + timedelta(minutes=1))
    assert series.make_due() == 0
    with pytest.raises(Refused):
        series.pause(running, by=composer)


@pytest.mark.parametrize("verb", [jobs.reopen, jobs.cancel])
def test_what_was_made_of_a_pattern_goes_where_the_pattern_goes(running: Series, draft: SendJob, verb: Any) -> None:
    move_next(running, at=soon())
    series.make_due()
    draft.refresh_from_db()
    verb(draft, by=factories.a_user())
    assert [job.state for job in made()] == [State.CANCELLED]


def test_the_schedule_is_part_of_what_is_agreed_to(draft: SendJob, composer: User) -> None:
    repeat(draft, by=composer)
    jobs.submit(draft, by=composer)
    seen = versions.digest(versions.content_of(draft))
    jobs.reopen(draft, by=composer)
    repeat(draft, by=composer, at_time=time(7))
    jobs.submit(draft, by=composer)
    with pytest.raises(Refused) as refusal:
        jobs.approve(draft, by=factories.a_user(), seen=seen)
    draft.refresh_from_db()
    assert (refusal.value.code, draft.state) == ("changed", State.SUBMITTED)


def test_a_series_that_has_outgrown_its_threshold_asks_a_second_person(draft: SendJob, composer: User) -> None:
    MiniProgram.objects.filter(pk=draft.mini_program_id).update(approval_threshold=2)
    draft.refresh_from_db()
    row = repeat(draft, by=composer)
    jobs.submit(draft, by=composer)
    SendJob.objects.filter(pk=draft.pk).update(submitted_at=timezone.now() - timedelta(days=1))
    factories.grants(draft.template, to=factories.subscribers(draft.mini_program, count=1))
    move_next(row, at=timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=1))
    series.make_due()
    assert jobs.start_due() == 0
    assert [(job.state, job.approved_by) for job in made()] == [(State.SUBMITTED, None)]


def test_a_resumed_series_comes_on_its_next_day(running: Series, composer: User) -> None:
    series.pause(running, by=composer)
    move_next(running, at=timezone.now().replace(second=0, microsecond=0) - timedelta(hours=1))
    running.refresh_from_db()
    series.resume(running, by=composer)
    running.refresh_from_db()
    assert running.next_at is not None
    assert (series.make_due(), running.next_at > timezone.now()) == (0, True)
    with pytest.raises(Refused):
        series.resume(running, by=composer)


def test_an_ended_series_does_not_come_back(running: Series, draft: SendJob, composer: User) -> None:
    series.end(running, by=composer)
    draft.refresh_from_db()
    assert draft.state == State.CANCELLED
    before = list(Series.objects.values())
    for verb in (series.end, series.resume):
        with pytest.raises(Refused):
            verb(running, by=composer)
    assert list(Series.objects.values()) == before


# --- once ------------------------------------------------------------------------------------------------------------


def test_the_database_refuses_a_second_job_of_an_occurrence_and_a_second_pattern(
    running: Series, draft: SendJob
) -> None:
    move_next(running, at=soon())
    series.make_due()
    (job,) = made()
    for values in ({"occurrence": job.occurrence}, {"occurrence": None}):
        with pytest.raises(IntegrityError), transaction.atomic():
            factories.a_job(draft.template, series=running, **values)


def die(sender: Any, instance: AuditEvent, **_words: Any) -> None:
    if instance.action == "occur":
        raise KeyboardInterrupt


def test_a_crash_in_the_middle_leaves_nothing_half_done(running: Series, draft: SendJob) -> None:
    """The process dies with the job written and not committed: nothing has happened, and the next tick makes it."""
    at = soon()
    move_next(running, at=at)
    pre_save.connect(die, sender=AuditEvent)
    try:
        with pytest.raises(KeyboardInterrupt):
            series.make_due()
    finally:
        pre_save.disconnect(die, sender=AuditEvent)
    running.refresh_from_db()
    assert (running.next_at, list(made())) == (at, [])
    assert (series.make_due(), len(list(made()))) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_workers_that_tick_at_once_make_one_job(running: Series) -> None:
    move_next(running, at=soon())

    def tick(_worker: int) -> int:
        try:
            return series.make_due()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=4) as workers:
        results = list(workers.map(tick, range(4)))
    assert (sorted(results), len(list(made()))) == ([0, 0, 0, 1], 1)
