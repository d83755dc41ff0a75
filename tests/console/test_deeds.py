"""The buttons of a job: shown to whom, asked before, done by POST alone."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from notify_platform.console.desk.jobs.deeds import DEEDS
from notify_platform.core.models import AuditEvent
from notify_platform.delivery import settlement
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob
from notify_platform.wechat.outcomes import outcome_of_code
from templates_app.models import MessageTemplate
from tests import factories
from tests.console.conftest import At, Colleague

State = SendJob.State


@pytest.fixture
def composer(colleague: Colleague) -> User:
    return colleague("operator")


@pytest.fixture
def template(db: None) -> MessageTemplate:
    return factories.a_template(factories.a_mini_program(approval_threshold=0))


@pytest.fixture
def in_state(template: MessageTemplate, composer: User) -> Any:
    """Bring a job of the composer into a state by the verbs that lead there."""

    def bring(state: SendJob.State) -> SendJob:
        job = factories.a_job(template, created_by=composer)
        somebody = factories.a_user()
        if state != State.DRAFT:
            jobs.submit(job, by=composer)
        if state not in {State.DRAFT, State.SUBMITTED}:
            jobs.approve(job, by=somebody)
        if state not in {State.DRAFT, State.SUBMITTED, State.SCHEDULED}:
            jobs.start(job, by=somebody)
        if state == State.PAUSED:
            jobs.pause(job, by=somebody)
        if state == State.CANCELLED:
            jobs.cancel(job, by=somebody)
        if state == State.FINISHED:
            assert jobs.finish(job)
        job.refresh_from_db()
        assert job.state == state
        return job

    return bring


def url(job: SendJob, name: str) -> str:
    return reverse("admin:jobs_sendjob_do", args=[job.pk, name])


def page(job: SendJob) -> str:
    return reverse("admin:jobs_sendjob_change", args=[job.pk])


def facts(job: SendJob) -> list[Any]:
    return [SendJob.objects.filter(pk=job.pk).values().get(), AuditEvent.objects.count()]


def said(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


# --- who sees which button -----------------------------------------------------------------------------------------

BUTTONS: dict[SendJob.State, dict[str, list[str]]] = {
    State.DRAFT: {"operator": ["submit", "cancel"], "approver": [], "viewer": [], "engineer": []},
    State.SUBMITTED: {
        "operator": ["reopen", "cancel"],
        "approver": ["approve", "refuse"],
        "viewer": [],
        "engineer": [],
    },
    State.SCHEDULED: {"operator": ["reopen", "start", "cancel"], "approver": [], "viewer": [], "engineer": []},
    State.RUNNING: {"operator": ["pause", "cancel"], "approver": [], "viewer": [], "engineer": []},
    State.PAUSED: {"operator": ["resume", "cancel"], "approver": [], "viewer": [], "engineer": []},
    State.FINISHED: {"operator": [], "approver": [], "viewer": [], "engineer": []},
    State.CANCELLED: {"operator": [], "approver": [], "viewer": [], "engineer": []},
}


@pytest.mark.parametrize("state", State)
def test_each_role_sees_its_buttons(state: SendJob.State, in_state: Any, colleague: Colleague, at_desk: At) -> None:
    job = in_state(state)
    seen = {}
    for role in BUTTONS[state]:
        response = at_desk(colleague(role)).get(page(job))
        assert response.status_code == 200
        seen[role] = [deed.name for deed in response.context["deeds"]]
    assert seen == BUTTONS[state]


def test_a_page_links_to_the_questions_of_its_buttons(in_state: Any, colleague: Colleague, at_desk: At) -> None:
    job = in_state(State.RUNNING)
    text = at_desk(colleague("operator")).get(page(job)).content.decode()
    assert [name for name in DEEDS if url(job, name) in text] == ["pause", "cancel"]


def test_nobody_sees_approval_of_ones_own_job(template: MessageTemplate, admin: Client) -> None:
    me = User.objects.get(is_superuser=True)
    job = factories.a_job(template, created_by=me)
    jobs.submit(job, by=me)
    assert [deed.name for deed in admin.get(page(job)).context["deeds"]] == ["reopen", "cancel"]


def test_a_job_that_waits_for_wechats_quota_says_so_and_can_be_kept_from_going_on(
    in_state: Any, colleague: Colleague, at_desk: At
) -> None:
    job = in_state(State.RUNNING)
    settlement.pause_app(job.mini_program, outcome=outcome_of_code(45009), code=45009)
    desk = at_desk(colleague("operator"))
    response = desk.get(page(job))
    assert [deed.name for deed in response.context["deeds"]] == ["pause", "resume", "cancel"]
    assert "at the latest at midnight in Beijing: jobs then go on by themselves. (45009)" in response.content.decode()
    assert desk.get(url(job, "pause")).status_code == 200
    desk.post(url(job, "pause"))
    job.refresh_from_db()
    assert (job.state, job.pause_reason) == (State.PAUSED, SendJob.PauseReason.OPERATOR)
    assert [deed.name for deed in desk.get(page(job)).context["deeds"]] == ["resume", "cancel"]


# --- asking --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", State)
def test_looking_at_a_buttons_address_changes_nothing(state: SendJob.State, in_state: Any, admin: Client) -> None:
    job = in_state(state)
    before = facts(job)
    for name, deed in DEEDS.items():
        address = url(job, name)
        assert admin.get(address).status_code == (200 if state in deed.states else 302)
        assert [ask(address).status_code for ask in (admin.head, admin.put, admin.patch, admin.delete)] == [405] * 4
    assert facts(job) == before


def test_the_question_names_the_job_and_how_many_it_could_reach(in_state: Any, admin: Client) -> None:
    job = in_state(State.SUBMITTED)
    factories.grants(job.template, to=factories.subscribers(job.mini_program, count=3))
    response = admin.get(url(job, "approve"))
    assert (response.context["job"], response.context["reach"]) == (job, "3")


def test_a_button_that_does_not_exist_is_not_found(in_state: Any, admin: Client) -> None:
    job = in_state(State.DRAFT)
    assert admin.get(url(job, "explode")).status_code == 404
    assert admin.get(reverse("admin:jobs_sendjob_do", args=[999_999, "submit"])).status_code == 404


# --- doing ---------------------------------------------------------------------------------------------------------

ROADS = [
    ("submit", "operator", State.DRAFT, State.SUBMITTED),
    ("approve", "approver", State.SUBMITTED, State.SCHEDULED),
    ("refuse", "approver", State.SUBMITTED, State.DRAFT),
    ("reopen", "operator", State.SCHEDULED, State.DRAFT),
    ("start", "operator", State.SCHEDULED, State.RUNNING),
    ("pause", "operator", State.RUNNING, State.PAUSED),
    ("resume", "operator", State.PAUSED, State.RUNNING),
    ("cancel", "operator", State.PAUSED, State.CANCELLED),
]


@pytest.mark.parametrize(("name", "role", "frm", "to"), ROADS)
def test_a_button_does_its_deed_and_says_so(
    name: str, role: str, frm: SendJob.State, to: SendJob.State, in_state: Any, colleague: Colleague, at_desk: At
) -> None:
    job, user = in_state(frm), colleague(role)
    answer = at_desk(user).post(url(job, name), {"reason": "Because of the words."})
    job.refresh_from_db()
    assert (answer.status_code, answer["Location"], said(answer)) == (302, page(job), [str(DEEDS[name].done)])
    assert job.state == to
    last = AuditEvent.objects.latest("pk")
    assert (last.action, last.actor, last.subject) == (name, user, f"job {job.pk}")


@pytest.mark.parametrize(("name", "role", "frm", "to"), ROADS)
def test_a_forged_post_of_a_role_without_the_permission_changes_nothing(
    name: str, role: str, frm: SendJob.State, to: SendJob.State, in_state: Any, colleague: Colleague, at_desk: At
) -> None:
    job = in_state(frm)
    before = facts(job)
    others = {"viewer", "engineer", "operator", "approver"} - {role}
    for other in sorted(others):
        assert at_desk(colleague(other)).post(url(job, name), {"reason": "x"}).status_code == 403
    assert Client().post(url(job, name), {"reason": "x"}).status_code == 302
    assert facts(job) == before


def test_an_operator_cannot_approve_the_own_job_by_a_forged_post(in_state: Any, composer: User, at_desk: At) -> None:
    job = in_state(State.SUBMITTED)
    before = facts(job)
    assert at_desk(composer).post(url(job, "approve")).status_code == 403
    assert facts(job) == before


@pytest.mark.parametrize("name", ["approve", "refuse"])
def test_not_even_an_administrator_decides_about_the_own_job(
    name: str, template: MessageTemplate, admin: Client
) -> None:
    me = User.objects.get(is_superuser=True)
    job = factories.a_job(template, created_by=me)
    jobs.submit(job, by=me)
    before = facts(job)
    answer = admin.post(url(job, name), {"reason": "x"})
    assert said(answer) == ["This takes a second person: the job is your own."]
    assert facts(job) == before


def test_a_post_without_the_csrf_token_is_refused(in_state: Any, composer: User) -> None:
    job = in_state(State.RUNNING)
    forged = Client(enforce_csrf_checks=True)
    forged.force_login(composer)
    before = facts(job)
    assert forged.post(url(job, "cancel")).status_code == 403
    assert facts(job) == before


def test_refusing_without_a_reason_asks_again_and_changes_nothing(
    in_state: Any, colleague: Colleague, at_desk: At
) -> None:
    job = in_state(State.SUBMITTED)
    before = facts(job)
    answer = at_desk(colleague("approver")).post(url(job, "refuse"), {"reason": "  "})
    assert (answer.status_code, answer.context["error"]) == (200, "Say why, so that the composer can mend it.")
    assert facts(job) == before


def test_the_composer_reads_why_the_job_was_refused(
    in_state: Any, colleague: Colleague, composer: User, at_desk: At
) -> None:
    job = in_state(State.SUBMITTED)
    at_desk(colleague("approver")).post(url(job, "refuse"), {"reason": "Name the hour."})
    assert "Refused: Name the hour." in at_desk(composer).get(page(job)).content.decode()


def test_a_button_pressed_too_late_says_so(in_state: Any, colleague: Colleague, at_desk: At) -> None:
    job = in_state(State.FINISHED)
    before = facts(job)
    answer = at_desk(colleague("operator")).post(url(job, "pause"))
    assert said(answer) == ["Only a running job can be paused."]
    assert facts(job) == before


def test_a_job_that_cannot_be_sent_any_more_is_not_submitted(in_state: Any, colleague: Colleague, at_desk: At) -> None:
    job = in_state(State.DRAFT)
    MessageTemplate.objects.filter(pk=job.template_id).update(state=MessageTemplate.State.BANNED)
    before = facts(job)
    answer = at_desk(colleague("operator")).post(url(job, "submit"))
    assert said(answer) == ["WeChat does not take messages with this template any more."]
    assert facts(job) == before
