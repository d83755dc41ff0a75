"""Making the database take what it refuses, for the rest of a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from notify_platform.delivery.models import Delivery


def drop_unique(name: str) -> None:
    """Take a unique constraint of the deliveries away."""
    with connection.cursor() as cursor:
        _settle(cursor)
        cursor.execute(f"DROP INDEX {connection.ops.quote_name(name)}")


@contextmanager
def unchecked(*names: str) -> Iterator[None]:
    """Hold these CHECKs of the deliveries against nothing that is written meanwhile; PostgreSQL does without them."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA ignore_check_constraints = ON")
            try:
                yield
            finally:
                cursor.execute("PRAGMA ignore_check_constraints = OFF")
            return
        _settle(cursor)
        for name in names:
            cursor.execute(f"ALTER TABLE {Delivery._meta.db_table} DROP CONSTRAINT {name}")
        yield


def _settle(cursor: Any) -> None:
    if connection.vendor == "postgresql":
        # It alters no table while a foreign key is still to be checked.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
