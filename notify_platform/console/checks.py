"""What ``manage.py check`` says about the settings before anything goes wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
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


def queue_settings(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Refuse what django-q2 takes without a word, and then loses or repeats tasks by; warn of what only delays them."""
    cluster: Mapping[str, Any] = settings.Q_CLUSTER
    seconds = [cluster.get(name) for name in ("timeout", "retry")]
    losing = {
        'orm is not "default": a task would not be rolled back with its rows': cluster.get("orm") != "default",
        "ALT_CLUSTERS is missing: with Q_CLUSTER_NAME set every command would fail": "ALT_CLUSTERS" not in cluster,
        "without ack_failures or max_attempts a failing task is repeated for ever": not (
            cluster.get("ack_failures") or cluster.get("max_attempts")
        ),
        "timeout and retry must be whole seconds, or no task is stopped": any(type(one) is not int for one in seconds),
        "sync is set: web requests would do the worker's work": bool(cluster.get("sync")),
    }
    delaying = {
        "poll is longer than a second: every task waits for it": (cluster.get("poll") or 0.2) > 1,
        "with fewer than 2 workers callbacks wait while messages are sent": (cluster.get("workers") or 1) < 2,
    }
    hint = "Set it as in notify_platform/settings.py, and WORKERS to 2 or more."
    return [
        *(Error(f"Q_CLUSTER: {words}.", hint=hint, id="console.E006") for words, is_so in losing.items() if is_so),
        *(Warning(f"Q_CLUSTER: {words}.", hint=hint, id="console.W001") for words, is_so in delaying.items() if is_so),
    ]


def connection_pool(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Refuse Django's own connection pool: the processes the worker forks would share its connections."""
    return [
        Error(
            f"DATABASES[{alias!r}] has a connection pool, which does not survive the worker's fork.",
            hint="Take “pool” out of OPTIONS; CONN_MAX_AGE keeps connections. Or put PgBouncer in front.",
            id="console.E007",
        )
        for alias, database in settings.DATABASES.items()
        if database.get("OPTIONS", {}).get("pool")
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
    queue_settings,
    connection_pool,
    sqlite_transactions,
)
