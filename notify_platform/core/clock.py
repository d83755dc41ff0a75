"""One clock for leases, slots and due times: the database's (several hosts never agree on theirs); and time zones."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Final
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection

BEIJING: Final = timezone(timedelta(hours=8))


def database_now() -> datetime:
    """Return the database's clock, in UTC: on PostgreSQL the start of the running statement."""
    if connection.vendor == "sqlite":
        # SQLite has no clock but the host's, and no second host.
        return datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment.astimezone(UTC)


def beijing_midnight(moment: datetime) -> datetime:
    """Return when the day of a moment began in Beijing; the next one begins 24 hours later.

    So WeChat's daily limits are reckoned here: it does not say when its day ends, and this is what everybody assumes.
    """
    return moment.astimezone(BEIJING).replace(hour=0, minute=0, second=0, microsecond=0)


def zone_of(*names: str) -> ZoneInfo:
    """Return the first of these time zones that exists, the house's own when none does.

    A name in the data may be one the tz database has dropped, or never had: a guess at the hour is better than no hour.
    """
    for name in filter(None, names):
        with suppress(KeyError, ValueError, OSError):
            return ZoneInfo(name)
    return ZoneInfo(settings.TIME_ZONE)
