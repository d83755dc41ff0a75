"""What the system checks say about the settings."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, run_checks

from notify_platform.console import checks

KEY = "dGVzdHMtb25seS1rZXktMzItYnl0ZXMtbG9uZyEhISE="


def ids(found: list[CheckMessage]) -> list[str | None]:
    assert all(message.hint for message in found)
    return [message.id for message in found]


def test_the_settings_as_they_are_pass() -> None:
    assert [message for message in run_checks() if str(message.id).startswith("console.")] == []


def test_the_checks_are_registered(settings: Any) -> None:
    settings.CREDENTIALS_KEYS = []
    assert [message.id for message in run_checks() if str(message.id).startswith("console.")] == ["console.E002"]


def test_an_empty_secret_key_is_an_error(settings: Any) -> None:
    settings.SECRET_KEY = ""
    assert ids(checks.secret_key(None)) == ["console.E001"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([], ["console.E002"]),
        ([KEY], []),
        ([KEY, "not a key"], ["console.E003"]),
        (["", "c2hvcnQ="], ["console.E003", "console.E003"]),
    ],
)
def test_keys_that_cannot_encrypt_are_errors(settings: Any, keys: list[str], expected: list[str]) -> None:
    settings.CREDENTIALS_KEYS = keys
    assert ids(checks.credentials_keys(None)) == expected


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [
        ({"workers": 2, "queue_limit": 2, "timeout": 60, "retry": 180}, []),
        ({"workers": 2, "queue_limit": 2, "timeout": 60, "retry": 179}, ["console.E004"]),
        # Without a queue_limit the cluster fetches workers² ahead.
        ({"workers": 4, "timeout": 60, "retry": 359}, ["console.E004"]),
        ({"workers": 4, "timeout": 60, "retry": 360}, []),
        ({"workers": 2, "retry": 60}, ["console.E004"]),
    ],
)
def test_a_retry_that_overtakes_a_waiting_task_is_an_error(
    settings: Any, cluster: dict[str, int], expected: list[str]
) -> None:
    settings.Q_CLUSTER = cluster
    assert ids(checks.queue_retry(None)) == expected


@pytest.mark.parametrize(
    ("database", "expected"),
    [
        ({"ENGINE": "django.db.backends.postgresql"}, []),
        ({"ENGINE": "django.db.backends.sqlite3"}, ["console.E005"]),
        ({"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {"transaction_mode": "DEFERRED"}}, ["console.E005"]),
        ({"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {"transaction_mode": "IMMEDIATE"}}, []),
    ],
)
def test_sqlite_without_immediate_transactions_is_an_error(
    monkeypatch: pytest.MonkeyPatch, database: dict[str, object], expected: list[str]
) -> None:
    changed = copy.deepcopy(django_settings.DATABASES) | {"default": database}
    monkeypatch.setattr(django_settings, "DATABASES", changed)
    assert ids(checks.sqlite_transactions(None)) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"orm": "other"}, ["console.E006"]),
        ({"ALT_CLUSTERS": None}, ["console.E006"]),
        ({"ack_failures": None, "max_attempts": None}, ["console.E006"]),
        ({"ack_failures": None}, []),
        ({"timeout": 60.0}, ["console.E006"]),
        ({"sync": True}, ["console.E006"]),
        ({"poll": 5}, ["console.W001"]),
        ({"workers": 1}, ["console.W001"]),
    ],
)
def test_settings_that_lose_or_delay_tasks_are_told(settings: Any, change: dict[str, Any], expected: list[str]) -> None:
    changed = {**settings.Q_CLUSTER, **change}
    settings.Q_CLUSTER = {name: value for name, value in changed.items() if value is not None}
    assert ids(checks.queue_settings(None)) == expected


@pytest.mark.parametrize(
    ("options", "expected"), [({}, []), ({"pool": False}, []), ({"pool": {"max_size": 4}}, ["console.E007"])]
)
def test_a_connection_pool_is_an_error(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], expected: list[str]
) -> None:
    database = {"ENGINE": "django.db.backends.postgresql", "OPTIONS": options}
    monkeypatch.setattr(django_settings, "DATABASES", {"default": database})
    assert ids(checks.connection_pool(None)) == expected
