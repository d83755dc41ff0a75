"""The examples of the contract are true: each request, sent as it stands, is answered as the contract says.

The world is prepared so that what they name is there. Three things no example can hold, because they are signed or made
by WeChat: those are put in their place.
"""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml
from django.test import Client

from notify_platform.api import examples
from tests import wechat_world
from tests.api import example_world
from tests.api.test_contract import COMMITTED

pytestmark = pytest.mark.django_db
SCHEMA = yaml.safe_load(COMMITTED.read_text())
OPERATIONS = [(method, path, each) for path, found in SCHEMA["paths"].items() for method, each in found.items()]
LOGIN_CODE = "0b1cDe2fGh3iJk4lMn5oPq6rSt7uVw8x"


def bodies(operation: dict[str, Any]) -> dict[str, Any]:
    """The examples of a request, by name; one without a body has one that is nothing."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return {name: each["value"] for name, each in content.get("examples", {"": {"value": None}}).items()}


REQUESTS = [
    pytest.param(method, path, operation, body, id=f"{operation['operationId']}-{name}")
    for method, path, operation in OPERATIONS
    for name, body in bodies(operation).items()
]
REPLIES = [
    pytest.param(status, content, example["value"], id=f"{operation['operationId']}-{status}-{name}")
    for _method, _path, operation in OPERATIONS
    for status, reply in operation["responses"].items()
    for content in reply["content"].values()
    for name, example in content["examples"].items()
]


def check(value: Any, shape: dict[str, Any]) -> None:
    """Raise when a value is not as the contract says."""
    whole = {**shape, "components": SCHEMA["components"]}
    jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker()).validate(value)


def success_of(operation: dict[str, Any]) -> str:
    (status,) = (status for status in operation["responses"] if status < "300")
    return status


@pytest.fixture
def world(wechat):
    world = example_world.build()
    wechat_world.introduce(wechat, world.mini_program, people=[world.person])
    return world


@pytest.fixture
def send(world, wechat):
    """Send a request with what no example can hold put in its place."""
    there = {
        examples.PROMPT: world.prompt_id,
        examples.NK: world.nk,
        LOGIN_CODE: wechat.login_code(world.mini_program.app_id, world.person.openid),
    }

    def send(method, path, operation, body):
        query = {}
        for parameter in operation.get("parameters", []):
            (example,) = (each["value"] for each in parameter["examples"].values())
            path = path.replace("{" + parameter["name"] + "}", str(example))
            if parameter["in"] == "query":
                query[parameter["name"]] = example
        text = json.dumps(body)
        for shown, real in there.items():
            text = text.replace(shown, real)
        client = Client()
        needs = [name for each in operation.get("security", []) for name in each]
        headers = {"session": f"Bearer {world.token}", "apiKey": f"Api-Key {world.api_key}"}
        sent = {"Authorization": headers[needs[0]]} if needs else {}
        if method == "get":
            return client.get(path, query, headers=sent)
        return client.generic(method.upper(), path, text, content_type="application/json", headers=sent)

    return send


def test_the_contract_has_examples_of_every_request():
    assert len(REQUESTS) == 24
    assert [path for _method, path, each in OPERATIONS if "requestBody" in each and None in bodies(each).values()] == []


@pytest.mark.parametrize(("method", "path", "operation", "body"), REQUESTS)
def test_a_request_of_the_contract_is_answered_as_it_says(send, method, path, operation, body):
    answer = send(method, path, operation, body)

    status = success_of(operation)
    assert (str(answer.status_code), answer.json().get("error")) == (status, None)
    check(answer.json(), operation["responses"][status]["content"]["application/json"]["schema"])


@pytest.mark.parametrize(("method", "path", "operation", "body"), REQUESTS)
def test_a_request_of_the_contract_has_the_shape_it_says(method, path, operation, body):
    if body is not None:
        check(body, operation["requestBody"]["content"]["application/json"]["schema"])


@pytest.mark.parametrize(("status", "content", "value"), REPLIES)
def test_a_reply_of_the_contract_has_the_shape_it_says(status, content, value):
    check(value, content["schema"])


def test_a_wrong_value_would_be_seen():
    content = next(param.values[1] for param in REPLIES if param.values[0] == "200")

    with pytest.raises(jsonschema.ValidationError):
        check({"lines": "many"}, content["schema"])
