"""What ``manage.py check`` says about the settings before anything goes wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured

ANOTHER = "python -c 'import secrets; print(secrets.token_urlsafe(50))'"
ANOTHER_FERNET_KEY = "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"


def secret_key(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Refuse an empty SECRET_KEY: sessions could not be signed."""
    try:
        is_set = bool(settings.SECRET_KEY)
    except ImproperlyConfigured:
        is_set = False
    if is_set:
        return []
    return [
        Error(
            "SECRET_KEY is empty.",
            hint=f"Put SECRET_KEY=… into the environment or .env; a new one: {ANOTHER}",
            id="console.E001",
        )
    ]


def credentials_keys(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Refuse missing or malformed keys: the app secrets could neither be stored nor read."""
    if not settings.CREDENTIALS_KEYS:
        return [
            Error(
                "CREDENTIALS_KEYS is empty, so no app secret can be stored or read.",
                hint=f"Put CREDENTIALS_KEYS=… into the environment or .env; a new key: {ANOTHER_FERNET_KEY}",
                id="console.E002",
            )
        ]
    return [
        Error(
            f"Key number {number} of CREDENTIALS_KEYS is not a Fernet key (32 bytes in URL-safe base64).",
            hint=f"Separate several keys with commas, the newest first; a new key: {ANOTHER_FERNET_KEY}",
            id="console.E003",
        )
        for number, key in enumerate(settings.CREDENTIALS_KEYS, start=1)
        if not _is_fernet_key(key)
    ]


def _is_fernet_key(key: str) -> bool:
    try:
        Fernet(key)
    except ValueError:
        return False
    return True


def queue_retry(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a ``retry`` that hands a task out again while it still waits in a worker's memory or runs.

    django-q2 counts ``retry`` from the moment a task is fetched. A cluster fetches ``queue_limit`` tasks ahead of its
    ``workers``, so the last of them starts only after ``queue_limit / workers`` others have used up their ``timeout``.
    """
    cluster: Mapping[str, Any] = settings.Q_CLUSTER
    timeout, retry = cluster.get("timeout") or 0, cluster.get("retry") or 0
    workers = cluster.get("workers") or 1
    # Unless told otherwise, django-q2 fetches the square of its workers ahead.
    queue_limit = cluster.get("queue_limit") or workers**2
    needed = timeout * (2 + queue_limit / workers)
    if timeout and retry >= needed:
        return []
    return [
        Error(
            f"Q_CLUSTER: retry is {retry} s with a timeout of {timeout} s, so a task may run twice at the same time.",
            hint=f"Set a timeout, and retry to {needed:.0f} s or more (or lower queue_limit).",
            id="console.E004",
        )
    ]


def sqlite_transactions(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Refuse SQLite with its default transactions: "database is locked" in the middle of a claim."""
    return [
        Error(
            f"DATABASES[{alias!r}] is SQLite without IMMEDIATE transactions.",
            hint='Set OPTIONS = {"transaction_mode": "IMMEDIATE", …} as in notify_platform/settings.py.',
            id="console.E005",
        )
        for alias, database in settings.DATABASES.items()
        if database["ENGINE"].endswith("sqlite3")
        and str(database.get("OPTIONS", {}).get("transaction_mode", "")).upper() != "IMMEDIATE"
    ]


CHECKS: tuple[Callable[..., list[CheckMessage]], ...] = (
    secret_key,
    credentials_keys,
    queue_retry,
    sqlite_transactions,
)
