"""One envelope for every error."""

from __future__ import annotations

import json
import logging

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.db import DatabaseError
from django.http import UnreadablePostError
from django.test import Client
from django.urls import reverse

from notify_platform.api import consent_views
from notify_platform.api.base import ApiView
from subscriptions.models import Answer
from tests.api.conftest import Caller, problem

pytestmark = pytest.mark.django_db
POSTS = ["sessions", "authorizations", "opens", "visits", "conversions", "feedback"]
GETS = ["prompts", "subscriptions", "schema", "docs"]
OTHERS = [
    ("wechat-settings", "post", "PUT"),
    ("preferences", "delete", "GET, HEAD, PATCH"),
    ("profile", "get", "PATCH"),
]
NOT_JSON = "The body is not JSON in UTF-8."


@pytest.mark.parametrize(
    "path", ["/api/", "/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v2/sessions", "/api/v1/opens/"]
)
@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "options"])
def test_an_address_that_is_none_of_ours(path, method):
    answer = getattr(Client(), method)(path, HTTP_ACCEPT_LANGUAGE="en")

    assert (answer.status_code, answer.json()) == (404, problem("not_found", "Not found."))
    assert answer.headers["Content-Type"] == "application/json"
    assert "Allow" not in answer.headers


@pytest.mark.parametrize(
    ("name", "method", "allowed"),
    [(name, "get", "POST") for name in POSTS] + [(name, "post", "GET, HEAD") for name in GETS] + OTHERS,
)
def test_a_method_the_address_does_not_have(phone, name, method, allowed):
    caller = phone.client
    answer = getattr(caller, method)(reverse(f"api-{name}"), headers=phone.headers)

    word = method.upper()
    assert (answer.status_code, answer.json()) == (
        405,
        problem("method_not_allowed", f'Method "{word}" not allowed.'),
    )
    assert answer.headers["Allow"] == allowed


def test_there_are_no_options_to_ask_for(phone):
    answer = phone.client.options(reverse("api-visits"), headers=phone.headers)

    assert (answer.status_code, answer.json()) == (405, problem("method_not_allowed", 'Method "OPTIONS" not allowed.'))


@pytest.mark.parametrize("name", POSTS)
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "x"]
)
def test_anything_but_json_is_not_read(phone, name, content_type):
    answer = phone.send(name, b'{"page": "pages/a"}', content_type=content_type)

    words = f'Unsupported media type "{content_type}" in request.'
    assert (answer.status_code, answer.json()) == (415, problem("unsupported_media_type", words))


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"page=pages/a",
        b"\xff\xfe",
        '{"page": "发货"}'.encode("gbk"),
        b'{"page": NaN}',
        b'{"page": Infinity}',
        b"[" * 10_000,
        b'{"page": ' + b"9" * 5000 + b"}",
    ],
    ids=["cut off", "a form", "no text", "another encoding", "NaN", "Infinity", "very deep", "a huge number"],
)
def test_a_body_that_is_no_json(phone, body):
    answer = phone.send("visits", body)

    assert (answer.status_code, answer.json()) == (400, problem("parse_error", NOT_JSON))


def test_a_body_has_a_largest_size(phone):
    def of(size):
        start, end = b'{"page": "pages/a", "more": "', b'"}'
        return start + b"x" * (size - len(start) - len(end)) + end

    answers = [phone.send("visits", of(size)) for size in (ApiView.max_body_bytes, ApiView.max_body_bytes + 1)]

    assert [answer.status_code for answer in answers] == [200, 413]
    assert answers[1].json() == problem("too_large", "The body is too long.")


def test_no_body_is_an_empty_one(phone):
    answer = phone.send("visits", b"")

    assert (answer.status_code, answer.json()["error"]["fields"]) == (400, {"page": "This field is required."})


def test_whatever_the_caller_would_accept_the_answer_is_json(phone):
    answer = phone.client.get(reverse("api-subscriptions"), headers={**phone.headers, "Accept": "text/html"})

    assert (answer.status_code, answer.json()) == (200, {"subscriptions": []})
    assert answer.headers["Content-Type"] == "application/json"


def test_a_fault_of_ours_says_nothing_of_what_it_was(phone, monkeypatch, caplog):
    def break_down(*args, **kwargs):
        raise DatabaseError("the disk of db-7 is full")

    monkeypatch.setattr(consent_views, "balances", break_down)
    phone.client.raise_request_exception = False

    with caplog.at_level(logging.ERROR, logger="notify_platform.api.errors"):
        answer = phone.get("subscriptions")

    assert (answer.status_code, answer.json()) == (500, problem("server_error", "Something went wrong on our side."))
    assert "the disk of db-7 is full" in caplog.text


def test_a_fault_of_ours_is_seen_by_whoever_listens(phone, monkeypatch):
    monkeypatch.setattr(consent_views, "balances", lambda *args, **kwargs: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        phone.get("subscriptions")


@pytest.mark.parametrize(
    ("asked", "language", "message"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-hans", "该字段是必填项。"),
        ("zh-Hans", "zh-hans", "该字段是必填项。"),
        ("en-GB", "en", "This field is required."),
        ("fr,de;q=0.5", "en", "This field is required."),
        ("", "en", "This field is required."),
    ],
)
def test_the_sentences_are_in_the_language_the_caller_asks_for(phone, asked, language, message):
    answer = phone.post("opens", {}, **{"Accept-Language": asked})

    assert answer.json()["error"]["fields"] == {"nk": message}
    assert answer.headers["Content-Language"] == language
    assert "Accept-Language" in answer.headers["Vary"]


def test_one_callers_language_is_not_the_next_ones(phone):
    phone.post("opens", {}, **{"Accept-Language": "zh-CN"})

    assert phone.post("opens", {}).json()["error"]["fields"] == {"nk": "This field is required."}


def test_text_is_sent_as_it_is_and_not_escaped(phone):
    answer = phone.post("opens", {}, **{"Accept-Language": "zh-CN"})

    assert "该字段是必填项。" in answer.content.decode()


def test_every_answer_is_for_its_caller_alone(phone):
    assert phone.get("subscriptions").headers["Cache-Control"] == "no-store"


def test_a_body_that_breaks_off_is_the_callers_trouble(phone, monkeypatch):
    def break_off(*args, **kwargs):
        raise UnreadablePostError("gone")

    monkeypatch.setattr(WSGIRequest, "read", break_off)

    answer = phone.post("visits", {"page": "pages/a"})

    assert (answer.status_code, answer.json()) == (400, problem("parse_error", "The body did not arrive."))


def test_a_cookie_of_the_desk_opens_nothing(admin_user):
    client = Client()
    client.force_login(admin_user)

    assert Caller(client=client).get("subscriptions").status_code == 401


def test_a_session_needs_no_csrf_token(phone):
    client = Client(enforce_csrf_checks=True)

    answer = client.post(
        reverse("api-visits"),
        json.dumps({"page": "pages/a"}),
        content_type="application/json",
        headers=phone.headers,
    )

    assert answer.status_code == 200


def test_no_other_site_is_invited(phone):
    answer = phone.client.get(
        reverse("api-subscriptions"), headers={**phone.headers, "Origin": "https://other.example"}
    )

    assert [name for name in answer.headers if name.startswith("Access-Control")] == []
    assert Answer.objects.count() == 0
