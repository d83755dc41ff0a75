"""How many statements this process and those it forks send to the database."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import Value
from typing import Any

from django.db import connections
from django.db.backends.signals import connection_created


class Statements:
    """Counts on every connection, also those opened later; without BEGIN and COMMIT, which not every driver shows."""

    def __init__(self) -> None:
        self._count = Value("q", 0)
        for connection in connections.all(initialized_only=True):
            self._watch(connection=connection)
        connection_created.connect(self._watch)

    @property
    def count(self) -> int:
        """How many there were until now."""
        return self._count.value

    def _watch(self, *, connection: Any, **_: Any) -> None:
        # A process that was forked opens the connection object of its parent anew.
        if self._note not in connection.execute_wrappers:
            connection.execute_wrappers.append(self._note)

    def _note(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if not sql.startswith("BEGIN"):
            with self._count.get_lock():
                self._count.value += 1
        return execute(sql, params, many, context)
