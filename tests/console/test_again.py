"""Unknown results settled by a person, and a new job for those who surely got nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from notify_platform.core.models import AuditEvent
from notify_platform.delivery import again
from notify_platform.delivery.models import Delivery, Reason, Skip
from notify_platform.insights import books
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob
from subscriptions.audience import selection
from subscriptions.models import Audience, Grant
from tests import factories
from tests.console.conftest import At, Colleague, a_delivery

State = Delivery.State

# One person for each: what became of the message, and the cause under which they are offered.
FATES: dict[str, tuple[State, dict[str, Any]]] = {
    "code:47003": (State.FAILED, {"error_code": 47003}),
    "code:40003": (State.FAILED, {"error_code": 40003}),
    "code:-": (State.FAILED, {}),
    "reason:content": (State.SKIPPED, {"reason": Reason.CONTENT}),
    "reason:muted": (State.SKIPPED, {"reason": Reason.MUTED}),
    "cancelled": (State.CANCELLED, {}),
}
# What may have arrived, or may still; and who must not be asked for again.
OTHERS = (
    (State.UNKNOWN, {"armed_at": timezone.now()}),
    (State.ACCEPTED, {}),
    (State.DELIVERED, {}),
    (State.UNDELIVERED, {}),
    (State.WAITING, {}),
    (State.SENDING, {}),
    (State.SKIPPED, {"reason": Reason.FORGOTTEN}),
)


@pytest.fixture
def job(db: None) -> SendJob:
    """A job in which everything has happened, and one person had no consent at the start."""
    template = factories.a_template(factories.a_mini_program())
    job = factories.a_running_job(template, created_by=factories.a_user(), pace_per_second=7)
    people = factories.subscribers(template.mini_program, count=len(FATES) + len(OTHERS) + 1)
    factories.grants(template, to=people)
    for person, (state, values) in zip(people, [*FATES.values(), *OTHERS], strict=False):
        a_delivery(job, person=person, state=state, **values)
    Skip.objects.create(job=job, subscriber=people[-1], reason=Reason.NO_CONSENT)
    jobs.pause(job, by=factories.a_user())
    SendJob.objects.filter(pk=job.pk).update(fanned_out_at=timezone.now(), audience_size=len(people))
    job.refresh_from_db()
    return job


@pytest.fixture
def operator(colleague: Colleague) -> User:
    return colleague("operator")


@pytest.fixture
def desk(operator: User, at_desk: At) -> Client:
    return at_desk(operator)


def deed(job: SendJob, name: str) -> str:
    return reverse("admin:jobs_sendjob_do", args=[job.pk, name])


def page(job: SendJob) -> str:
    return reverse("admin:jobs_sendjob_follow_up", args=[job.pk])


def said(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def everything(job: SendJob) -> list[Any]:
    return [
        list(Delivery.objects.order_by("pk").values()),
        list(Grant.objects.order_by("pk").values()),
        list(SendJob.objects.order_by("pk").values()),
        Audience.objects.count(),
        AuditEvent.objects.count(),
    ]


# --- unknown results -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "state", "grant", "verdict"),
    [
        ("settle_sent", State.ACCEPTED, "spent", "sent"),
        ("settle_not_sent", State.FAILED, "available", "not sent"),
    ],
)
def test_an_operator_settles_all_unknown_results_of_a_job(
    job: SendJob, desk: Client, operator: User, name: str, state: State, grant: str, verdict: str
) -> None:
    row = Delivery.objects.get(state=State.UNKNOWN)
    assert desk.post(deed(job, name), {"reason": "The log says so."}).status_code == 302
    row.refresh_from_db()
    held = Grant.objects.get(subscriber=row.subscriber)
    assert (row.state, held.state, row.settled_at is not None) == (state, grant, True)
    event = AuditEvent.objects.get(action="settle_unknown")
    assert (event.actor, event.subject, event.mini_program) == (operator, f"job {job.pk}", job.mini_program_id)
    assert event.detail == {"verdict": verdict, "messages": 1, "reason": "The log says so."}
    assert books.check() == []


def test_no_reason_settles_nothing(job: SendJob, desk: Client) -> None:
    before = everything(job)
    response = desk.post(deed(job, "settle_sent"), {"reason": " "})
    assert "Say how you know" in response.content.decode()
    assert everything(job) == before


def test_asking_settles_nothing(job: SendJob, desk: Client) -> None:
    before = everything(job)
    assert desk.get(deed(job, "settle_not_sent")).status_code == 200
    assert everything(job) == before


@pytest.mark.parametrize("role", ["viewer", "approver", "engineer"])
def test_only_an_operator_settles(job: SendJob, colleague: Colleague, at_desk: At, role: str) -> None:
    other = at_desk(colleague(role))
    before = everything(job)
    assert other.post(deed(job, "settle_sent"), {"reason": "I say so."}).status_code == 403
    assert deed(job, "settle_sent") not in other.get(change_page(job)).content.decode()
    assert everything(job) == before


def change_page(job: SendJob) -> str:
    return reverse("admin:jobs_sendjob_change", args=[job.pk])


def test_a_job_offers_to_settle_only_while_something_is_unknown(job: SendJob, desk: Client) -> None:
    assert deed(job, "settle_sent") in desk.get(change_page(job)).content.decode()
    desk.post(deed(job, "settle_sent"), {"reason": "The log says so."})
    assert deed(job, "settle_sent") not in desk.get(change_page(job)).content.decode()
    before = everything(job)
    again_answer = desk.post(deed(job, "settle_not_sent"), {"reason": "No."})
    assert said(again_answer)[-1] == "The result of this message is known by now."
    assert everything(job) == before


def test_what_a_person_settled_is_told_so(job: SendJob, desk: Client) -> None:
    failures = desk.get(change_page(job)).context["progress"].failures
    assert [one.meaning for one in failures if one.code is None] == ["A person settled it as not sent."]


def settle_page(row: Delivery) -> str:
    return reverse("admin:delivery_delivery_settle", args=[row.pk])


@pytest.mark.parametrize(("verdict", "state"), [("sent", State.ACCEPTED), ("not_sent", State.FAILED)])
def test_an_operator_settles_one_message(
    job: SendJob, desk: Client, operator: User, verdict: str, state: State
) -> None:
    row = Delivery.objects.get(state=State.UNKNOWN)
    log = reverse("admin:delivery_delivery_change", args=[row.pk])
    assert settle_page(row) in desk.get(log).content.decode()
    answer: Any = desk.post(settle_page(row), {"verdict": verdict, "reason": "The person told us."})
    row.refresh_from_db()
    assert (answer.url, row.state) == (log, state)
    event = AuditEvent.objects.get(action="settle_unknown")
    assert (event.actor, event.subject) == (operator, f"delivery {row.pk}")
    assert settle_page(row) not in desk.get(log).content.decode()
    assert books.check() == []


@pytest.mark.parametrize("told", [{}, {"verdict": "sent"}, {"verdict": "maybe", "reason": "x"}, {"reason": "x"}])
def test_half_a_word_settles_no_message(job: SendJob, desk: Client, told: dict[str, str]) -> None:
    row = Delivery.objects.get(state=State.UNKNOWN)
    before = everything(job)
    assert desk.get(settle_page(row)).status_code == 200
    assert 'role="alert"' in desk.post(settle_page(row), told).content.decode()
    assert everything(job) == before


def test_what_is_known_cannot_be_settled(job: SendJob, desk: Client) -> None:
    row = Delivery.objects.get(state=State.DELIVERED)
    before = everything(job)
    answer = desk.post(settle_page(row), {"verdict": "not_sent", "reason": "x"})
    assert said(answer) == ["The result of this message is known by now."]
    assert everything(job) == before


def test_only_an_operator_settles_a_message(job: SendJob, colleague: Colleague, at_desk: At) -> None:
    row = Delivery.objects.get(state=State.UNKNOWN)
    other = at_desk(colleague("approver"))
    before = everything(job)
    assert other.post(settle_page(row), {"verdict": "sent", "reason": "x"}).status_code == 403
    assert everything(job) == before


# --- once more for those who got nothing -----------------------------------------------------------------------------


def test_everybody_who_surely_got_nothing_is_offered_by_cause(job: SendJob, desk: Client) -> None:
    groups = desk.get(page(job)).context["groups"]
    ticked = {"code:47003", "code:-", "reason:content", "cancelled", "reason:no_consent"}
    assert {(one.key, one.count, one.is_ticked) for one in groups} == {
        (key, "1", key in ticked) for key in [*FATES, "reason:no_consent"]
    }


def test_the_new_draft_is_for_the_chosen_people_and_nobody_else(job: SendJob, desk: Client, operator: User) -> None:
    chosen = ["code:47003", "code:-", "reason:content", "cancelled", "reason:no_consent"]
    expected = set(
        Delivery.objects.filter(job=job, error_code=47003).values_list("subscriber", flat=True)
        | Delivery.objects.filter(job=job, state=State.FAILED, error_code=None).values_list("subscriber", flat=True)
        | Delivery.objects.filter(job=job, state=State.CANCELLED).values_list("subscriber", flat=True)
        | Delivery.objects.filter(job=job, reason=Reason.CONTENT).values_list("subscriber", flat=True)
    ) | {Skip.objects.get().subscriber_id}
    answer: Any = desk.post(page(job), {"keys": chosen})
    draft = SendJob.objects.latest("pk")
    assert answer.url == change_page(draft)
    assert {person.pk for person in selection.people(draft.audience)} == expected
    assert (draft.state, draft.created_by, draft.pace_per_second, draft.starts_at) == ("draft", operator, 7, None)
    assert [each.texts for each in draft.variants.all()] == [each.texts for each in job.variants.all()]
    event = AuditEvent.objects.get(action="follow_up")
    assert (event.subject, event.detail) == (f"job {draft.pk}", {"source": job.pk, "people": 5})


@pytest.mark.parametrize("keys", [[], ["code:1"], ["unknown"], ["reason:forgotten"], ["state:delivered"]])
def test_whoever_may_have_got_it_cannot_be_chosen(job: SendJob, desk: Client, keys: list[str]) -> None:
    before = everything(job)
    response = desk.post(page(job), {"keys": keys})
    assert "Choose at least one group of people." in response.content.decode()
    assert everything(job) == before


def test_asking_whom_makes_nothing(job: SendJob, desk: Client) -> None:
    before = everything(job)
    assert desk.get(page(job)).status_code == 200
    assert everything(job) == before


def test_only_who_writes_jobs_makes_one(job: SendJob, colleague: Colleague, at_desk: At) -> None:
    other = at_desk(colleague("approver"))
    before = everything(job)
    assert (other.get(page(job)).status_code, other.post(page(job), {"keys": ["cancelled"]}).status_code) == (403, 403)
    assert page(job) not in other.get(change_page(job)).content.decode()
    assert everything(job) == before


def test_a_second_list_of_one_job_has_a_name_of_its_own(job: SendJob, operator: User) -> None:
    names = [again.follow_up(job, keys=["cancelled"], by=operator).audience.name for _time in range(3)]
    assert names == [f"Not reached: {job.name}{more}" for more in ("", " (2)", " (3)")]


def test_the_page_takes_the_same_queries_however_many_people(job: SendJob, desk: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert desk.get(page(job)).status_code == 200
        return len(captured)

    queries()
    few = queries()
    for person in factories.subscribers(job.mini_program, count=20):
        Skip.objects.create(job=job, subscriber=person, reason=Reason.NO_CONSENT)
    assert queries() == few
