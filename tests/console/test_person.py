"""One person's page: everything that happened, the newest first, in the same queries whatever there is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from notify_platform.console.desk import person as page_of_a_person
from notify_platform.delivery.models import Delivery, Feedback, Open, Skip
from subscriptions.models import Answer, Grant, Subscriber, Visit
from tests import factories
from tests.console.conftest import At, Colleague, a_delivery, a_row_of_everything

pytestmark = pytest.mark.django_db


def url_of(person: Subscriber) -> str:
    return reverse("admin:subscriptions_subscriber_change", args=[person.pk])


def queries_of(client: Client, url: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url).status_code == 200
    return len(captured)


def sections(client: Client, person: Subscriber) -> dict[str, Any]:
    return {page.section.name: page for page in client.get(url_of(person)).context["pages"]}


def test_the_page_shows_everything_that_happened(admin: Client) -> None:
    rows = a_row_of_everything()
    found = sections(admin, rows["person"])
    assert {name: len(page.rows) for name, page in found.items()} == {
        **dict.fromkeys(("subscriptions", "grants", "messages", "left-out", "answers", "prompts"), 1),
        **dict.fromkeys(("opens", "conversions", "feedback", "drift", "visits"), 1),
    }
    page = admin.get(url_of(rows["person"])).content.decode()
    assert "40003" in page


@pytest.mark.parametrize("model", [Delivery, Skip, Open, Feedback, Visit, Grant, Answer], ids=lambda one: one.__name__)
def test_what_happened_to_a_person_leads_to_the_person(model: type[Model], admin: Client) -> None:
    person = a_row_of_everything()["person"]
    row = model._default_manager.filter(subscriber=person).latest("pk")
    page = admin.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk]))
    assert f'href="{url_of(person)}"' in page.content.decode()


def test_a_used_consent_names_its_message(admin: Client) -> None:
    program = factories.a_mini_program()
    template = factories.a_template(program)
    (person,) = factories.subscribers(program, count=1)
    factories.grants(template, to=[person], units=2)
    delivery = a_delivery(factories.a_job(template, name="Autumn"), person=person, state=Delivery.State.DELIVERED)
    rows = sections(admin, person)["grants"].rows
    messages = sorted(str(row[-1]) for row in rows)
    address = reverse("admin:delivery_delivery_change", args=[delivery.pk])
    assert messages == [f'<a class="desk-link" href="{address}">Autumn</a>', "—"]


def test_twenty_are_shown_and_older_ones_follow_by_key(admin: Client) -> None:
    (person,) = factories.subscribers(factories.a_mini_program(), count=1)
    now = timezone.now()
    Visit.objects.bulk_create(
        Visit(subscriber=person, page=f"p{number}", at=now + timedelta(seconds=number)) for number in range(45)
    )
    first = sections(admin, person)["visits"]
    assert [row[1] for row in first.rows] == [f"p{number}" for number in range(44, 24, -1)]
    url = reverse("admin:subscriptions_subscriber_history_of", args=[person.pk, "visits"])
    rest = admin.get(f"{url}?after={first.older}").context["page"]
    assert ([row[1] for row in rest.rows], rest.older) == ([f"p{number}" for number in range(24, -1, -1)], None)


def test_the_same_queries_for_one_row_and_for_hundreds(admin: Client) -> None:
    rows = a_row_of_everything()
    person, template = rows["person"], rows["template"]
    admin.get(url_of(person))
    few = queries_of(admin, url_of(person))
    factories.grants(template, to=[person], units=300)
    now = timezone.now()
    Visit.objects.bulk_create(Visit(subscriber=person, page="p", at=now) for _ in range(300))
    for number in range(5):
        job = factories.a_job(factories.a_template(rows["program"]), name=f"J{number}")
        a_delivery(job, person=person, state=Delivery.State.FAILED, error_code=43101)
    assert queries_of(admin, url_of(person)) == few


def test_what_somebody_may_not_see_is_not_shown(admin: Client, colleague: Colleague, at_desk: At) -> None:
    rows = a_row_of_everything()
    viewer = colleague("viewer")
    viewer.groups.clear()
    viewer.user_permissions.set(Permission.objects.filter(codename__in=["view_subscriber", "view_visit"]))
    client = at_desk(viewer)
    assert list(sections(client, rows["person"])) == ["visits"]
    url = reverse("admin:subscriptions_subscriber_history_of", args=[rows["person"].pk, "grants"])
    assert (client.get(url).status_code, admin.get(url).status_code) == (403, 200)
    nowhere = reverse("admin:subscriptions_subscriber_history_of", args=[rows["person"].pk, "nowhere"])
    assert admin.get(nowhere).status_code == 404


def test_people_are_found_by_a_whole_openid_and_by_how_a_nickname_begins(admin: Client) -> None:
    program = factories.a_mini_program()
    (one,) = factories.subscribers(program, count=1, nickname="晴天小雨")
    factories.subscribers(program, count=1, nickname="雨天")

    def found(term: str) -> list[int]:
        url = reverse("admin:subscriptions_subscriber_changelist")
        return [row.pk for row in admin.get(url, {"q": term}).context["cl"].result_list]

    assert (found("晴天"), found(one.openid), found(one.openid[:10]), found("小雨")) == ([one.pk], [one.pk], [], [])


def test_every_section_has_cells_for_its_headings(admin: Client) -> None:
    rows = a_row_of_everything()
    for page in sections(admin, rows["person"]).values():
        assert [len(row) for row in page.rows] == [len(page.section.headings)], page.section.name
    assert len({section.name for section in page_of_a_person.SECTIONS}) == len(page_of_a_person.SECTIONS)
