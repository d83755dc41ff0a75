"""One clock for leases, slots and due times: the database's (several hosts never agree on theirs)."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import connection


def database_now() -> datetime:
    """Return the database's clock, in UTC: on PostgreSQL the start of the running statement."""
    if connection.vendor == "sqlite":
        # SQLite has no clock but the host's, and no second host.
        return datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment.astimezone(UTC)
