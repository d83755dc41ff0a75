"""A person's own data at the desk: exported and forgotten by POST, by those who may."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from notify_platform.core.models import AuditEvent
from subscriptions.models import Subscriber
from tests.console.conftest import At, Colleague, a_row_of_everything

pytestmark = pytest.mark.django_db
PAGES = ("privacy", "export", "forget")


@pytest.fixture
def person() -> Subscriber:
    found: Subscriber = a_row_of_everything()["person"]
    return found


@pytest.fixture
def engineer(colleague: Colleague, at_desk: At) -> Client:
    return at_desk(colleague("engineer", name="erin"))


def url(page: str, person: Subscriber) -> str:
    return reverse(f"admin:subscriptions_subscriber_{page}", args=[person.pk])


def facts() -> list[Any]:
    return [list(Subscriber.objects.order_by("pk").values()), AuditEvent.objects.count()]


def said(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def test_an_engineer_downloads_everything_about_a_person(person: Subscriber, engineer: Client) -> None:
    response = engineer.post(url("export", person))

    told = json.loads(response.getvalue())
    assert told["person"]["openid"] == person.openid
    assert response.headers["Content-Disposition"] == f'attachment; filename="person-{person.pk}.json"'
    assert "no-store" in response.headers["Cache-Control"]
    row = AuditEvent.objects.get(action="export")
    assert (row.actor.username if row.actor else None, row.subject) == ("erin", f"subscriber {person.pk}")


def test_an_engineer_forgets_a_person_once_the_box_is_ticked(person: Subscriber, engineer: Client) -> None:
    before = facts()
    assert said(engineer.post(url("forget", person))) == ["Tick the box first: it cannot be taken back."]
    assert facts() == before

    response = engineer.post(url("forget", person), {"meant": "on"})

    assert said(response)[-1] == "The person is forgotten."
    assert Subscriber.objects.get(pk=person.pk).forgotten_at is not None
    row = AuditEvent.objects.get(action="forget")
    assert (row.actor.username if row.actor else None, row.detail) == ("erin", {"openid": person.masked_openid})
    page = engineer.get(reverse("admin:subscriptions_subscriber_change", args=[person.pk])).content.decode()
    assert (person.openid in page, "forgotten" in page) == (False, True)


def test_forgetting_twice_is_told_and_changes_nothing(person: Subscriber, engineer: Client) -> None:
    engineer.post(url("forget", person), {"meant": "on"})
    before = facts()

    response = engineer.post(url("forget", person), {"meant": "on"})

    assert said(response)[-1] == "This person had been forgotten before."
    assert facts() == before
    assert engineer.get(url("privacy", person)).context["may_forget"] is False


def test_looking_changes_nothing(person: Subscriber, engineer: Client) -> None:
    before = facts()
    assert [engineer.get(url(page, person)).status_code for page in PAGES] == [200, 405, 405]
    assert facts() == before


@pytest.mark.parametrize("role", ["viewer", "operator", "approver"])
def test_others_see_no_button_and_may_nothing(role: str, person: Subscriber, colleague: Colleague, at_desk: At) -> None:
    desk = at_desk(colleague(role))
    before = facts()

    answers = [
        desk.get(url("privacy", person)),
        desk.post(url("export", person)),
        desk.post(url("forget", person), {"meant": "on"}),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert facts() == before
    own_page = desk.get(reverse("admin:subscriptions_subscriber_change", args=[person.pk])).content.decode()
    assert url("privacy", person) not in own_page


def test_a_forged_post_changes_nothing(person: Subscriber, colleague: Colleague) -> None:
    desk = Client(enforce_csrf_checks=True)
    desk.force_login(colleague("engineer"))
    before = facts()

    assert [desk.post(url(page, person), {"meant": "on"}).status_code for page in ("export", "forget")] == [403, 403]
    assert facts() == before


def test_a_person_that_does_not_exist_is_not_found(engineer: Client) -> None:
    for page in ("export", "forget"):
        assert engineer.post(reverse(f"admin:subscriptions_subscriber_{page}", args=[999_999])).status_code == 404
