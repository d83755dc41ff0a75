"""Reading tables that only grow: counts that stop, pages by key, and where in a table a day begins.

Few statements whatever the number of rows and sets, the same on PostgreSQL and SQLite.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.core.exceptions import EmptyResultSet
from django.db import connection, models
from django.db.models import Max, Min, Model, Q, QuerySet

# Rows are numbered when they are written and stamped by the clock of their statement: two that are written at the same
# time may stand the other way round.
SLACK = timedelta(minutes=5)


def capped_counts(sets: Sequence[QuerySet[Any, Any]], *, cap: int) -> list[int]:
    """Count each set of rows, and stop at ``cap``."""
    parts = [_select(rows.order_by().values("pk")[:cap]) for rows in sets]
    if not parts:
        return []
    counts = ", ".join(f"(SELECT COUNT(*) FROM ({sql}) AS s{number})" for number, (sql, _) in enumerate(parts))  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {counts}", [value for _, params in parts for value in params])
        return list(cursor.fetchone())


def page_of_keys(sets: Sequence[QuerySet[Any, Any]], *, newest_first: bool, limit: int) -> list[int]:
    """Return the first keys of several sets together.

    One set for each value of an index's column: each is read in the order of its index, none is sorted.
    """
    order = "-pk" if newest_first else "pk"
    selects = [_select(rows.order_by(order).values("pk")[:limit]) for rows in sets]
    # PostgreSQL would want to know the type of nothing.
    parts = [select for select in selects if select is not _NOTHING]
    if not parts:
        return []
    union = " UNION ALL ".join(f"SELECT * FROM ({sql}) AS s{number}" for number, (sql, _) in enumerate(parts))  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(union, [value for _, params in parts for value in params])
        keys = [row[0] for row in cursor.fetchall()]
    return sorted(keys, reverse=newest_first)[:limit]


_NOTHING: Final[tuple[str, Sequence[Any]]] = ("SELECT NULL WHERE 1 = 0", ())


def _select(rows: QuerySet[Any, Any]) -> tuple[str, Sequence[Any]]:
    try:
        return rows.query.sql_with_params()
    except EmptyResultSet:
        return _NOTHING


def between(model: type[Model], *, moment: str, since: datetime | None, until: datetime | None) -> Q:
    """Return the condition that a row's ``moment`` lies in a span (its end excluded).

    Keys grow with time, so it is a span of keys: no index on the time has to be kept for it, and a count needs none of
    the rows. Only where rows of both sides of an end are mixed is each asked for its moment.
    """
    ends = [end for end in (since, until) if end is not None]
    keys = iter(first_keys_at(model, moment=moment, ats=[at for end in ends for at in (end - SLACK, end + SLACK)]))
    condition = Q()
    if since is not None:
        first, last = _mixed(model, moment=moment, at=since, low=next(keys), high=next(keys))
        condition &= Q(pk__gte=first) & (Q(**{f"{moment}__gte": since}) if first <= last else Q())
    if until is not None:
        first, last = _mixed(model, moment=moment, at=until, low=next(keys), high=next(keys))
        condition &= Q(pk__lte=last, **{f"{moment}__lt": until}) if first <= last else Q(pk__lt=first)
    return condition


def _mixed(model: type[Model], *, moment: str, at: datetime, low: int, high: int) -> tuple[int, int]:
    """Return the first key of that moment or later, and the last of an earlier one; nothing is mixed when it is lower.

    Both lie from ``low`` on and before ``high``; where there is no such row the result says so by one of these.
    """
    found = model._base_manager.filter(pk__gte=low, pk__lt=high).aggregate(
        first=Min("pk", filter=Q(**{f"{moment}__gte": at})), last=Max("pk", filter=Q(**{f"{moment}__lt": at}))
    )
    first, last = found["first"], found["last"]
    return high if first is None else first, low - 1 if last is None else last


def first_keys_at(model: type[Model], *, moment: str, ats: Sequence[datetime]) -> list[int]:
    """Return the keys from which on rows are of these moments or later, by halving: some twenty look-ups each.

    One statement. ``moment`` must grow with the key, as what the platform stamps itself does.
    """
    quote = connection.ops.quote_name
    field = model._meta.get_field(moment)
    if not isinstance(field, models.Field):
        raise TypeError(f"{model.__name__}.{moment} has no column")
    if not ats:
        return []
    table, column = quote(model._meta.db_table), quote(str(field.column))
    middle = "(low + high) / 2"
    # Both ends in one SELECT, and SQLite would go through the whole table.
    is_before = f"(SELECT {column} FROM {table} WHERE id >= {middle} ORDER BY id LIMIT 1) < %s"  # noqa: S608
    halving = f"""(
        WITH RECURSIVE halving(low, high) AS (
            SELECT COALESCE((SELECT MIN(id) FROM {table}), 0), COALESCE((SELECT MAX(id) FROM {table}), 0) + 1
            UNION ALL
            SELECT CASE WHEN {is_before} THEN {middle} + 1 ELSE low END,
                   CASE WHEN {is_before} THEN high ELSE {middle} END
            FROM halving WHERE low < high
        )
        SELECT MAX(low) FROM halving
    )"""  # noqa: S608
    values = [field.get_db_prep_value(at, connection) for at in ats]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join([halving] * len(ats))}", [value for one in values for value in (one, one)])
        return list(cursor.fetchone())
