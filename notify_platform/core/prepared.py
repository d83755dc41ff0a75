"""The questions of every request: Django's SQL, made once.

Making a statement costs Django about four times what asking the database costs, and a phone's request always asks the
same few questions with other values. Their statements are made at the first asking and kept (docs/adr/0013).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

from django.db import connection
from django.db.models import Model, QuerySet
from django.db.models.expressions import Col

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper
    from django.db.models.sql.compiler import SQLCompiler

M = TypeVar("M", bound=Model)
Value: TypeAlias = "int | str | date"
# A moment is a date, too.
Values: TypeAlias = "int | str | date | list[int] | list[str]"
# What stands for a value while a statement is made; nothing real has such values.
_FIRST_NUMBER: Final = 2_147_000_000
_FIRST_MOMENT: Final = datetime(1901, 1, 1, tzinfo=UTC)
# Statements for longer lists are made anew: each length is one of its own, and an import has any.
_LONGEST_KEPT: Final = 32


class _Statement(NamedTuple):
    """SQL and its parameters; a number in ``places`` says which value stands there.

    ``names`` are the model's own columns, ``beside`` says where the annotations stand.
    """

    sql: str
    params: list[Any]
    places: list[int | None]
    model: Any
    names: list[str]
    beside: Mapping[str, int]
    compiler: SQLCompiler
    converters: Any


class _Kept(threading.local):
    """The statements of one thread: each remembers its connection, and every thread has its own."""

    def __init__(self) -> None:
        self.statements: dict[tuple[tuple[str, int], ...], _Statement] = {}


class Prepared(Generic[M]):
    """A question with gaps. ``make`` takes the values by keyword and returns a queryset of one table's columns.

    A value is a whole number, a text, a day or a moment, or a list for ``__in``, never None; nothing but the length of
    lists may change what ``make`` asks. Raises ``TypeError`` for a lookup that alters its value (``icontains``).
    """

    def __init__(self, make: Callable[..., QuerySet[M, Any]]) -> None:
        self._make = make
        self._kept = _Kept()

    def rows(self, **values: Values) -> list[tuple[Any, ...]]:
        """Ask with these values; return the columns as the queryset lists them. An empty list finds nothing."""
        return [] if [] in values.values() else self._ask(self._statement(values), values)

    def objects(self, **values: Values) -> list[M]:
        """The same, for a queryset of objects."""
        if [] in values.values():
            return []
        statement = self._statement(values)
        return [_object(statement, row) for row in self._ask(statement, values)]

    def _ask(self, statement: _Statement, values: Mapping[str, Values]) -> list[tuple[Any, ...]]:
        given = [_adapted(value) for value in _each(values)]
        params = [
            param if place is None else given[place]
            for param, place in zip(statement.params, statement.places, strict=True)
        ]
        with connection.cursor() as cursor:
            _bind_on_the_server(cursor)
            cursor.execute(statement.sql, params)
            found: list[tuple[Any, ...]] = cursor.fetchall()
        if not found or not statement.converters:
            return found
        return [tuple(row) for row in statement.compiler.apply_converters(found, statement.converters)]

    def _statement(self, values: Mapping[str, Values]) -> _Statement:
        shape = tuple((name, len(value) if isinstance(value, list) else 0) for name, value in values.items())
        statement = self._kept.statements.get(shape)
        if statement is None:
            statement = self._made(values)
            if all(length <= _LONGEST_KEPT for _name, length in shape):
                self._kept.statements[shape] = statement
        return statement

    def _made(self, values: Mapping[str, Values]) -> _Statement:
        marks = _marks(values)
        asked = self._make(**marks)
        compiler = asked.query.get_compiler(connection=connection)
        sql, params = compiler.as_sql()
        order = {_adapted(mark): place for place, mark in enumerate(_each(marks))}
        places = [order.get(param) if isinstance(param, int | str | date) else None for param in params]
        if set(order.values()) - set(places):
            raise TypeError("a value does not stand in the statement as it was given")
        columns = [column for column, *_rest in compiler.select]
        # Sums have no field of their own, and make no object.
        names = [column.target.attname for column in columns if isinstance(column, Col)]
        converters = compiler.get_converters(columns)
        beside = compiler.annotation_col_map or {}
        return _Statement(sql, list(params), places, asked.model, names, beside, compiler, converters)


def _bind_on_the_server(cursor: CursorWrapper) -> None:
    """Let PostgreSQL keep the plan of a statement asked a few times on this connection: half its work is planning.

    (Django's own cursors put the values into the text, so that to the server every asking is a new statement.)
    """
    if connection.vendor == "postgresql":
        from django.db.backends.postgresql.base import ServerBindingCursor

        cursor.cursor = ServerBindingCursor(connection.connection)  # type: ignore[call-arg]


def _object(statement: _Statement, row: tuple[Any, ...]) -> Any:
    found = statement.model.from_db(connection.alias, statement.names, row)
    vars(found).update({name: row[place] for name, place in statement.beside.items()})
    return found


def _each(values: Mapping[str, Values]) -> Iterator[Value]:
    for value in values.values():
        if isinstance(value, list):
            yield from value
        else:
            yield value


def _marks(values: Mapping[str, Values]) -> dict[str, Any]:
    """Return values of the same kinds that can be found again among the parameters."""
    marks: dict[str, Any] = {}
    number = 0
    for name, value in values.items():
        ones = value if isinstance(value, list) else [value]
        found = [_mark(one, number + offset) for offset, one in enumerate(ones)]
        number += len(ones)
        marks[name] = found if isinstance(value, list) else found[0]
    return marks


def _mark(value: Value, number: int) -> Value:
    if isinstance(value, date):
        moment = _FIRST_MOMENT + timedelta(days=number)
        return moment if isinstance(value, datetime) else moment.date()
    return f"\x01{number}" if isinstance(value, str) else _FIRST_NUMBER + number


def _adapted(value: Value) -> Any:
    """Return a value as it stands among the parameters."""
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    return connection.ops.adapt_datefield_value(value) if isinstance(value, date) else value
