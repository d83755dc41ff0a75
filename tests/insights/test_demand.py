"""What we wanted to send, and what the next days will want."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from notify_platform.delivery.models import Delivery, Reason, Skip
from notify_platform.insights import demand, pages
from notify_platform.jobs.models import Event, SendJob, Series, Trigger, Variant
from subscriptions.grants import ledger
from subscriptions.grants.pairing import NewAnswer
from subscriptions.models import Audience, ExpectedDemand, Scene, Source
from templates_app.models import MessageTemplate
from tests import factories

SHANGHAI = ZoneInfo("Asia/Shanghai")
State = Delivery.State
TODAY = date(2026, 11, 25)


@pytest.fixture
def noon(time_machine):
    """It is noon in Shanghai, a Wednesday."""
    time_machine.move_to(datetime.combine(TODAY, time(12), tzinfo=SHANGHAI), tick=False)


@pytest.fixture
def template(db, noon):
    """A template as old as the history."""
    template = factories.a_template(factories.a_mini_program())
    MessageTemplate.objects.update(created_at=timezone.now() - timedelta(days=40))
    template.refresh_from_db()
    return template


def ago(days, hours=0):
    return timezone.now() - timedelta(days=days, hours=hours)


def a_past_job(template, *, started_at, size, **changes):
    return factories.a_job(template, state=SendJob.State.FINISHED, started_at=started_at, audience_size=size, **changes)


def a_delivery(template, person, *, job=None, trigger=None, state, reason="", created_at=None):
    event = None
    if trigger:
        event = Event.objects.create(
            mini_program=template.mini_program,
            event="x",
            event_id=str(Event.objects.count()),
            occurred_at=timezone.now(),
        )
    row = Delivery.objects.create(
        mini_program=template.mini_program,
        job=job,
        trigger=trigger,
        event=event,
        variant=(job or trigger).variants.get(),
        template=template,
        subscriber=person,
        is_counted=False,
        state=state,
        reason=reason,
        due_at=timezone.now(),
    )
    Delivery.objects.filter(pk=row.pk).update(created_at=created_at or timezone.now())
    return row


def a_trigger(template):
    trigger = Trigger.objects.create(mini_program=template.mini_program, name="x", event="x", template=template)
    Variant.objects.create(trigger=trigger, texts={})
    return trigger


def wanted(template, *, days_ago=0):
    return dict(demand.wanted(template.mini_program, day=TODAY - timedelta(days=days_ago)))


def expected(template):
    demand.expect(template.mini_program)
    rows = ExpectedDemand.objects.filter(template=template, day__gte=TODAY).order_by("day")
    return [round(row.messages, 6) for row in rows]


# --- a day that is over --------------------------------------------------------------------------------------------


def test_a_job_wanted_everybody_but_those_left_out_for_a_reason_of_their_own(template):
    people = factories.subscribers(template.mini_program, count=7)
    job = a_past_job(template, started_at=ago(1), size=7)
    Skip.objects.create(job=job, subscriber=people[0], reason=Reason.NO_CONSENT)
    Skip.objects.create(job=job, subscriber=people[1], reason=Reason.CONTENT)
    a_delivery(template, people[2], job=job, state=State.SKIPPED, reason=Reason.NO_CONSENT)
    a_delivery(template, people[3], job=job, state=State.SKIPPED, reason=Reason.MUTED)
    a_delivery(template, people[4], job=job, state=State.CANCELLED)
    a_delivery(template, people[5], job=job, state=State.FAILED)
    a_delivery(template, people[6], job=job, state=State.DELIVERED)

    assert wanted(template, days_ago=1) == {template.pk: 4}


def test_a_trigger_wanted_its_messages_on_the_day_they_were_written(template):
    trigger, other = a_trigger(template), a_trigger(factories.a_template(factories.a_mini_program()))
    (person,) = factories.subscribers(template.mini_program, count=1)
    for days in (3, 2, 1, 0):
        for state, reason in ((State.DELIVERED, ""), (State.SKIPPED, Reason.NO_CONSENT), (State.SKIPPED, Reason.CAP)):
            a_delivery(template, person, trigger=trigger, state=state, reason=reason, created_at=ago(days))
        a_delivery(other.template, person, trigger=other, state=State.FAILED, created_at=ago(days))

    assert wanted(template, days_ago=2) == {template.pk: 2}
    assert wanted(template) == {template.pk: 2}


@pytest.mark.parametrize(("hours", "days_ago"), [(11.9, 0), (12.1, 1)])
def test_a_day_begins_at_midnight_of_the_mini_program(template, hours, days_ago):
    a_past_job(template, started_at=ago(0, hours), size=3)
    assert [wanted(template, days_ago=days) for days in (0, 1)] == [
        {template.pk: 3} if days == days_ago else {} for days in (0, 1)
    ]


def test_a_day_of_the_log_is_found_without_reading_the_others(template):
    """Fifty messages of triggers, ten a day: the search touches a few rows, and finds exactly where a day begins."""
    trigger = a_trigger(template)
    (person,) = factories.subscribers(template.mini_program, count=1)
    rows = [
        a_delivery(template, person, trigger=trigger, state=State.FAILED, created_at=ago(5 - number // 10))
        for number in range(50)
    ]
    with CaptureQueriesContext(connection) as captured:
        found = pages.first_since(Delivery.objects.all(), ago(2, 1), by="created_at")

    assert found == rows[30].pk
    assert len(captured) <= 2 + rows[-1].pk.bit_length()


def test_days_that_are_over_are_counted_once_and_the_last_two_again(template):
    a_past_job(template, started_at=ago(1), size=10)
    a_past_job(template, started_at=ago(9), size=20)
    demand.expect(template.mini_program)
    a_past_job(template, started_at=ago(2), size=5)
    a_past_job(template, started_at=ago(9), size=7)

    demand.expect(template.mini_program)

    over = ExpectedDemand.objects.filter(template=template, day__lt=TODAY)
    assert over.count() == 28
    assert {(TODAY - row.day).days: row.wanted for row in over if row.wanted} == {1: 10, 2: 5, 9: 20}


def test_a_day_keeps_what_was_expected_of_it_when_it_is_over(template, time_machine):
    a_past_job(template, started_at=ago(7), size=28)
    demand.expect(template.mini_program)
    before = ExpectedDemand.objects.get(template=template, day=TODAY + timedelta(days=1)).messages
    time_machine.shift(timedelta(days=2))

    demand.expect(template.mini_program)

    row = ExpectedDemand.objects.get(template=template, day=TODAY + timedelta(days=1))
    assert (row.messages, row.wanted) == (before, 0)
    assert before > 0


# --- what is usual -------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(min_value=0, max_value=1000), max_size=28), st.integers(min_value=0, max_value=13))
def test_a_usual_day_lies_between_its_weekday_and_the_mean_of_all(numbers, ahead):
    history = {TODAY - timedelta(days=number + 1): each for number, each in enumerate(numbers)}
    day = TODAY + timedelta(days=ahead)
    found = demand.typical(history, day=day)
    alike = [each for before, each in history.items() if before.isoweekday() == day.isoweekday()]
    if not numbers:
        assert found == 0
        return
    mean = sum(numbers) / len(numbers)
    own = sum(alike) / len(alike) if alike else mean
    assert min(own, mean) - 1e-9 <= found <= max(own, mean) + 1e-9
    assert found == pytest.approx((sum(alike) + 2 * mean) / (len(alike) + 2))


def test_four_wednesdays_of_a_broadcast_make_the_next_wednesday_want_most(template):
    for weeks in (1, 2, 3, 4):
        a_past_job(template, started_at=ago(7 * weeks), size=70)

    # The mean of all days is 10; a Wednesday: (4 × 70 + 2 × 10) / 6 = 50, any other day: (0 + 2 × 10) / 6.
    other = round(20 / 6, 6)
    assert expected(template) == [50.0, *[other] * 6, 50.0, *[other] * 6]


def test_a_young_template_has_a_short_history(template):
    MessageTemplate.objects.update(created_at=ago(3))
    a_past_job(template, started_at=ago(1), size=30)

    # Three days with ten a day; tomorrow is a Thursday, and there has been none.
    assert expected(template)[1] == 10.0


def test_of_today_what_has_begun_is_no_longer_to_come_and_what_waits_still_is(template):
    people = factories.subscribers(template.mini_program, count=3)
    for weeks in (1, 2, 3, 4):
        a_past_job(template, started_at=ago(7 * weeks), size=70)
    running = factories.a_job(template, state=SendJob.State.RUNNING, started_at=ago(0, 1), audience_size=8)
    a_delivery(template, people[0], job=running, state=State.WAITING)
    a_delivery(template, people[1], job=running, state=State.FAILED)
    a_delivery(template, people[2], trigger=a_trigger(template), state=State.WAITING)

    # 50 is usual; 8 of the job and 1 of the trigger have begun, 2 wait.
    assert expected(template)[0] == 50 - 9 + 2


# --- what is known already -----------------------------------------------------------------------------------------


def test_a_scheduled_job_wants_its_audience_on_its_day(template):
    factories.subscribers(template.mini_program, count=6)
    day_after = timezone.now() + timedelta(days=2)
    factories.a_job(template, state=SendJob.State.SCHEDULED, starts_at=day_after)
    factories.a_job(template, state=SendJob.State.SUBMITTED, starts_at=day_after)
    factories.a_job(template, state=SendJob.State.SCHEDULED, starts_at=ago(1))
    factories.a_job(template, state=SendJob.State.DRAFT, starts_at=day_after)
    factories.a_job(template, state=SendJob.State.SCHEDULED)
    factories.a_job(template, state=SendJob.State.SCHEDULED, starts_at=timezone.now() + timedelta(days=20))

    assert expected(template) == [6.0, 0.0, 12.0, *[0.0] * 11]


def test_what_is_planned_counts_only_where_it_is_more_than_usual(template):
    factories.subscribers(template.mini_program, count=6)
    for weeks in (1, 2, 3, 4):
        a_past_job(template, started_at=ago(7 * weeks), size=70)
    for days in (1, 7):
        factories.a_job(template, state=SendJob.State.SCHEDULED, starts_at=timezone.now() + timedelta(days=days))

    found = expected(template)

    assert (found[1], found[7]) == (6.0, 50.0)


def test_a_series_wants_the_audience_of_its_last_job_on_each_of_its_days(template):
    factories.subscribers(template.mini_program, count=4)
    series = Series.objects.create(
        mini_program=template.mini_program,
        name="Weekly",
        weekdays=[3, 5],
        at_time=time(11),
        starts_on=TODAY,
        ends_on=TODAY + timedelta(days=9),
    )
    factories.a_job(template, state=SendJob.State.SCHEDULED, series=series)
    # Friday's job is made already, and must not count twice.
    friday = {"occurrence": TODAY + timedelta(days=2), "starts_at": timezone.now() + timedelta(days=2)}
    factories.a_job(template, state=SendJob.State.SCHEDULED, series=series, **friday)

    # Today's hour has passed; then Friday, Wednesday and Friday, and the series is over.
    assert [number for number, messages in enumerate(expected(template)) if messages] == [2, 7, 9]
    assert set(expected(template)) == {0.0, 4.0}


def test_an_audience_with_a_broken_rule_wants_nothing(template):
    broken = Audience.objects.create(mini_program=template.mini_program, name="broken", rule={"age": 3})
    factories.a_job(template, state=SendJob.State.SCHEDULED, starts_at=timezone.now(), audience=broken)
    assert expected(template) == [0.0] * 14


# --- for each person -----------------------------------------------------------------------------------------------


def test_the_demand_is_shared_by_everybody_who_visited_or_answered_in_28_days(template):
    program = template.mini_program
    visitor, both, answerer, *_rest = factories.subscribers(program, count=6)
    program.subscribers.filter(pk__in=[visitor.pk, both.pk]).update(last_visit_at=ago(27))
    program.subscribers.filter(pk=answerer.pk).update(last_visit_at=ago(29))
    scene = Scene.objects.create(mini_program=program, code="paid", name="Paid")
    ledger.record(
        [
            NewAnswer(
                subscriber_id=person.pk,
                template=template,
                answer="reject",
                source=Source.CLIENT,
                answered_at=ago(1),
                request_key="1",
                scene_id=scene.pk,
            )
            for person in (both, answerer)
        ]
    )
    factories.a_job(template, state=SendJob.State.SCHEDULED, starts_at=timezone.now())

    assert expected(template)[0] == 6.0
    assert ExpectedDemand.objects.get(template=template, day=TODAY).per_person == 2.0


def test_where_nobody_is_active_the_demand_is_that_of_one_person(template):
    factories.subscribers(template.mini_program, count=3)
    factories.a_job(template, state=SendJob.State.SCHEDULED, starts_at=timezone.now())

    assert expected(template)[0] == 3.0
    assert ExpectedDemand.objects.get(template=template, day=TODAY).per_person == 3.0


# --- all of it -----------------------------------------------------------------------------------------------------


def test_every_mini_program_has_its_own_demand_and_old_days_go(template):
    other = factories.a_template(factories.a_mini_program(time_zone="America/New_York"))
    ExpectedDemand.objects.create(template=template, day=TODAY - timedelta(days=91), messages=1, per_person=1)

    demand.expect_all()

    assert ExpectedDemand.objects.filter(template=template).count() == 28 + 14
    days = ExpectedDemand.objects.filter(template=other).order_by("day").values_list("day", flat=True)
    assert [days[0], days.last()] == [TODAY - timedelta(days=1), TODAY + timedelta(days=12)]


def test_looking_ahead_takes_the_same_queries_for_a_job_as_for_many(template):
    def queries():
        demand.expect(template.mini_program)
        with CaptureQueriesContext(connection) as captured:
            demand.expect(template.mini_program)
        return len(captured)

    def a_week():
        for days in range(7):
            a_past_job(template, started_at=ago(days, 1), size=5)
            factories.a_job(template, state=SendJob.State.SCHEDULED, starts_at=timezone.now() + timedelta(days=days))

    a_week()
    few = queries()
    a_week()
    assert queries() == few
