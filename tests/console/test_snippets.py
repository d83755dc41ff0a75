"""What a developer copies from the page of a scene."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from notify_platform.console.desk import snippets
from subscriptions.models import Scene
from tests import factories
from tests.console.conftest import At, Colleague

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene(settings: Any) -> Scene:
    settings.PUBLIC_URL = "https://notify.example.com"
    mini_program = factories.a_mini_program(app_id="wx0123456789abcdef")
    return Scene.objects.create(mini_program=mini_program, code="order-paid", name="Order paid")


def code_of(scene: Scene) -> dict[str, str]:
    return {each.name: each.code for each in snippets.of_scene(scene)}


def page_of(scene: Scene) -> str:
    return reverse("admin:subscriptions_scene_change", args=[scene.pk])


def test_the_snippets_name_our_address_the_app_and_the_scene(scene: Scene) -> None:
    code = code_of(scene)
    assert 'createNotify({ baseUrl: "https://notify.example.com", appId: "wx0123456789abcdef" })' in code["app"]
    assert code["page"].count('"order-paid"') == 2
    assert "$" not in "".join(code.values())


def test_a_value_cannot_become_code(scene: Scene) -> None:
    scene.mini_program.app_id = '"}); wx.exit(); ({"'
    assert r'appId: "\"}); wx.exit(); ({\"" })' in code_of(scene)["app"]


def test_the_page_of_a_scene_shows_every_snippet(admin: Client, scene: Scene) -> None:
    page = unescape(admin.get(page_of(scene)).content.decode())
    assert [name for name, code in code_of(scene).items() if f'id="desk-snippet-{name}">{code}</pre>' not in page] == []


@pytest.mark.parametrize("role", ["viewer", "operator", "engineer"])
def test_everybody_at_the_desk_may_read_them(scene: Scene, colleague: Colleague, at_desk: At, role: str) -> None:
    response = at_desk(colleague(role)).get(page_of(scene))
    assert response.status_code == 200
    assert "desk-snippet-app" in response.content.decode()


def test_a_scene_that_is_not_there_yet_has_none(admin: Client) -> None:
    response = admin.get(reverse("admin:subscriptions_scene_add"))
    assert response.status_code == 200
    assert "desk-snippet" not in response.content.decode()
