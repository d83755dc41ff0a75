"""Templates at the desk: fetch, add out of WeChat's library, delete, and what has changed side by side."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from notify_platform.console import access
from notify_platform.core.models import AuditEvent
from notify_platform.jobs import jobs
from notify_platform.simulator.control import SimulatorControl
from templates_app import catalog
from templates_app.models import MessageTemplate, MiniProgram
from tests import factories, wechat_world
from tests.console.conftest import At, Colleague

pytestmark = pytest.mark.django_db
LIST, LIBRARY, FETCH = (f"admin:templates_app_messagetemplate_{name}" for name in ("changelist", "library", "fetch"))


@pytest.fixture
def program(db: None, wechat: SimulatorControl) -> MiniProgram:
    program = factories.a_mini_program(app_id="wxba5fad812f8e6fb9", name="Shop")
    template = factories.a_template(program, title="Pickup", fields=[("thing1", "Shop"), ("thing2", "Hint")])
    wechat_world.introduce(wechat, program)
    template.delete()
    return program


def test_an_operator_fetches_and_is_told_what_is_new(program: MiniProgram, colleague: Colleague, at_desk: At) -> None:
    client = at_desk(colleague("operator"))
    assert reverse(LIBRARY) in client.get(reverse(LIST)).content.decode()
    assert client.get(reverse(FETCH)).status_code == 405
    page = client.post(reverse(FETCH), {"mini_program": program.pk}, follow=True)
    assert "Shop: New: Pickup." in page.content.decode()
    again = client.post(reverse(FETCH), {"mini_program": program.pk}, follow=True)
    assert "Shop: Nothing has changed." in again.content.decode()


def test_tabs_lead_to_the_templates_of_a_state(admin: Client) -> None:
    program = factories.a_mini_program()
    factories.a_template(program, title="Live")
    factories.a_template(program, title="Gone", state=MessageTemplate.State.MISSING)
    page = admin.get(reverse(LIST))
    assert [(name, number, chosen) for _url, name, number, chosen in page.context["state_tabs"]] == [
        ("All", 2, True),
        ("in use", 1, False),
        ("gone at WeChat", 1, False),
    ]
    page = admin.get(reverse(LIST) + page.context["state_tabs"][2][0])
    assert [row.title for row in page.context["cl"].result_list] == ["Gone"]


def test_a_viewer_is_offered_nothing_and_may_nothing(program: MiniProgram, colleague: Colleague, at_desk: At) -> None:
    client = at_desk(colleague("viewer"))
    assert reverse(LIBRARY) not in client.get(reverse(LIST)).content.decode()
    assert [client.get(reverse(LIBRARY)).status_code, client.post(reverse(FETCH)).status_code] == [403, 403]
    assert MessageTemplate.objects.count() == 0


def test_a_template_is_chosen_by_category_title_and_keywords(admin: Client, program: MiniProgram) -> None:
    page = admin.get(reverse(LIBRARY)).content.decode()
    assert ("取餐提醒" in page, "tid=1101" in page) == (True, True)
    assert ("外卖配送进度" in page, "tid=10000001" in page) == (True, False)
    url = f"{reverse(LIBRARY)}?mini_program={program.pk}&category=301&tid=1101"
    assert 'name="place_3"' in admin.get(url).content.decode()
    about = {"mini_program": program.pk, "tid": "1101", "category": "301", "scene": "取餐"}
    wrong = admin.post(url, {**about, "place_1": "1"})
    assert "Choose two to five keywords." in wrong.content.decode()
    assert 'value="1" selected' in wrong.content.decode()
    page = admin.post(url, {**about, "place_3": "1", "place_1": "2", "place_2": ""}, follow=True)
    template = MessageTemplate.objects.get(title="取餐提醒")
    assert [field.key for field in template.fields.all()] == ["time3", "character_string1"]
    assert "is in the account now" in page.content.decode()


def test_a_template_goes_into_the_account_its_form_names_and_into_no_other(
    program: MiniProgram, colleague: Colleague, at_desk: At
) -> None:
    first, operator = factories.a_mini_program(name="A, the first by name"), colleague("operator")
    url, form = reverse(LIBRARY), {"tid": "1101", "category": "301", "place_3": "1", "place_1": "2", "scene": "取餐"}
    client = at_desk(operator)
    assert client.post(url, {**form, "mini_program": program.pk}).status_code == 302
    assert MessageTemplate.objects.get(title="取餐提醒").mini_program == program
    before = list(MessageTemplate.objects.order_by("pk").values())
    access.give(operator, mini_programs=[first], by=None)
    client = at_desk(User.objects.get(pk=operator.pk))
    named = [{"mini_program": program.pk}, {"mini_program": "x"}, {"mini_program": ""}, {}]
    assert [client.post(url, {**form, "place_2": "3", **each}).status_code for each in named] == [404] * 4
    assert client.post(f"{url}?mini_program={first.pk}", {**form, "mini_program": program.pk}).status_code == 404
    assert list(MessageTemplate.objects.order_by("pk").values()) == before


def test_a_wechat_that_does_not_answer_is_a_sentence(admin: Client, settings: Any) -> None:
    program = factories.a_mini_program()
    settings.WECHAT_API_BASE_URL = "http://127.0.0.1:9"
    page = admin.get(reverse(LIBRARY))
    assert (page.status_code, "WeChat did not answer" in page.content.decode()) == (200, True)
    page = admin.post(reverse(FETCH), {"mini_program": program.pk}, follow=True)
    assert "WeChat did not answer" in page.content.decode()
    assert AuditEvent.objects.filter(action="sync_templates").count() == 0


def test_deleting_asks_first_and_names_what_needs_the_template(admin: Client, program: MiniProgram) -> None:
    admin.post(reverse(FETCH), {"mini_program": program.pk})
    template = MessageTemplate.objects.get()
    url = reverse("admin:templates_app_messagetemplate_remove", args=[template.pk])
    assert url in admin.get(reverse("admin:templates_app_messagetemplate_change", args=[template.pk])).content.decode()
    people = factories.subscribers(program, count=1)
    factories.grants(template, to=people)
    job = factories.a_running_job(template, name="Autumn fruit")
    assert "Autumn fruit" in admin.get(url).content.decode()
    assert "Autumn fruit is still" not in admin.post(url, follow=True).content.decode()
    template.refresh_from_db()
    assert template.state == MessageTemplate.State.LIVE
    jobs.cancel(job, by=factories.a_user())
    page = admin.get(url).content.decode()
    assert "1 consents in stock become worthless." in page
    assert "was deleted at WeChat" in admin.post(url, follow=True).content.decode()
    template.refresh_from_db()
    assert template.state == MessageTemplate.State.MISSING


def test_what_wechat_has_changed_stands_side_by_side(admin: Client) -> None:
    program = factories.a_mini_program()
    row = {"priTmplId": "T1", "title": "Pickup", "content": "Shop:{{thing1.DATA}}\n", "example": "Shop:A\n", "type": 2}
    at = factories.timezone.now()
    catalog.apply_snapshot(program, rows=[row], at=at)
    catalog.apply_snapshot(program, rows=[{**row, "content": "Place:{{thing1.DATA}}\n"}], at=at)
    template = MessageTemplate.objects.get()
    page = admin.get(reverse("admin:templates_app_messagetemplate_change", args=[template.pk])).content.decode()
    assert '<td class="desk-before">Shop · A</td><td class="desk-after">Place · A</td>' in page
    assert "running jobs were paused" in page
