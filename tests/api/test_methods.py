"""A mini-program cannot say PATCH; the API hears it all the same."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpRequest
from django.test import RequestFactory
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from notify_platform.api.base import ApiView

OVERRIDE = "X-HTTP-Method-Override"


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
