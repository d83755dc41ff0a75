"""Series at the desk: a draft gets a schedule, the page says what comes, buttons pause and end it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from notify_platform.core.models import AuditEvent
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob, Series
from tests import factories
from tests.console.conftest import At, Colleague

State = SendJob.State
FORM = {"weekdays": ["1", "3"], "at_time": "09:00", "starts_on": "2026-11-23", "ends_on": "", "within_hours": "6"}


@pytest.fixture
def operator(colleague: Colleague) -> User:
    return colleague("operator")


@pytest.fixture
def desk(operator: User, at_desk: At) -> Client:
    return at_desk(operator)


@pytest.fixture
def draft(operator: User) -> SendJob:
    template = factories.a_template(factories.a_mini_program(approval_threshold=0))
    return factories.a_job(template, created_by=operator)


def form_of(job: SendJob) -> str:
    return reverse("admin:jobs_sendjob_repeat", args=[job.pk])


def job_page(job: SendJob) -> str:
    return reverse("admin:jobs_sendjob_change", args=[job.pk])


def page(row: Series) -> str:
    return reverse("admin:jobs_series_change", args=[row.pk])


def deed(row: Series, name: str) -> str:
    return reverse("admin:jobs_series_do", args=[row.pk, name])


def facts() -> list[Any]:
    rows = [list(model.objects.order_by("pk").values()) for model in (Series, SendJob)]
    return [*rows, AuditEvent.objects.count()]


@pytest.fixture
def running(draft: SendJob, desk: Client) -> Series:
    desk.post(form_of(draft), FORM)
    draft.refresh_from_db()
    jobs.submit(draft, by=draft.created_by)
    jobs.approve(draft, by=factories.a_user())
    return Series.objects.get()


def test_a_draft_leads_to_its_schedule_and_back(draft: SendJob, desk: Client) -> None:
    assert form_of(draft) in desk.get(job_page(draft)).content.decode()
    answer: Any = desk.post(form_of(draft), FORM)
    assert answer.url == job_page(draft)
    row = Series.objects.get()
    assert (row.weekdays, f"{row.at_time:%H:%M}", row.within_hours, row.ends_on) == ([1, 3], "09:00", 6, None)
    text = desk.get(job_page(draft)).content.decode()
    assert ("Monday, Wednesday 9 a.m. · from " in text, page(row) in text) == (True, True)
    assert desk.get(form_of(draft)).context["form"].initial["weekdays"] == [1, 3]


def test_a_schedule_that_is_wrong_says_where_and_changes_nothing(draft: SendJob, desk: Client) -> None:
    before = facts()
    form = desk.post(form_of(draft), {**FORM, "weekdays": [], "within_hours": "99"}).context["form"]
    assert set(form.errors) == {"weekdays", "within_hours"}
    form = desk.post(form_of(draft), {**FORM, "ends_on": "2026-11-01"}).context["form"]
    assert form.errors == {"ends_on": ["The last day lies before the first."]}
    assert facts() == before


def test_a_schedule_can_be_ended_while_it_is_a_draft(draft: SendJob, desk: Client) -> None:
    desk.post(form_of(draft), FORM)
    desk.post(form_of(draft), {"_once": "yes"})
    draft.refresh_from_db()
    assert (draft.series, Series.objects.count()) == (None, 0)


def test_an_approved_job_has_to_be_taken_back_first(running: Series, draft: SendJob, desk: Client) -> None:
    assert form_of(draft) not in desk.get(job_page(draft)).content.decode()
    before = facts()
    form = desk.post(form_of(draft), {**FORM, "weekdays": ["5"]}).context["form"]
    assert form.non_field_errors() == ["Only a draft can be repeated: take the job back first."]
    assert facts() == before


def test_an_approved_pattern_cannot_be_started_by_hand(running: Series, draft: SendJob, desk: Client) -> None:
    assert [one.name for one in desk.get(job_page(draft)).context["deeds"]] == ["reopen", "cancel"]
    before = facts()
    desk.post(reverse("admin:jobs_sendjob_do", args=[draft.pk, "start"]))
    assert facts() == before


def test_the_page_shows_the_next_five_and_what_has_been(running: Series, draft: SendJob, desk: Client) -> None:
    local = timezone.localdate()
    job = jobs.make_occurrence(draft, day=local, starts_at=timezone.now(), not_after=timezone.now())
    context = desk.get(page(running)).context
    assert len(context["next_ones"]) == 5
    assert {one.day.isoweekday() for one in context["next_ones"]} == {1, 3}
    assert [made.pk for made, _label in context["made"]] == [job.pk]
    assert (context["pattern"], [one.name for one in context["deeds"]]) == (draft, ["pause", "end"])


def test_the_list_says_how_each_series_stands(running: Series, draft: SendJob, desk: Client) -> None:
    def label() -> str:
        (row,) = desk.get(reverse("admin:jobs_series_changelist")).context["cl"].result_list
        return str(desk.get(reverse("admin:jobs_series_changelist")).context["cl"].model_admin.state_word(row))

    assert label() == '<span class="desk-label desk-good">active</span>'
    Series.objects.update(is_active=False)
    assert label() == '<span class="desk-label desk-warn">paused</span>'
    Series.objects.update(is_active=True)
    SendJob.objects.filter(pk=draft.pk).update(state=SendJob.State.DRAFT)
    assert label() == '<span class="desk-label desk-idle">draft</span>'


def test_buttons_ask_first_and_act_by_post_alone(running: Series, draft: SendJob, desk: Client) -> None:
    before = facts()
    for name in ("pause", "end"):
        assert desk.get(deed(running, name)).status_code == 200
    assert facts() == before
    desk.post(deed(running, "pause"))
    running.refresh_from_db()
    assert running.is_active is False
    assert [one.name for one in desk.get(page(running)).context["deeds"]] == ["resume", "end"]
    desk.post(deed(running, "resume"))
    running.refresh_from_db()
    assert running.is_active is True
    desk.post(deed(running, "end"))
    draft.refresh_from_db()
    assert draft.state == State.CANCELLED
    assert desk.get(page(running)).context["deeds"] == []


@pytest.mark.parametrize("role", ["viewer", "approver", "engineer"])
def test_only_an_operator_sets_and_stops_a_series(
    running: Series, draft: SendJob, colleague: Colleague, at_desk: At, role: str
) -> None:
    other = at_desk(colleague(role))
    before = facts()
    refused = [
        other.post(deed(running, "pause")).status_code,
        other.post(form_of(draft), FORM).status_code,
        other.get(form_of(draft)).status_code,
    ]
    assert refused == [403, 403, 403]
    assert other.get(page(running)).context["deeds"] == []
    assert facts() == before
