"""The cast of the API's tests: one mini-program, one person, and somebody to call for them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from notify_platform.api import keys, sessions
from notify_platform.delivery import fanout
from notify_platform.delivery.models import Delivery
from tests import factories


@pytest.fixture(autouse=True)
def _fresh_throttles():
    cache.clear()


@pytest.fixture
def mini_program(db):
    return factories.a_mini_program()


@pytest.fixture
def template(mini_program):
    return factories.a_template(mini_program)


@pytest.fixture
def person(mini_program):
    return factories.subscribers(mini_program, count=1)[0]


@dataclass
class Caller:
    """Calls the API with whatever it holds."""

    headers: dict[str, str] = field(default_factory=dict)
    client: Client = field(default_factory=Client)

    def get(self, name: str, **query: str) -> Any:
        return self.client.get(reverse(f"api-{name}"), query, headers=self.headers)

    def post(self, name: str, body: Any, **headers: str) -> Any:
        return self.send(name, json.dumps(body).encode(), **headers)

    def put(self, name: str, body: Any) -> Any:
        return self.call("put", name, body=body)

    def patch(self, name: str, body: Any) -> Any:
        return self.call("patch", name, body=body)

    def call(self, method: str, name: str, *parts: object, body: Any = None, **query: str) -> Any:
        """Call an address by its name and the parts of its path."""
        address = reverse(f"api-{name}", args=parts)
        if method == "get":
            return self.client.get(address, query, headers=self.headers)
        sent = json.dumps(body).encode() if body is not None else b""
        return getattr(self.client, method)(address, sent, content_type="application/json", headers=self.headers)

    def send(self, name: str, body: bytes, *, content_type: str = "application/json", **headers: str) -> Any:
        sent = {**self.headers, **headers}
        return self.client.post(reverse(f"api-{name}"), body, content_type=content_type, headers=sent)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def a_phone_of(person) -> Caller:
    session = sessions.begin(person.mini_program, openid=person.openid)
    return Caller(headers=bearer(session.token))


@pytest.fixture
def stranger():
    """Somebody without a session."""
    return Caller()


@pytest.fixture
def phone(person):
    """The person's phone, signed in."""
    return a_phone_of(person)


def a_back_end_of(mini_program, *scopes: str) -> Caller:
    issued = keys.issue(mini_program, name="Shop", scopes=scopes, by=None)
    return Caller(headers={"Authorization": f"Api-Key {issued.plaintext}"})


@pytest.fixture
def back_end(mini_program):
    """The merchant's own back end, with a key that may sign people in."""
    return a_back_end_of(mini_program, "sessions")


@pytest.fixture
def delivery(template, person):
    """The person's own card."""
    factories.grants(template, to=[person])
    job = factories.a_running_job(template)
    while fanout.step(job):
        pass
    return Delivery.objects.get(job=job, subscriber=person)


def iso(moment: datetime) -> str:
    """A moment as the API writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def problem(code: str, message: str, /, **fields: str) -> dict[str, Any]:
    """The envelope."""
    return {"error": {"code": code, "message": message, "fields": fields}}


INVALID = "Some of the input is wrong: see the fields."


def invalid(**fields: str) -> dict[str, Any]:
    return problem("invalid", INVALID, **fields)
