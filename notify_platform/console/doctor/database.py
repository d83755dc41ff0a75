"""The ground: settings, the database's modes and clock, migrations and constraints."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.core import checks as django_checks
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.translation import gettext as _

from notify_platform.core import schema
from notify_platform.core.clock import database_now
from notify_platform.delivery.models import Delivery
from notify_platform.insights.books import Finding
from templates_app.models import MiniProgram

# Sessions, callbacks and one-time codes are held against this machine's clock, all else against the database's.
LARGEST_DIFFERENCE: Final = timedelta(seconds=2)
# Somebody else's transaction began earlier, and rows are stamped a moment before they are there.
LARGEST_LEAD: Final = timedelta(minutes=1)
SHORTEST_PATIENCE_MS: Final = 5000
_FULL: Final = 2


def answers() -> Iterator[Finding]:
    """The database answers at all; what it says instead is for the caller to catch."""
    connection.ensure_connection()
    yield from ()


def migrations() -> Iterator[Finding]:
    """Every migration of this version has been applied."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _backwards in plan[:5])
        sentence = _("migrations have not been applied: %(names)s") % {"names": names}
        yield Finding("migrations", sentence, len(plan), _("Run manage.py migrate."))


def settings_as_checked() -> Iterator[Finding]:
    """What ``manage.py check`` says."""
    for found in django_checks.run_checks():
        if found.level >= django_checks.WARNING and not found.is_silenced():
            yield Finding(f"settings {found.id}", str(found.msg), 1, str(found.hint or ""))


def modes() -> Iterator[Finding]:
    """What has been committed must survive a power cut, or a message that has left would leave again."""
    wrong = _sqlite_modes() if connection.vendor == "sqlite" else _postgresql_modes()
    for sentence, cure in wrong:
        yield Finding("database modes", sentence, 1, cure)


def _sqlite_modes() -> Iterator[tuple[str, str]]:
    cure = _("Set OPTIONS of DATABASES as in notify_platform/settings.py.")
    if (mode := _pragma("journal_mode")) != "wal":
        yield _("SQLite's journal mode is %(mode)s, so readers stop writers") % {"mode": mode}, cure
    if int(_pragma("synchronous")) < _FULL:
        yield _("SQLite does not wait for the disk (synchronous below FULL)"), cure
    if int(_pragma("busy_timeout")) < SHORTEST_PATIENCE_MS:
        yield _("SQLite gives up waiting for a lock after less than 5 seconds"), cure


def _postgresql_modes() -> Iterator[tuple[str, str]]:
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        if _asked(f"SHOW {name}") == "off":
            cure = _("Set %(name)s = on in postgresql.conf, and for the platform's role.") % {"name": name}
            yield _("PostgreSQL does not wait for the disk: %(name)s is off") % {"name": name}, cure


def file() -> Iterator[Finding]:
    """SQLite's file is sound: it reads all of it."""
    if connection.vendor == "sqlite" and (said := _pragma("quick_check")) != "ok":
        cure = _("Stop everything, keep the file, and restore the last backup: docs/operations.md, “Restore”.")
        yield Finding("database file", _("SQLite's file is damaged: %(said)s") % {"said": said}, 1, cure)


def _pragma(name: str) -> str:
    return _asked(f"PRAGMA {name}")


def _asked(statement: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return str(cursor.fetchone()[0])


def constraints() -> Iterator[Finding]:
    """What the models promise stands in the database, and is in force."""
    missing = [f"{table}.{name}" for table, name in schema.missing()]
    if missing:
        sentence = _("constraints or indexes are missing or not in force: %(names)s") % {"names": ", ".join(missing)}
        cure = _("Make them again as the migrations do: docs/operations.md, “The database”.")
        yield Finding("constraints", sentence, len(missing), cure)


def clock() -> Iterator[Finding]:
    """This machine's clock, the database's, and the time zones by which people are sent to."""
    began = datetime.now(UTC)
    theirs = database_now()
    apart = theirs - (began + (datetime.now(UTC) - began) / 2)
    if abs(apart) > LARGEST_DIFFERENCE:
        sentence = _("this machine's clock and the database's are %(seconds).1f s apart") % {
            "seconds": abs(apart).total_seconds()
        }
        yield Finding("clock", sentence, 1, _("Let both follow the same time servers (chrony or systemd-timesyncd)."))
    newest = Delivery.objects.order_by("-pk").values_list("created_at", flat=True).first()
    if newest and newest > theirs + LARGEST_LEAD:
        sentence = _("the newest message was written in the future: a clock was set back")
        yield Finding("clock", sentence, 1, _("Set the database's clock right; what is due waits until then."))
    for name, zone in MiniProgram.objects.order_by("pk").values_list("name", "time_zone"):
        if not _is_known(zone):
            sentence = _("%(name)s is at home in a time zone nobody knows: %(zone)s") % {"name": name, "zone": zone}
            yield Finding(
                "time zone", sentence, 1, _("Choose another one on the mini-program's page, or update tzdata.")
            )


def _is_known(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        return False
    return True
