"""Set-based writes the ORM has no word for. Each is one statement, the same on PostgreSQL and SQLite."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from django.db import connection, models, transaction
from django.db.models import BooleanField, Func, Model, QuerySet, Value
from django.db.models.sql.subqueries import UpdateQuery


class Literal(Value):
    """A word of ours that stands in the statement itself, not among its parameters.

    SQLite takes an index of some rows only when the condition names the same words (docs: "Partial Indexes").
    """

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str | int, ...]]:
        """Return the quoted word; anything but a plain one is refused."""
        if not re.fullmatch(r"[a-z_]+", self.value):
            raise ValueError("only a plain word can stand in a statement")
        return f"'{self.value}'", ()


class Among(Func):
    """A condition: the column is one of these whole numbers.

    They are one parameter, so the statement is the same for any number of them, and nobody has to read it anew.
    (``__in`` writes each into the statement: a wave of a hundred messages then costs more reading than doing.)
    """

    output_field = BooleanField()

    def __init__(self, column: str, keys: Collection[int]) -> None:
        """Take the name of a field and the keys."""
        super().__init__(column)
        self.keys = list(keys)

    def as_sql(self, compiler: Any, connection: Any, **_context: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        """Return the condition in the words of either database."""
        column, params = compiler.compile(self.get_source_expressions()[0])
        if connection.vendor == "sqlite":
            return f"{column} IN (SELECT value FROM json_each(%s))", [*params, json.dumps(self.keys)]  # noqa: S608
        return f"{column} = ANY(%s::bigint[])", [*params, self.keys]


class Still(Func):
    """A condition: the column still holds this word. Only rows that are found by their keys are asked.

    PostgreSQL's statistics know little of a state that rows are in for a moment. It would find them by an index of that
    state, and walk through all that have ever been in it; so the words of the condition fit no index.
    """

    output_field = BooleanField()

    def __init__(self, column: str, word: str) -> None:
        """Take the name of a field and what it should hold."""
        super().__init__(column, Value(word))

    def as_sql(self, compiler: Any, connection: Any, **_context: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        """Return the condition in the words of either database."""
        (column, params), (word, words) = (compiler.compile(one) for one in self.get_source_expressions())
        return f"({column} || '') = {word}", [*params, *words]


def update_from_values(
    model: type[Model],
    *,
    columns: Sequence[str] = (),
    rows: Sequence[Sequence[Any]],
    same: Mapping[str, Any] = MappingProxyType({}),
    only_if: str,
    params: Sequence[Any] = (),
) -> list[int]:
    """Give every row its own values in one UPDATE … FROM (a list of them); return the keys of changed rows.

    ``columns`` are field names, ``rows`` are (primary key, value, …); ``same`` (field name → value or expression) is
    what all of them get. ``only_if`` is the compare of the compare-and-set in SQL on alias ``t`` with ``params``, in
    words that fit no index (see ``Still``): SQLite would go through all rows in that state for each of ours. The
    statement is the same for any number of rows. (``bulk_update``, a CASE per row, costs sixty times as much.)
    """
    if not rows:
        return []
    fields = [_field(model, name) for name in columns]
    quote = connection.ops.quote_name
    source, lists = _listed([model._meta.pk, *fields], rows)
    sets: list[tuple[models.Field[Any, Any], str, list[Any]]] = [
        (field, f"v.column{number}", []) for number, field in enumerate(fields, start=2)
    ]
    sets += [
        (field, *_compiled(model, field, value)) for field, value in ((_field(model, k), v) for k, v in same.items())
    ]
    assignments = ", ".join(f"{quote(str(field.column))} = {sql}" for field, sql, _params in sets)
    if connection.vendor == "postgresql":
        # Or it may read the whole table to find them, when its statistics are not of today.
        only_if, params = f"t.id = ANY(%s) AND {only_if}", [lists[0], *params]
    # Only names of our own models and the caller's literal condition are spliced in; values are parameters.
    sql = (
        f"UPDATE {quote(model._meta.db_table)} AS t SET {assignments} FROM {source} "  # noqa: S608
        f"WHERE t.id = v.column1 AND {only_if} RETURNING id"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [*(param for _field, _sql, own in sets for param in own), *lists, *params])
        return [row[0] for row in cursor.fetchall()]


def _listed(fields: Sequence[Any], rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """Return a table ``v`` of the rows, with columns column1, column2 … of the fields' types, and its parameters."""
    lists = [
        [field.get_db_prep_value(value, connection) for value in column]
        for field, column in zip(fields, zip(*rows, strict=True), strict=True)
    ]
    names = [f"column{number}" for number in range(1, len(fields) + 1)]
    if connection.vendor == "sqlite":
        columns = ", ".join(f"json_extract(value, '$[{number}]') AS {name}" for number, name in enumerate(names))
        return f"(SELECT {columns} FROM json_each(%s)) AS v", [json.dumps(list(zip(*lists, strict=True)))]  # noqa: S608
    arrays = ", ".join(f"%s::{field.cast_db_type(connection)}[]" for field in fields)
    return f"unnest({arrays}) AS v({', '.join(names)})", lists


def _compiled(model: type[Model], field: models.Field[Any, Any], value: Any) -> tuple[str, list[Any]]:
    if not hasattr(value, "resolve_expression"):
        return "%s", [field.get_db_prep_value(value, connection)]
    query = UpdateQuery(model)
    sql, params = query.get_compiler(connection=connection).compile(value.resolve_expression(query, for_save=True))
    return sql, list(params)


def _field(model: type[Model], name: str) -> models.Field[Any, Any]:
    field = model._meta.get_field(name)
    if not isinstance(field, models.Field):
        raise TypeError(f"{model.__name__}.{name} has no column")
    return field


def insert_from_select(model: type[Model], *, columns: Sequence[str], rows: QuerySet[Any, Any]) -> int:
    """INSERT … SELECT … ON CONFLICT DO NOTHING; ``rows`` is a ``values_list`` in the order of ``columns``.

    Returns how many rows were inserted.
    """
    quote = connection.ops.quote_name
    names = ", ".join(quote(str(_field(model, name).column)) for name in columns)
    select, params = rows.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {quote(model._meta.db_table)} ({names}) {select} ON CONFLICT DO NOTHING",
            params,
        )
        return int(cursor.rowcount)


def insert_missing(model: type[Model], *, rows: Sequence[Model]) -> int:
    """INSERT … VALUES … ON CONFLICT DO NOTHING; returns how many rows were inserted.

    (``bulk_create`` does not tell, and cuts the rows up on SQLite: 999 values a statement.)
    """
    if not rows:
        return 0
    fields = [field for field in model._meta.local_concrete_fields if not field.primary_key]
    quote = connection.ops.quote_name
    names = ", ".join(quote(str(field.column)) for field in fields)
    placeholders = ", ".join(["(" + ", ".join(["%s"] * len(fields)) + ")"] * len(rows))
    values = [field.get_db_prep_save(field.pre_save(row, True), connection) for row in rows for field in fields]
    with connection.cursor() as cursor:
        # Only names of our own models are spliced in.
        cursor.execute(
            f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES {placeholders} ON CONFLICT DO NOTHING",  # noqa: S608
            values,
        )
        return int(cursor.rowcount)


def refresh_statistics(model: type[Model]) -> None:
    """Let PostgreSQL look at a table again after much of it has changed; SQLite plans without looking."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE {connection.ops.quote_name(model._meta.db_table)}")


def count_groups(rows: QuerySet[Any, Any], *, on: str, by: Sequence[str]) -> list[tuple[Any, ...]]:
    """SELECT by, COUNT(*), MIN(on), MAX(on) FROM (rows) GROUP BY by.

    ``rows`` is a ``values`` that names them all, and may be grouped itself; the columns of ``by`` come back converted
    as it converts them. (Django does not group what it has grouped.)
    """
    quote = connection.ops.quote_name
    compiler = rows.query.get_compiler(connection=connection)
    inner, params = compiler.as_sql()
    columns = {alias: expression for expression, _sql, alias in compiler.select}
    names, key = ", ".join(quote(name) for name in by), quote(on)
    sql = f"SELECT {names}, COUNT(*), MIN({key}), MAX({key}) FROM ({inner}) AS rows GROUP BY {names}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    converters = compiler.get_converters([columns[name] for name in by])
    return [tuple(row) for row in compiler.apply_converters(found, converters)] if converters else found


@contextmanager
def reckoning() -> Iterator[None]:
    """Let statements that read a million rows and answer with a few do so as fast as PostgreSQL can.

    Compiling them takes longer than asking, and a million people fit into so much memory.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL jit = off; SET LOCAL work_mem = '64MB'")
        yield
