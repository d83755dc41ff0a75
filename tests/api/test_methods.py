"""A mini-program cannot say PATCH; the API hears it all the same."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.http import HttpRequest
from django.test import RequestFactory
from django.urls import reverse
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from notify_platform.api import urls
from notify_platform.api.base import ApiView, KeyView
from notify_platform.api.models import ApiKey
from notify_platform.api.throttles import CallerThrottle
from subscriptions.models import Subscriber
from tests.api.conftest import Caller, a_back_end_of

OVERRIDE = "X-HTTP-Method-Override"
AS_PATCH = {OVERRIDE: "PATCH"}
VIEWS = {route.name.removeprefix("api-"): route.callback.view_class for route in urls.version_1}
PARTS: dict[str, list[object]] = {"event": ["wx1", "shipped", "1"], "delivery": [1]}
PATCHED = {"preferences", "profile"}
NIGHT = {"from": "22:00", "until": "08:00"}


class Settings(ApiView):
    """An address that is read and changed."""

    http_method_names = ["get", "post", "patch"]
    permission_classes = [AllowAny]
    throttle_scope = "documents"

    def get(self, request: Request) -> Response:
        return Response({"did": "get"})

    def patch(self, request: Request) -> Response:
        return Response({"did": "patch", "given": request.data})


class Letters(ApiView):
    """An address that only takes things in."""

    permission_classes = [AllowAny]
    throttle_scope = "documents"

    def post(self, request: Request) -> Response:
        return Response({"did": "post"})


def said(view: type[ApiView], request: HttpRequest) -> tuple[int, Any]:
    response: Any = view.as_view()(request)
    return response.status_code, response.data


def a_post(**headers: str) -> HttpRequest:
    return RequestFactory().post("/", {"quiet_hours": None}, content_type="application/json", headers=headers)


@pytest.mark.parametrize("word", ["PATCH", "patch"])
def test_a_post_that_means_patch_is_one(word: str) -> None:
    expected = {"did": "patch", "given": {"quiet_hours": None}}
    assert said(Settings, a_post(**{OVERRIDE: word})) == (200, expected)


def test_a_post_that_says_nothing_is_a_post() -> None:
    assert said(Settings, a_post())[0] == 405
    assert said(Letters, a_post()) == (200, {"did": "post"})


@pytest.mark.parametrize("word", ["DELETE", "PUT", "GET"])
def test_no_other_method_comes_in_that_way(word: str) -> None:
    assert said(Letters, a_post(**{OVERRIDE: word})) == (200, {"did": "post"})


def test_an_address_without_patch_refuses_it() -> None:
    assert said(Letters, a_post(**{OVERRIDE: "PATCH"}))[0] == 405


def test_reading_stays_reading() -> None:
    request = RequestFactory().get("/", headers={OVERRIDE: "PATCH"})
    assert said(Settings, request) == (200, {"did": "get"})


# --- the addresses there are ---------------------------------------------------------------------------------------


def answers(caller: Caller, name: str, body: bytes, content_type: str = "application/json") -> list[tuple[int, Any]]:
    """What is answered to PATCH, and to a POST that means it."""
    patched = caller.client.patch(reverse(f"api-{name}"), body, content_type=content_type, headers=caller.headers)
    posted = caller.send(name, body, content_type=content_type, **AS_PATCH)
    return [(answer.status_code, answer.json()) for answer in (patched, posted)]


def test_only_a_persons_own_wishes_and_record_are_patched() -> None:
    assert {name for name, view in VIEWS.items() if hasattr(view, "patch")} == PATCHED


def test_a_phone_changes_preferences_by_a_post(phone, person) -> None:
    answer = phone.post("preferences", {"quiet_hours": NIGHT}, **AS_PATCH)

    assert (answer.status_code, answer.json()["quiet_hours"]) == (200, NIGHT)
    assert phone.get("preferences").json() == answer.json()


def test_a_phone_changes_a_profile_by_a_post(phone, person) -> None:
    answer = phone.post("profile", {"city": "深圳"}, **AS_PATCH)

    assert (answer.status_code, answer.json()["city"]) == (200, "深圳")
    assert Subscriber.objects.get(pk=person.pk).city == "深圳"


@pytest.mark.parametrize("name", sorted(PATCHED))
def test_a_bare_post_changes_nothing(phone, name) -> None:
    before = Subscriber.objects.values().get()

    assert phone.post(name, {"quiet_hours": NIGHT, "city": "深圳"}).status_code == 405
    assert Subscriber.objects.values().get() == before


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(PATCHED))
def test_without_a_session_it_is_refused_like_any_other_call(stranger, name) -> None:
    patched, posted = answers(stranger, name, b"{}")

    assert (posted, posted[0]) == (patched, 401)


@pytest.mark.parametrize("name", sorted(PATCHED))
@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b'{"interests": 7, "muted": 7}', "application/json", 400),
        (b"nickname=x&muted=x", "application/x-www-form-urlencoded", 415),
        (b"[" * 17_000, "application/json", 413),
    ],
)
def test_a_body_is_held_to_the_same_rules(phone, name, body, content_type, status) -> None:
    patched, posted = answers(phone, name, body, content_type)

    assert (posted, posted[0]) == (patched, status)


def test_it_is_counted_with_the_others(phone, monkeypatch) -> None:
    rates = settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]
    monkeypatch.setattr(CallerThrottle, "THROTTLE_RATES", {**rates, "preferences": "2/min"})
    calls = [*answers(phone, "preferences", b"{}"), *answers(phone, "preferences", b"{}")]

    assert [status for status, _content in calls] == [200, 200, 429, 429]


@pytest.mark.parametrize("name", sorted(VIEWS.keys() - PATCHED))
def test_no_other_address_takes_it_for_anything(phone, mini_program, name) -> None:
    caller = a_back_end_of(mini_program, *ApiKey.Scope.values) if issubclass(VIEWS[name], KeyView) else phone
    if name == "sessions":
        caller = Caller()

    answer = caller.client.post(
        reverse(f"api-{name}", args=PARTS.get(name)),
        b"{}",
        content_type="application/json",
        headers={**caller.headers, **AS_PATCH},
    )

    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")
