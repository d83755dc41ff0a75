"""Every page opens for those who may see it, with the same number of queries whatever it shows."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin as django_admin
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import strip_tags

from notify_platform.console.desk import lists
from notify_platform.console.desk.base import LogAdmin
from notify_platform.core.models import AuditEvent
from subscriptions.grants import wishes
from subscriptions.models import Subscriber, Subscription, Visit
from tests import factories
from tests.console.conftest import At, Colleague, a_row_of_everything

MODELS: list[Any] = sorted(django_admin.site._registry, key=lambda model: model._meta.label)
LABELS = [model._meta.label for model in MODELS]


def list_url(model: Any) -> str:
    return reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_changelist")


def page_url(row: Any) -> str:
    return reverse(f"admin:{row._meta.label_lower.replace('.', '_')}_change", args=[row.pk])


def queries_of(client: Client, url: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(url).status_code == 200
    return len(captured)


def test_the_queue_has_no_pages() -> None:
    assert [label for label in LABELS if label.startswith("django_q.")] == []


@pytest.mark.django_db
def test_every_list_takes_the_same_queries_for_a_row_as_for_many(admin: Client) -> None:
    # One mini-program hides its filter, and the first request warms caches: both are out of the way after this.
    a_row_of_everything()
    a_row_of_everything()
    for model in MODELS:
        admin.get(list_url(model))
    few = {model._meta.label: queries_of(admin, list_url(model)) for model in MODELS}
    a_row_of_everything()
    a_row_of_everything()
    Group.objects.create(name="by hand")
    assert {model._meta.label: queries_of(admin, list_url(model)) for model in MODELS} == few
    assert max(few.values()) <= 10


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["viewer", "operator", "approver", "engineer", None])
def test_lists_and_pages_open_exactly_for_those_who_may_see_them(
    role: str | None, colleague: Colleague, at_desk: At
) -> None:
    a_row_of_everything()
    user = colleague(role)
    client = at_desk(user)
    seen, allowed = {}, {}
    for model in MODELS:
        row = model.objects.order_by("pk").first()
        may = user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}")
        allowed[model._meta.label] = (200, 200) if may else (403, 403)
        seen[model._meta.label] = (client.get(list_url(model)).status_code, client.get(page_url(row)).status_code)
    assert seen == allowed


@pytest.mark.django_db
def test_a_log_can_be_neither_added_to_nor_changed_nor_deleted_even_by_an_administrator(admin: Client) -> None:
    a_row_of_everything()
    logs = [model for model in MODELS if isinstance(django_admin.site._registry[model], LogAdmin)]
    assert len(logs) > 15
    for model in logs:
        row = model.objects.order_by("pk").first()
        before = list(model.objects.order_by("pk").values())
        name = model._meta.label_lower.replace(".", "_")
        refused = (
            admin.get(reverse(f"admin:{name}_add")).status_code,
            admin.post(reverse(f"admin:{name}_delete", args=[row.pk]), {"post": "yes"}).status_code,
            admin.post(page_url(row), {}).status_code,
        )
        assert refused == (403, 403, 403), name
        admin.post(list_url(model), {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
        assert list(model.objects.order_by("pk").values()) == before


@pytest.mark.django_db
def test_the_sidebar_shows_what_a_colleague_may_see(colleague: Colleague, at_desk: At) -> None:
    viewer = at_desk(colleague("viewer")).get(reverse("admin:index")).content.decode()
    engineer = at_desk(colleague("engineer")).get(reverse("admin:index")).content.decode()
    assert (list_url(AuditEvent) in viewer, list_url(AuditEvent) in engineer) == (False, True)
    assert (list_url(Subscriber) in viewer, list_url(User) in engineer) == (True, False)


@pytest.mark.django_db
def test_somebody_without_a_role_sees_no_numbers(at_desk: At, django_user_model: Any) -> None:
    a_row_of_everything()
    nobody = django_user_model.objects.create_user("nobody", password="x", is_staff=True)
    response = at_desk(nobody).get(reverse("admin:index"))
    assert response.status_code == 200
    assert "boards" not in response.context


@pytest.mark.django_db
def test_a_stranger_is_sent_to_the_login_and_from_there_to_the_front_page(client: Client, colleague: Colleague) -> None:
    colleague("viewer", name="vera")
    login = reverse("admin:login")
    page = client.get(login)
    assert f'name="next" value="{reverse("admin:index")}"' in page.content.decode()
    answer = client.post(login, {"username": "vera", "password": "pass-word-1", "next": page.context["next"]})
    assert (answer.status_code, answer["Location"]) == (302, reverse("admin:index"))


@pytest.mark.django_db
def test_a_long_log_is_counted_up_to_the_cap(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    person = a_row_of_everything()["person"]
    monkeypatch.setattr(lists, "CAP", 3)
    first = Visit.objects.get()
    Visit.objects.bulk_create([Visit(subscriber=person, page="p", at=first.at) for _ in range(2)])
    assert "3 in all" in admin.get(list_url(Visit)).content.decode()
    Visit.objects.create(subscriber=person, page="p", at=first.at)
    assert "3+ in all" in admin.get(list_url(Visit)).content.decode()


@pytest.mark.django_db
def test_a_role_is_shown_with_its_permissions_in_words(admin: Client) -> None:
    page = admin.get(page_url(Group.objects.get(name="approver"))).content.decode()
    assert "send job: may approve and refuse" in page
    assert "Can approve" not in page


@pytest.mark.django_db
def test_what_an_administrator_does_leaves_a_row_in_the_audit_trail(admin: Client) -> None:
    group = Group.objects.get(name="viewer")
    keep = list(group.permissions.values_list("pk", flat=True))
    admin.post(page_url(group), {"name": "readers", "permissions": keep})
    row = AuditEvent.objects.get(action="change")
    assert (row.subject, row.detail) == (f"group {group.pk}", {"changes": {"name": ["viewer", "readers"]}})
    assert row.actor_id == User.objects.get(is_superuser=True).pk


@pytest.mark.django_db
def test_a_relation_that_only_notes_a_wish_has_no_state_at_the_desk() -> None:
    template = factories.a_template(factories.a_mini_program())
    (person,) = factories.subscribers(template.mini_program, count=1)
    wishes.change(person, changes={"muted": [template]})
    desk = django_admin.site._registry[Subscription]

    def shown() -> str:
        return strip_tags(desk.state_label(Subscription.objects.get())).strip()

    assert shown() == "—"
    factories.grants(template, to=[person])
    assert shown() == "on"


@pytest.mark.django_db
def test_the_head_of_the_upload_page_says_what_it_is_behind_the_list_it_belongs_to(admin: Client) -> None:
    head = admin.get(reverse("admin:subscriptions_audience_upload")).content.decode()
    trail = strip_tags(head.partition("<h1")[2].partition("</h1>")[0].partition(">")[2])
    assert [each.strip() for each in trail.split("chevron_right")] == ["Subscriptions", "Audiences", "Upload a list"]
