"""Rows in bulk: INSERT … SELECT over a series of numbers, the same on PostgreSQL and on SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.apps import apps
from django.core.management.color import no_style
from django.db import connection, transaction

# Column → what it holds for the number n, in SQL.
Columns = Mapping[str, str]


def fill(label: str, columns: Columns, *, first: int, last: int) -> None:
    """Write the rows number ``first`` to ``last`` of a model's table."""
    table, names, values = _table(label), ", ".join(columns), ", ".join(columns.values())
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(f"INSERT INTO {table} ({names}) {_series(values, first, last)}")


def empty(labels: Iterable[str]) -> None:
    """Delete everything of these models' tables, and on PostgreSQL all that refers to it."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"TRUNCATE {', '.join(map(_table, labels))} RESTART IDENTITY CASCADE")
            return
        cursor.execute("PRAGMA foreign_keys = OFF")
        for label in labels:
            cursor.execute(f"DELETE FROM {_table(label)}")  # noqa: S608
        cursor.execute("PRAGMA foreign_keys = ON")


def settle(labels: Iterable[str]) -> None:
    """Make it look as if the rows had been there for long: keys go on after them, statistics know them."""
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), [apps.get_model(label) for label in labels]):
            cursor.execute(statement)
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE")
            cursor.execute("CHECKPOINT")
        else:
            cursor.execute("ANALYZE")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def text(number: str = "n") -> str:
    """A number as text."""
    return f"CAST({number} AS text)"


def openid(number: str = "n") -> str:
    """An openid made of a number."""
    digits = f"'00000000000000000000000000' || {text(number)}"
    return f"'o' || {f'right({digits}, 27)' if connection.vendor == 'postgresql' else f'substr({digits}, -27)'}"


def moment(seconds: str) -> str:
    """The moment so many seconds from now."""
    if connection.vendor == "postgresql":
        return f"now() + {seconds} * interval '1 second'"
    return f"strftime('%Y-%m-%d %H:%M:%f', 'now', {seconds} || ' seconds')"


def false() -> str:
    """What is not so."""
    return "false" if connection.vendor == "postgresql" else "0"


def _table(label: str) -> str:
    return apps.get_model(label)._meta.db_table


def _series(values: str, first: int, last: int) -> str:
    if connection.vendor == "postgresql":
        return f"SELECT {values} FROM generate_series({first}::bigint, {last}::bigint) AS n"  # noqa: S608
    numbers = f"WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < {last})"  # noqa: S608
    return f"{numbers} SELECT {values} FROM s"  # noqa: S608
