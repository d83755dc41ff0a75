"""The second person: what they see, what they compare, and what is never agreed to unseen."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from notify_platform.core.models import AuditEvent
from notify_platform.delivery import claims, fanout
from notify_platform.delivery.claims import Wordings
from notify_platform.delivery.dry_runs import Rehearsal
from notify_platform.delivery.models import Delivery
from notify_platform.delivery.rehearsal import rehearse
from notify_platform.jobs import jobs, versions
from notify_platform.jobs.models import SendJob, Variant
from subscriptions.models import Audience, AudienceMember, Subscriber
from templates_app.models import MessageTemplate, MiniProgram, TemplateField
from tests import factories
from tests.console.conftest import At, Colleague

State = SendJob.State
CHANGED = "The job, its audience or its template has changed, so nothing was approved. Look at it again."


@pytest.fixture
def template(db: None) -> MessageTemplate:
    return factories.a_template(factories.a_mini_program(approval_threshold=0))


@pytest.fixture
def composer(colleague: Colleague) -> User:
    return colleague("operator")


@pytest.fixture
def approver(colleague: Colleague, at_desk: At) -> Client:
    return at_desk(colleague("approver"))


@pytest.fixture
def draft(template: MessageTemplate, composer: User) -> SendJob:
    people = factories.subscribers(template.mini_program, count=3)
    factories.grants(template, to=people[:2])
    return factories.a_job(template, created_by=composer)


@pytest.fixture
def job(draft: SendJob, composer: User, at_desk: At) -> SendJob:
    """A job its composer has submitted at the desk."""
    at_desk(composer).post(url(draft, "submit"))
    draft.refresh_from_db()
    assert draft.state == State.SUBMITTED
    return draft


def url(job: SendJob, name: str) -> str:
    return reverse("admin:jobs_sendjob_do", args=[job.pk, name])


def page(job: SendJob) -> str:
    return reverse("admin:jobs_sendjob_change", args=[job.pk])


def facts(job: SendJob) -> Any:
    return SendJob.objects.values().get(pk=job.pk), AuditEvent.objects.count()


def said(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def read(change: Any) -> tuple[str, str, str]:
    """A change in one line each: what is marked stands in brackets."""
    before, after = (
        "".join(f"[{piece.text}]" if piece.is_changed else piece.text for piece in pieces)
        for pieces in (change.before, change.after)
    )
    return change.label, before, after


def resubmitted(job: SendJob, by: User, **changes: Any) -> SendJob:
    jobs.reopen(job, by=by)
    SendJob.objects.filter(pk=job.pk).update(**changes)
    job = SendJob.objects.get(pk=job.pk)
    jobs.submit(job, by=by)
    return job


def test_the_dry_run_is_kept_when_a_job_is_submitted(job: SendJob) -> None:
    kept = Rehearsal.from_json(job.rehearsal)
    assert (kept.audience, kept.now, kept.by_reason["no_consent"]) == (3, 2, 1)


def test_everything_to_decide_about_stands_on_one_page(job: SendJob, approver: Client) -> None:
    answer = approver.get(url(job, "approve"))
    decision = answer.context["decision"]
    assert [card.title for card in answer.context["cards"]] == [job.template.title]
    assert answer.context["words"] == [("A", [("商品 (thing1)", "新鲜水果"), ("Page", "pages/order/detail")])]
    assert (decision.funnel.audience, decision.funnel.sent) == ("3", "2")
    assert (decision.since, decision.stale) == ("", [])
    text = answer.content.decode()
    assert [part in text for part in (url(job, "refuse"), 'name="seen"', job.purpose, job.audience.name)] == [True] * 4


def test_from_the_front_page_it_takes_three_clicks(job: SendJob, approver: Client) -> None:
    front = approver.get(reverse("admin:index")).content.decode()
    assert f'href="{page(job)}"' in front
    assert f'href="{url(job, "approve")}"' in approver.get(page(job)).content.decode()
    seen = approver.get(url(job, "approve")).context["decision"].seen
    approver.post(url(job, "approve"), {"seen": seen})
    job.refresh_from_db()
    assert job.state == State.SCHEDULED


def test_what_changed_since_the_last_time_is_shown_letter_by_letter(
    job: SendJob, composer: User, approver: Client
) -> None:
    Variant.objects.filter(job=job).update(texts={"thing1": "新鲜蔬果"}, page="pages/index")
    again = resubmitted(job, composer, purpose="They asked for it twice.")
    decision = approver.get(url(again, "approve")).context["decision"]
    assert decision.since.startswith("Changed since it was submitted on ")
    assert [read(change) for change in decision.changes] == [
        ("reason", "They asked for it.", "They asked for it[ twice]."),
        ("商品 (thing1)", "新鲜[水]果", "新鲜[蔬]果"),
        ("Page", "pages/[order/detail]", "pages/[index]"),
    ]


def test_it_is_compared_with_the_last_version_that_was_approved(
    job: SendJob, composer: User, colleague: Colleague, approver: Client
) -> None:
    jobs.approve(job, by=colleague("approver"))
    middle = resubmitted(job, composer, purpose="Another reason.")
    last = resubmitted(middle, composer, purpose="They asked for it!")
    decision = approver.get(url(last, "approve")).context["decision"]
    assert decision.since.startswith("Changed since it was approved on ")
    assert [read(change) for change in decision.changes] == [("reason", "They asked for it[.]", "They asked for it[!]")]


def widen(job: SendJob) -> None:
    Audience.objects.filter(pk=job.audience_id).update(rule={"regions": ["浙江"]})


def relabel(job: SendJob) -> None:
    TemplateField.objects.filter(template=job.template_id).update(label="活动")


def lengthen(job: SendJob) -> None:
    Audience.objects.filter(pk=job.audience_id).update(kind=Audience.Kind.LIST)
    AudienceMember.objects.create(audience=job.audience, subscriber=Subscriber.objects.order_by("pk")[0])


@pytest.mark.parametrize("change", [widen, relabel, lengthen])
def test_what_changed_behind_the_job_is_not_approved_before_it_was_looked_at(
    change: Any, job: SendJob, approver: Client
) -> None:
    seen = approver.get(url(job, "approve")).context["decision"].seen
    change(job)
    before = facts(job)

    assert said(approver.post(url(job, "approve"), {"seen": seen}))[-1] == CHANGED
    assert facts(job) == before
    assert said(approver.post(url(job, "approve")))[-1] == CHANGED
    assert facts(job) == before

    decision = approver.get(url(job, "approve")).context["decision"]
    assert len(decision.stale) >= 1
    approver.post(url(job, "approve"), {"seen": decision.seen})
    job.refresh_from_db()
    assert job.state == State.SCHEDULED
    assert versions.digest(job.versions[-1]["content"]) == decision.seen
    assert Rehearsal.from_json(job.rehearsal).audience == rehearse(job).audience


def test_a_change_of_the_rule_is_shown_in_words(job: SendJob, approver: Client) -> None:
    widen(job)
    decision = approver.get(url(job, "approve")).context["decision"]
    (change,) = decision.stale
    assert (change.label, "".join(piece.text for piece in change.before)) == ("who is meant", "everybody")


@pytest.mark.parametrize("name", ["approve", "start"])
def test_above_the_threshold_the_name_of_the_job_is_typed(
    name: str, job: SendJob, colleague: Colleague, at_desk: At
) -> None:
    MiniProgram.objects.update(approval_threshold=1)
    if name == "start":
        jobs.approve(job, by=colleague("approver"))
    desk = at_desk(colleague(None))
    before = facts(job)

    assert desk.get(url(job, name)).context["needs_name"]
    for typed in ({}, {"name": "Job"}):
        answer = desk.post(url(job, name), typed)
        assert answer.context["error"] == "Type the name of the job exactly as it stands above."
        assert facts(job) == before

    desk.post(url(job, name), {"name": job.name})
    job.refresh_from_db()
    assert job.state == {"approve": State.SCHEDULED, "start": State.RUNNING}[name]


def test_for_a_few_people_nothing_is_typed(job: SendJob, approver: Client) -> None:
    assert not approver.get(url(job, "approve")).context["needs_name"]


def test_who_submitted_it_does_not_approve_it_either(draft: SendJob, colleague: Colleague, at_desk: At) -> None:
    helper = colleague(None)
    jobs.submit(draft, by=helper)
    desk = at_desk(helper)
    before = facts(draft)
    answer = desk.post(url(draft, "approve"), {"seen": versions.digest(versions.content_of(draft))})
    assert said(answer) == ["Your own job has to be approved by somebody else."]
    assert facts(draft) == before


def test_the_finished_job_shows_what_was_expected_and_what_became(
    job: SendJob, colleague: Colleague, at_desk: At, composer: User
) -> None:
    jobs.approve(job, by=colleague("approver"))
    Subscriber.objects.filter(pk=Subscriber.objects.order_by("pk")[0].pk).update(invalid_at=timezone.now())
    jobs.start(job)
    while fanout.step(job):
        pass
    claims.claim(SendJob.objects.get(pk=job.pk), limit=10, wordings=Wordings())
    Delivery.objects.filter(state="claimed").update(state="sending")
    Delivery.objects.filter(state="sending").update(state="accepted", settled_at=timezone.now())
    jobs.finish(SendJob.objects.get(pk=job.pk))

    lines = at_desk(composer).get(page(job)).context["compared"]

    assert [(line.label, line.expected, line.became, line.differs) for line in lines] == [
        ("people in all", "3", "3", False),
        ("got it, or may have got it", "2", "1", True),
        ("no consent in stock", "1", "1", False),
        ("WeChat does not know this person any more", "0", "1", True),
    ]


def test_versions_are_kept_ten_deep(draft: SendJob, composer: User) -> None:
    job = draft
    for number in range(12):
        SendJob.objects.filter(pk=job.pk).update(purpose=f"Reason {number}")
        job = SendJob.objects.get(pk=job.pk)
        jobs.submit(job, by=composer)
        jobs.reopen(job, by=composer)
        job = SendJob.objects.get(pk=job.pk)
    assert [version["content"]["purpose"] for version in job.versions] == [f"Reason {n}" for n in range(2, 12)]
