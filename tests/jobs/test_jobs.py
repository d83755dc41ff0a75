"""What people do with a job, and what they may not do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.signals import pre_save
from django.utils import timezone

from notify_platform.core.errors import Refused
from notify_platform.core.models import AuditEvent
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob, Variant
from subscriptions.models import Audience
from templates_app.models import MessageTemplate, MiniProgram
from tests import factories

pytestmark = pytest.mark.django_db
State = SendJob.State


@pytest.fixture
def mini_program():
    return factories.a_mini_program(approval_threshold=0)


@pytest.fixture
def template(mini_program):
    return factories.a_template(mini_program)


@pytest.fixture
def composer():
    return factories.a_user()


@pytest.fixture
def approver():
    return factories.a_user()


@pytest.fixture
def draft(template, composer):
    return factories.a_job(template, created_by=composer)


def trail():
    return list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))


def test_the_way_of_a_job(draft, composer, approver):
    steps = [
        (jobs.submit, {"by": composer}, State.SUBMITTED),
        (jobs.approve, {"by": approver}, State.SCHEDULED),
        (jobs.start, {"by": approver}, State.RUNNING),
        (jobs.pause, {"by": approver}, State.PAUSED),
        (jobs.resume, {"by": approver}, State.RUNNING),
    ]
    for verb, words, state in steps:
        verb(draft, **words)
        assert draft.state == state
    assert jobs.finish(draft)

    draft.refresh_from_db()
    assert draft.state == State.FINISHED
    assert draft.ended_at is not None
    assert trail() == ["submit", "approve", "start", "pause", "resume"]


def test_nobody_approves_a_job_of_their_own(draft, composer):
    jobs.submit(draft, by=composer)

    with pytest.raises(Refused) as refused:
        jobs.approve(draft, by=composer)

    assert refused.value.code == "own_job"
    draft.refresh_from_db()
    assert (draft.state, draft.approved_by, trail()) == (State.SUBMITTED, None, ["submit"])


def test_who_submitted_somebody_elses_job_does_not_approve_it(draft, approver):
    jobs.submit(draft, by=approver)

    with pytest.raises(Refused) as refused:
        jobs.approve(draft, by=approver)

    assert refused.value.code == "own_job"
    assert SendJob.objects.get().state == State.SUBMITTED


def test_nobody_refuses_a_job_of_their_own(draft, composer):
    jobs.submit(draft, by=composer)

    with pytest.raises(Refused) as refused:
        jobs.refuse(draft, by=composer, reason="Changed my mind.")

    assert refused.value.code == "own_job"
    assert SendJob.objects.get().state == State.SUBMITTED


def test_a_job_for_few_people_needs_no_second_person(mini_program, draft, composer):
    mini_program.approval_threshold = 1
    mini_program.save()
    factories.grants(draft.template, to=factories.subscribers(mini_program, count=1))
    draft = SendJob.objects.get(pk=draft.pk)

    jobs.submit(draft, by=composer)

    assert draft.state == State.SCHEDULED
    assert AuditEvent.objects.get().detail == {"reach": 1, "approval": "not needed"}


def test_a_job_for_more_people_than_the_threshold_waits_for_approval(mini_program, draft, composer):
    mini_program.approval_threshold = 1
    mini_program.save()
    factories.grants(draft.template, to=factories.subscribers(mini_program, count=2))
    draft = SendJob.objects.get(pk=draft.pk)

    jobs.submit(draft, by=composer)

    assert draft.state == State.SUBMITTED


def test_what_was_changed_after_it_was_looked_at_is_not_submitted(draft, composer):
    as_it_was = SendJob.objects.get(pk=draft.pk)
    SendJob.objects.filter(pk=draft.pk).update(purpose="Something else.")

    with pytest.raises(Refused) as refusal:
        jobs.submit(as_it_was, by=composer)

    draft.refresh_from_db()
    assert (refusal.value.code, draft.state, trail()) == ("changed", State.DRAFT, [])


def test_who_submitted_meanwhile_does_not_approve(draft, composer, approver):
    jobs.submit(draft, by=composer)
    as_it_was = SendJob.objects.get(pk=draft.pk)
    jobs.reopen(draft, by=approver)
    jobs.submit(draft, by=approver)

    with pytest.raises(Refused) as refusal:
        jobs.approve(as_it_was, by=approver)

    draft.refresh_from_db()
    assert (refusal.value.code, draft.state, draft.approved_by) == ("own_job", State.SUBMITTED, None)


def test_a_small_job_that_has_grown_waits_for_a_second_person_when_its_time_comes(draft, composer):
    MiniProgram.objects.filter(pk=draft.mini_program_id).update(approval_threshold=10)
    SendJob.objects.filter(pk=draft.pk).update(starts_at=timezone.now() - timedelta(minutes=1))
    draft.refresh_from_db()
    jobs.submit(draft, by=composer)
    assert draft.state == State.SCHEDULED
    people = factories.subscribers(draft.mini_program, count=11)
    factories.grants(draft.template, to=people)

    assert jobs.start_due() == 0

    draft.refresh_from_db()
    assert (draft.state, draft.started_at, trail()) == (State.SUBMITTED, None, ["submit", "outgrown"])


def test_a_refusal_needs_a_reason_and_brings_the_job_back(draft, composer, approver):
    jobs.submit(draft, by=composer)
    with pytest.raises(Refused):
        jobs.refuse(draft, by=approver, reason="  ")

    jobs.refuse(draft, by=approver, reason="The page is wrong.")

    assert (draft.state, draft.refusal) == (State.DRAFT, "The page is wrong.")


def test_taking_a_job_back_takes_its_approval_away(draft, composer, approver):
    jobs.submit(draft, by=composer)
    jobs.approve(draft, by=approver)

    jobs.reopen(draft, by=composer)

    assert (draft.state, draft.approved_by, draft.approved_at) == (State.DRAFT, None, None)


ALLOWED = {
    "submit": {State.DRAFT},
    "approve": {State.SUBMITTED},
    "refuse": {State.SUBMITTED},
    "reopen": {State.SUBMITTED, State.SCHEDULED},
    "start": {State.SCHEDULED},
    "pause": {State.RUNNING},
    "resume": {State.PAUSED},
    "cancel": {State.DRAFT, State.SUBMITTED, State.SCHEDULED, State.RUNNING, State.PAUSED},
}


@pytest.mark.parametrize(
    ("verb", "state"), [(verb, state) for verb, states in ALLOWED.items() for state in State if state not in states]
)
def test_a_verb_in_the_wrong_state_is_refused_and_changes_nothing(draft, approver, verb, state):
    SendJob.objects.filter(pk=draft.pk).update(state=state)
    before = SendJob.objects.filter(pk=draft.pk).values().get()
    words = {"by": approver} | ({"reason": "because"} if verb == "refuse" else {})

    with pytest.raises(Refused) as refused:
        getattr(jobs, verb)(draft, **words)

    assert refused.value.code == "wrong_state"
    assert SendJob.objects.filter(pk=draft.pk).values().get() == before
    assert trail() == []


def refusals(job):
    job.template.save()
    job.save()
    with pytest.raises(Refused) as refused:
        jobs.submit(job, by=None)
    assert SendJob.objects.get(pk=job.pk).state == State.DRAFT
    assert trail() == []
    return refused.value.fields


def test_a_template_of_another_mini_program_is_refused(draft):
    draft.template = factories.a_template(factories.a_mini_program())

    assert "template" in refusals(draft)


@pytest.mark.parametrize("state", [MessageTemplate.State.MISSING, MessageTemplate.State.BANNED])
def test_a_template_wechat_does_not_take_is_refused(draft, state):
    draft.template.state = state

    assert list(refusals(draft)) == ["template"]


def test_a_service_card_is_refused(draft):
    draft.template.kind = MessageTemplate.Kind.SERVICE_CARD

    assert list(refusals(draft)) == ["template"]


def test_an_audience_of_another_mini_program_is_refused(draft):
    draft.audience = Audience.objects.create(mini_program=factories.a_mini_program(), name="Foreign")

    assert list(refusals(draft)) == ["audience"]


def test_a_text_that_breaks_the_rule_of_its_field_is_refused(draft):
    Variant.objects.update(texts={"thing1": "一二三四五六七八九十一二三四五六七八九十一"})

    assert list(refusals(draft)) == ["thing1"]


def test_a_field_without_a_text_is_refused(draft):
    Variant.objects.update(texts={})

    assert list(refusals(draft)) == ["thing1"]


def test_a_placeholder_nobody_knows_is_refused(draft):
    Variant.objects.update(texts={"thing1": "{{ salary }}"})

    assert refusals(draft) == {"texts": "Nothing is known as salary; there are: nickname, region, city."}


def test_a_page_outside_the_mini_program_is_refused(draft):
    Variant.objects.update(page="https://evil.example/x")

    assert list(refusals(draft)) == ["page"]


def test_a_job_without_a_reason_is_refused(draft):
    draft.purpose = " "

    assert list(refusals(draft)) == ["purpose"]


def test_a_deadline_before_the_start_is_refused(draft):
    draft.starts_at = timezone.now() + timedelta(hours=2)
    draft.not_after = timezone.now() + timedelta(hours=1)

    assert list(refusals(draft)) == ["not_after"]


def test_scheduled_jobs_start_when_their_time_has_come(template, composer, approver):
    early, late, by_hand = (factories.a_job(template, created_by=composer) for _ in range(3))
    SendJob.objects.filter(pk=early.pk).update(starts_at=timezone.now() - timedelta(seconds=1))
    SendJob.objects.filter(pk=late.pk).update(starts_at=timezone.now() + timedelta(hours=1))
    SendJob.objects.update(state=State.SCHEDULED, approved_by=approver)

    assert jobs.start_due() == 1
    assert dict(SendJob.objects.values_list("pk", "state")) == {
        early.pk: State.RUNNING,
        late.pk: State.SCHEDULED,
        by_hand.pk: State.SCHEDULED,
    }


def test_a_job_that_breaks_does_not_keep_the_others_from_starting(template, approver):
    bad, good = (factories.a_job(template, approved_by=approver) for _ in range(2))
    for minutes, job in ((2, bad), (1, good)):
        starts_at = timezone.now() - timedelta(minutes=minutes)
        SendJob.objects.filter(pk=job.pk).update(state=State.SCHEDULED, starts_at=starts_at)

    def break_one(sender, instance, **_words):
        if (instance.action, instance.subject) == ("start", f"job {bad.pk}"):
            raise KeyError("boom")

    pre_save.connect(break_one, sender=AuditEvent)
    try:
        assert jobs.start_due() == 1
    finally:
        pre_save.disconnect(break_one, sender=AuditEvent)

    assert dict(SendJob.objects.values_list("pk", "state")) == {bad.pk: State.SCHEDULED, good.pk: State.RUNNING}


def test_the_engine_stops_the_running_jobs_of_one_template_and_no_others(template, mini_program):
    running, other = factories.a_job(template), factories.a_job(factories.a_template(mini_program))
    SendJob.objects.update(state=State.RUNNING)

    stopped = jobs.pause_all(reason=SendJob.PauseReason.TEMPLATE, detail="WeChat has banned it.", template=template)

    assert stopped == 1
    running.refresh_from_db()
    other.refresh_from_db()
    assert (running.state, running.pause_reason, running.pause_detail) == (
        State.PAUSED,
        "template",
        "WeChat has banned it.",
    )
    assert other.state == State.RUNNING


def test_going_on_clears_the_reason_of_the_pause(template, approver):
    job = factories.a_job(template)
    SendJob.objects.update(state=State.RUNNING)
    jobs.pause_all(reason=SendJob.PauseReason.ACCOUNT, detail="x", job_ids=[job.pk])

    jobs.resume(job, by=approver)

    assert (job.state, job.pause_reason, job.pause_detail) == (State.RUNNING, "", "")
