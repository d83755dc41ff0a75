"""What the models promise of the database, held against the database itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from django.apps import apps
from django.db import connection
from django.db.models import Model

# An index whose making was interrupted, and a constraint that was never held against the rows, keep nothing.
_NOT_IN_FORCE: Final = """
    SELECT relname FROM pg_class JOIN pg_index ON pg_index.indexrelid = pg_class.oid WHERE NOT indisvalid
    UNION SELECT conname FROM pg_constraint WHERE NOT convalidated
"""


def missing() -> Iterator[tuple[str, str]]:
    """Yield (table, name) of every constraint and index of ours that the database lacks or does not keep to."""
    out_of_force = _out_of_force()
    for model in apps.get_models():
        kept = _present(model) - out_of_force
        for name in sorted(_promised(model) - kept):
            yield model._meta.db_table, name


def kept(model: type[Model]) -> set[str]:
    """Return the names of the constraints and indexes of a model that are in force: no row can break those."""
    return _present(model) - _out_of_force()


def _promised(model: type[Model]) -> set[str]:
    return {rule.name for rule in (*model._meta.constraints, *model._meta.indexes)}


def _present(model: type[Model]) -> set[str]:
    with connection.cursor() as cursor:
        return set(connection.introspection.get_constraints(cursor, model._meta.db_table))


def _out_of_force() -> set[str]:
    if connection.vendor != "postgresql":
        return set()
    with connection.cursor() as cursor:
        cursor.execute(_NOT_IN_FORCE)
        return {name for (name,) in cursor.fetchall()}
