"""The tallies of sending follow the rows: what has moved to another day, and what nobody counted for a while."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from notify_platform.delivery.models import Delivery, Open
from notify_platform.insights import days, sending
from notify_platform.insights.models import RefusalTally, SendingTally
from notify_platform.jobs.models import SendJob
from tests import factories

pytestmark = pytest.mark.django_db
State = Delivery.State
SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.fixture
def job() -> SendJob:
    """A job that has been running for thirty days."""
    template = factories.a_template(factories.a_mini_program())
    job = factories.a_running_job(template)
    SendJob.objects.update(started_at=timezone.now() - timedelta(days=30))
    return job


def noon(*, days_ago: int) -> datetime:
    today = days.day_of(timezone.now(), zone=SHANGHAI)
    return days.begin_of(today - timedelta(days=days_ago), zone=SHANGHAI) + timedelta(hours=12)


def day(days_ago: int) -> date:
    return days.day_of(noon(days_ago=days_ago), zone=SHANGHAI)


def leave(job: SendJob, *, days_ago: int, **values: Any) -> Delivery:
    (person,) = factories.subscribers(job.mini_program, count=1)
    at = noon(days_ago=days_ago)
    return Delivery.objects.create(
        mini_program=job.mini_program, job=job, variant=job.variants.get(), template=job.template, subscriber=person,
        is_counted=False, armed_at=at, due_at=at, **({"state": State.ACCEPTED} | values),
    )  # fmt: skip


def left() -> dict[date, int]:
    return dict(SendingTally.objects.order_by("day").values_list("day", "left"))


def test_messages_sent_again_after_midnight_count_on_the_new_day_alone(job: SendJob) -> None:
    rows = [leave(job, days_ago=1, state=State.UNKNOWN) for _ in range(2)]
    sending.tally_lately()
    assert left() == {day(1): 2}
    Delivery.objects.filter(pk__in=[row.pk for row in rows]).update(armed_at=noon(days_ago=0))
    sending.tally_lately()
    assert left() == {day(1): 0, day(0): 2}
    assert sending.tally_lately() == 0


def test_an_emptied_day_keeps_the_taps_of_that_day(job: SendJob) -> None:
    row = leave(job, days_ago=1)
    Open.objects.create(delivery=row, subscriber=row.subscriber, at=noon(days_ago=1))
    sending.tally_lately()
    Delivery.objects.update(armed_at=noon(days_ago=0))
    sending.tally_lately()
    tallies = SendingTally.objects.order_by("day").values_list("day", "left", "accepted", "opened")
    assert list(tallies) == [(day(1), 0, 0, 1), (day(0), 1, 1, 0)]


def test_of_a_job_left_in_peace_only_the_taps_are_new(job: SendJob) -> None:
    row = leave(job, days_ago=1)
    sending.tally_lately()
    SendJob.objects.update(ended_at=timezone.now() - timedelta(hours=3))
    Delivery.objects.update(state=State.FAILED)
    Open.objects.create(delivery=row, subscriber=row.subscriber, at=noon(days_ago=1))
    sending.tally_lately()
    assert SendingTally.objects.values_list("left", "accepted", "failed", "opened").get() == (1, 1, 0, 1)


def test_after_a_downtime_every_missed_day_is_counted(job: SendJob) -> None:
    leave(job, days_ago=6)
    sending.rebuild(first=day(6), last=day(6))
    for ago in (7, 5, 4, 3):
        leave(job, days_ago=ago)
    leave(job, days_ago=9)
    sending.tally_lately()
    # The day before the newest tally is still in question; what lies further back was counted.
    assert left() == {day(ago): 1 for ago in (7, 6, 5, 4, 3)}


def test_the_first_time_and_after_a_long_downtime_a_fortnight_is_counted(job: SendJob) -> None:
    for ago in (20, 15, 14, 8, 0):
        leave(job, days_ago=ago)
    sending.rebuild(first=day(20), last=day(20))
    sending.tally_lately()
    assert left() == {day(ago): 1 for ago in (20, 14, 8, 0)}
    SendingTally.objects.all().delete()
    sending.tally_lately()
    assert left() == {day(ago): 1 for ago in (14, 8, 0)}


def test_a_first_count_that_dies_halfway_is_finished_by_the_next(job: SendJob, monkeypatch: pytest.MonkeyPatch) -> None:
    for ago in (12, 8, 0):
        leave(job, days_ago=ago)
    count: Any = sending._rebuild_day

    def die(one: date, **words: Any) -> int:
        if SendingTally.objects.exists():
            raise KeyboardInterrupt
        counted: int = count(one, **words)
        return counted

    monkeypatch.setattr(sending, "_rebuild_day", die)
    with pytest.raises(KeyboardInterrupt):
        sending.tally_lately()
    monkeypatch.undo()
    sending.tally_lately()
    assert left() == {day(ago): 1 for ago in (12, 8, 0)}


def test_each_time_zone_goes_on_where_it_stopped(job: SendJob) -> None:
    leave(job, days_ago=0)
    sending.tally_lately()
    other = factories.a_running_job(factories.a_template(factories.a_mini_program(time_zone="Asia/Tokyo")))
    SendJob.objects.filter(pk=other.pk).update(started_at=timezone.now() - timedelta(days=30))
    leave(other, days_ago=9)
    sending.tally_lately()
    assert dict(SendingTally.objects.filter(job=other).values_list("day", "left")) == {day(9): 1}


def row(*some: int) -> Sequence[date]:
    return [date(2026, 11, one) for one in some]


@pytest.mark.parametrize(
    ("newest", "counted"),
    [
        (20, row(19, 20)),
        (19, row(18, 19, 20)),
        # The mini-program has moved west.
        (21, row(19, 20)),
        (1, row(*range(6, 21))),
        (None, row(*range(6, 21))),
    ],
)
def test_days_to_count_begin_before_the_newest_tally(newest: int | None, counted: Sequence[date]) -> None:
    known = date(2026, 11, newest) if newest else None
    assert days.to_count(newest=known, today=date(2026, 11, 20)) == counted


def refusals() -> dict[tuple[date, int], int]:
    return {(row.day, row.code): row.messages for row in RefusalTally.objects.order_by("day", "code")}


def test_refusals_are_counted_by_code_and_follow_the_rows(job: SendJob) -> None:
    for code in (43101, 43101, 47003):
        leave(job, days_ago=0, state=State.FAILED, error_code=code)
    leave(job, days_ago=0, state=State.WAITING, error_code=-1)
    sending.tally_lately()
    assert refusals() == {(day(0), 43101): 2, (day(0), 47003): 1}
    Delivery.objects.filter(error_code=47003).update(state=State.ACCEPTED, error_code=None)
    leave(job, days_ago=0, state=State.FAILED, error_code=43101)
    sending.tally_lately()
    assert refusals() == {(day(0), 43101): 3}


def test_tallies_of_a_job_that_is_over_are_held_against_its_rows(job: SendJob) -> None:
    leave(job, days_ago=1)
    row = leave(job, days_ago=1, state=State.FAILED, error_code=43101)
    SendJob.objects.update(ended_at=noon(days_ago=1))
    sending.tally_lately()
    assert sending.disagreeing() == 0
    Delivery.objects.filter(pk=row.pk).update(error_code=47003)
    assert sending.disagreeing() == 2
    Delivery.objects.filter(pk=row.pk).update(state=State.ACCEPTED, error_code=None)
    assert sending.disagreeing() == 2
    sending.rebuild(first=day(2), last=day(0))
    assert sending.disagreeing() == 0


def test_tallies_of_a_job_that_may_still_change_are_not(job: SendJob) -> None:
    leave(job, days_ago=1)
    assert sending.disagreeing() == 0
    SendJob.objects.update(ended_at=timezone.now() - timedelta(hours=1))
    assert sending.disagreeing() == 0
