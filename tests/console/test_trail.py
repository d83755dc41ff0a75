"""The audit trail: what stood there before and after, in words, and found by what one looks for."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from notify_platform.console.desk import told
from notify_platform.console.desk.changes import HIDDEN
from notify_platform.core.models import AuditEvent, audit
from subscriptions.models import Scene, SceneTemplate
from tests import factories
from tests.console.test_pages import list_url, page_url


def form_of(client: Client, url: str) -> dict[str, Any]:
    """Return what a browser would send back of a page's forms, unchanged."""
    context = client.get(url).context
    forms = [context["adminform"].form]
    for inline in context["inline_admin_formsets"]:
        forms += [inline.formset.management_form, *inline.formset.forms]
    data = {}
    for form in forms:
        for field in form:
            value = field.value()
            if value is not None and value is not False:
                data[field.html_name] = "on" if value is True else value
    return data


@pytest.mark.django_db
def test_a_changed_field_is_told_before_and_after_and_a_secret_is_not(admin: Client) -> None:
    program = factories.a_mini_program(name="Old")
    form = form_of(admin, page_url(program))
    changed = {**form, "name": "New", "cap_per_day": "3", "lang": "en_US", "app_secret": "t" * 32}
    assert admin.post(page_url(program), changed).status_code == 302
    entry = AuditEvent.objects.get(action="change")
    assert (entry.subject, entry.mini_program) == (f"miniprogram {program.pk}", program.pk)
    assert entry.detail == {
        "changes": {
            "name": ["Old", "New"],
            "cap_per_day": [None, 3],
            "lang": ["zh_CN", "en_US"],
            "app_secret": [HIDDEN, HIDDEN],
        }
    }
    assert [(line.name, line.before, line.after) for line in told.lines_of(entry)] == [
        ("Name", "Old", "New"),
        ("App secret", HIDDEN, HIDDEN),
        ("Card language", "Simplified Chinese", "English"),
        ("Cards per person in 24 hours", "—", "3"),
    ]
    page = admin.get(page_url(entry)).content.decode()
    assert ("Simplified Chinese" in page, "ttttt" in page) == (True, False)


@pytest.mark.django_db
def test_a_form_sent_unchanged_leaves_no_row(admin: Client) -> None:
    program = factories.a_mini_program()
    assert admin.post(page_url(program), form_of(admin, page_url(program))).status_code == 302
    assert list(AuditEvent.objects.exclude(action="log_in")) == []


@pytest.mark.django_db
def test_the_parts_of_a_page_are_told_too(admin: Client) -> None:
    program = factories.a_mini_program()
    template = factories.a_template(program, title="Shipped")
    scene = Scene.objects.create(mini_program=program, code="paid", name="Paid")
    SceneTemplate.objects.create(scene=scene, template=template, position=1)
    form = form_of(admin, page_url(scene))
    assert admin.post(page_url(scene), {**form, "asks-0-position": "4"}).status_code == 302
    entry = AuditEvent.objects.get(action="change")
    (part,) = entry.detail["parts"]
    assert part["changes"] == {"position": [1, 4]}


@pytest.mark.django_db
def test_a_password_that_is_set_is_told_without_it(admin: Client) -> None:
    user = factories.a_user("walter")
    url = reverse("admin:auth_user_password_change", args=[user.pk])
    new = {"password1": "another-pass-9", "password2": "another-pass-9", "usable_password": "true"}
    assert admin.post(url, new).status_code == 302
    entry = AuditEvent.objects.get(action="change")
    assert (entry.subject, entry.detail) == (f"user {user.pk}", {"changes": {"password": [HIDDEN, HIDDEN]}})


@pytest.mark.django_db
def test_entries_are_found_by_part_colleague_and_time(admin: Client) -> None:
    boss = User.objects.get(is_superuser=True)
    AuditEvent.objects.all().delete()
    audit(boss, action="start", subject="job 1")
    audit(None, action="pause", subject="job 1")
    audit(boss, action="change", subject=f"user {boss.pk}")
    audit(boss, action="log_in", subject=f"user {boss.pk}")
    old = AuditEvent.objects.filter(action="change")
    old.update(at="2020-01-01T00:00Z")

    def found(query: str) -> list[str]:
        return [row.action for row in admin.get(f"{list_url(AuditEvent)}?{query}").context["cl"].result_list]

    assert found("about=jobs") == ["pause", "start"]
    assert found("about=accounts") == ["change"]
    assert found("about=door") == ["log_in"]
    assert found("by=platform") == ["pause"]
    assert found(f"by={boss.pk}&days=7") == ["log_in", "start"]
