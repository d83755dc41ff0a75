"""Every request has a name, in its answer and in all it logs."""

from __future__ import annotations

import json
import logging
import re

import pytest

from notify_platform.core import logs

pytestmark = pytest.mark.django_db


def test_a_request_without_a_name_gets_one(client) -> None:
    names = {client.get("/healthz").headers["X-Request-Id"] for _ in range(2)}
    assert len(names) == 2
    assert all(re.fullmatch(r"[0-9a-f]{16}", name) for name in names)


@pytest.mark.parametrize(
    "name", ["order-4711", "7b0a1c2d3e4f5061728394a5b6c7d8e9", "3f2b8c1e-9d4a-4f6b-8a7c-0e1d2c3b4a59"]
)
def test_a_sane_name_is_taken(client, name: str) -> None:
    assert client.get("/healthz", headers={"X-Request-Id": name}).headers["X-Request-Id"] == name


@pytest.mark.parametrize(
    "name", ["short", "x" * 65, "a b c d e f g", "ordér-4711", "oAb3_-xYz9KLmnOPq12RstUVwx45", "a\tb\tc\td\te"]
)
def test_another_one_is_not(client, name: str) -> None:
    assert client.get("/healthz", headers={"X-Request-Id": name}).headers["X-Request-Id"] != name


def test_what_a_request_logs_carries_its_name(client, caplog) -> None:
    caplog.handler.setFormatter(logs.JsonFormatter())
    with caplog.at_level(logging.WARNING, logger="notify_platform"):
        client.get("/wechat/callback/wx0000000000000000", headers={"X-Request-Id": "order-4711"})
    assert [json.loads(line)["request_id"] for line in caplog.text.splitlines()] == ["order-4711"]


def test_what_django_says_of_a_request_afterwards_carries_it_too(client, caplog) -> None:
    caplog.handler.setFormatter(logs.JsonFormatter())
    client.get("/readyz", headers={"X-Request-Id": "order-4711"})
    assert [json.loads(line)["request_id"] for line in caplog.text.splitlines()] == ["order-4711"]
