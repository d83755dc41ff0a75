"""What is too old goes bit by bit, and the books still add up."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from axes.models import AccessAttempt
from django.core.management import CommandError, call_command
from django.utils import timezone

from notify_platform.callbacks.models import CallbackEvent
from notify_platform.core.models import AuditEvent
from notify_platform.delivery import fanout, retention, upkeep
from notify_platform.delivery.models import Delivery, Reason, Skip, Throughput
from notify_platform.insights import books, funnels
from notify_platform.jobs import jobs
from notify_platform.jobs.models import Event, SendJob, Trigger, Variant
from subscriptions.models import PromptReport, Visit
from templates_app.models import MiniProgram
from tests import factories

pytestmark = pytest.mark.django_db
OLD, YOUNG = timedelta(days=91), timedelta(days=89)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 2)


@pytest.fixture
def person(mini_program):
    return factories.subscribers(mini_program, count=1)[0]


@pytest.fixture
def ended_job(template):
    """A job that ended long ago: two had consent, the others had none."""
    people = factories.subscribers(template.mini_program, count=7)
    factories.grants(template, to=people[:2])
    job = factories.a_running_job(template)
    while fanout.step(job):
        pass
    jobs.cancel(job, by=factories.a_user())
    upkeep.tick()
    upkeep.tick()
    SendJob.objects.filter(pk=job.pk).update(ended_at=timezone.now() - OLD)
    AuditEvent.objects.filter(action="prune").delete()
    return job


def prune(**keep):
    return retention.prune(keep=keep, progress=lambda _rule, _number: None)


def visits(person, *ages):
    now = timezone.now()
    Visit.objects.bulk_create(Visit(subscriber=person, page="p", at=now - age) for age in ages)


def an_event(person, *, age, event_id, data=None):
    event = Event.objects.create(
        mini_program=person.mini_program,
        event="paid",
        event_id=event_id,
        subscriber=person,
        subject="order",
        data={"total": 1} if data is None else data,
        occurred_at=timezone.now() - age,
    )
    Event.objects.filter(pk=event.pk).update(received_at=timezone.now() - age)
    return event


def a_push(person, *, age, state):
    push = CallbackEvent.objects.create(
        mini_program=person.mini_program, identity=f"{state}{age}", body={"x": 1}, state=state, due_at=timezone.now()
    )
    CallbackEvent.objects.filter(pk=push.pk).update(received_at=timezone.now() - age)
    return push


def test_old_visits_go_and_young_ones_stay(person):
    visits(person, OLD, OLD, OLD, YOUNG, timedelta())

    assert prune() == {"visits": 3}
    assert Visit.objects.count() == 2


def test_other_days_can_be_said(person):
    visits(person, OLD, YOUNG, timedelta())

    assert prune(visits=80) == {"visits": 2}
    assert Visit.objects.count() == 1


def test_old_reports_of_prompts_go(person):
    for number, age in enumerate([OLD, YOUNG]):
        PromptReport.objects.create(subscriber=person, request_key=str(number), answered_at=timezone.now())
        PromptReport.objects.filter(request_key=str(number)).update(received_at=timezone.now() - age)

    assert prune() == {"reports": 1}
    assert PromptReport.objects.get().request_key == "1"


def test_old_pushes_go_unless_they_wait(person):
    month = timedelta(days=31)
    state = CallbackEvent.State
    waiting = a_push(person, age=month, state=state.PENDING)
    for each in (state.HANDLED, state.IGNORED, state.UNMATCHED, state.FAILED):
        a_push(person, age=month, state=each)
    young = a_push(person, age=timedelta(days=29), state=state.HANDLED)

    assert prune() == {"pushes": 4}
    assert list(CallbackEvent.objects.order_by("pk")) == [waiting, young]


def test_the_skips_of_an_old_job_leave_their_sums(ended_job):
    before = funnels.of_job(ended_job)
    assert before.not_sent == {Reason.NO_CONSENT: 5}

    assert prune() == {"skips": 5}

    assert Skip.objects.count() == 0
    after = funnels.of_job(ended_job)
    assert (after.audience, after.by_state, after.not_sent) == (before.audience, before.by_state, before.not_sent)
    assert books.check() == []


def test_half_pruned_skips_add_up_too(ended_job):
    before = funnels.of_job(ended_job).not_sent

    rule = next(rule for rule in retention.rules() if rule.name == "skips")
    assert rule.step(timezone.now()) == 2

    assert Skip.objects.count() == 3
    assert funnels.of_job(ended_job).not_sent == before
    assert books.check() == []


def test_skips_of_a_job_that_runs_or_ended_lately_stay(ended_job):
    SendJob.objects.update(ended_at=timezone.now() - YOUNG)
    assert prune() == {}
    SendJob.objects.update(ended_at=None, state=SendJob.State.RUNNING)
    assert prune() == {}
    assert Skip.objects.count() == 5


def test_an_old_event_loses_its_data_and_keeps_its_key(person):
    old = an_event(person, age=OLD, event_id="1")
    young = an_event(person, age=YOUNG, event_id="2")

    assert prune() == {"events": 1}

    old.refresh_from_db()
    young.refresh_from_db()
    assert (old.event, old.event_id, old.data, old.subject) == ("paid", "1", {}, "")
    assert (young.data, young.subject) == ({"total": 1}, "order")
    assert prune() == {}


def test_data_that_a_message_still_waits_for_stays(person, template):
    event = an_event(person, age=OLD, event_id="1")
    trigger = Trigger.objects.create(mini_program=template.mini_program, name="t", event="paid", template=template)
    variant = Variant.objects.create(trigger=trigger)
    row = Delivery.objects.create(
        mini_program=template.mini_program, trigger=trigger, event=event, variant=variant, template=template,
        subscriber=person, is_counted=True, due_at=timezone.now(),
    )  # fmt: skip

    assert prune() == {}
    Delivery.objects.filter(pk=row.pk).update(state=Delivery.State.CANCELLED)
    assert prune() == {"events": 1}


def test_counting_deletes_nothing(person, ended_job):
    visits(person, OLD, OLD, OLD, YOUNG)
    an_event(person, age=OLD, event_id="1")
    kept = [Visit.objects.count(), Skip.objects.count(), list(Event.objects.values()), AuditEvent.objects.count()]

    counts = retention.count()

    none = {"pushes": 0, "reports": 0, "throughput": 0, "logins": 0}
    assert counts == {**none, "visits": 3, "skips": 6, "events": 1}
    assert kept == [
        Visit.objects.count(),
        Skip.objects.count(),
        list(Event.objects.values()),
        AuditEvent.objects.count(),
    ]


def test_failed_log_ins_go_a_month_after_their_last_wrong_password():
    for name, age in (("first", 29), ("old", 31), ("older", 32), ("oldest", 33), ("last", 0)):
        row = AccessAttempt.objects.create(username=name, ip_address="192.0.2.1", failures_since_start=1)
        AccessAttempt.objects.filter(pk=row.pk).update(attempt_time=timezone.now() - timedelta(days=age))

    assert retention.count()["logins"] == 3
    assert prune() == {"logins": 3}
    assert list(AccessAttempt.objects.order_by("pk").values_list("username", flat=True)) == ["first", "last"]


# --- once a day ----------------------------------------------------------------------------------------------------


def is_due():
    return MiniProgram.objects.filter(retention.due()).exists()


def test_upkeep_clears_away_in_small_bites_and_then_rests_for_a_day(person):
    visits(person, *[OLD] * 5, YOUNG)
    left = []
    while upkeep.tick():
        left.append(Visit.objects.count())

    assert left == [4, 2, 1]
    assert AuditEvent.objects.filter(action="prune").count() == 1

    visits(person, OLD)
    upkeep.tick()
    assert Visit.objects.count() == 2, "not before tomorrow"


def test_a_day_later_it_is_due_again(person):
    assert is_due()
    upkeep.tick()
    assert not is_due()

    AuditEvent.objects.update(at=timezone.now() - timedelta(days=1, minutes=1))

    assert is_due()


def test_the_trail_says_what_a_person_pruned_by_hand(person):
    visits(person, OLD, OLD, OLD)
    prune()
    assert AuditEvent.objects.get(action="prune").detail == {"visits": 3}


def test_how_fast_a_job_sent_is_forgotten_also_when_it_never_sends_again(template):
    over, now = factories.a_running_job(template), timezone.now()
    ages = [timedelta(days=3), timedelta(hours=25), timedelta(hours=2), timedelta()]
    Throughput.objects.bulk_create(Throughput(job=over, at=now - age, messages=7) for age in ages)

    while retention.tidy():
        pass

    assert sorted(now - at for at in Throughput.objects.values_list("at", flat=True)) == [ages[3], ages[2]]


# --- the command ---------------------------------------------------------------------------------------------------


def run(*arguments):
    out, err = StringIO(), StringIO()
    call_command("prune", *arguments, stdout=out, stderr=err)
    return out.getvalue().splitlines(), err.getvalue().splitlines()


def test_the_command_tells_what_went_and_how_it_goes_on(person):
    visits(person, OLD, OLD, OLD)

    out, err = run("--keep", "pushes=7")

    assert out == [
        "3 visits, older than 90 days",
        "0 reports of prompts, older than 90 days",
        "0 people left out of ended jobs, older than 90 days",
        "0 data of events, older than 90 days",
        "0 notes of how fast messages left, older than 1 days",
        "0 WeChat's pushes, older than 7 days",
        "0 failed log-ins, older than 30 days",
    ]
    assert err == ["visits: 2 more …"]


def test_a_rehearsal_only_counts(person):
    visits(person, OLD)
    out, _err = run("--dry-run")
    assert out[0] == "1 visits, older than 90 days"
    assert Visit.objects.count() == 1


@pytest.mark.parametrize("wrong", ["visits", "visits=0", "visits=-1", "visits=x", "grants=10", "visits=99999"])
def test_days_that_make_no_sense_are_refused(person, wrong):
    visits(person, OLD)
    with pytest.raises(CommandError, match="NAME=DAYS"):
        run("--keep", wrong)
    assert Visit.objects.count() == 1
