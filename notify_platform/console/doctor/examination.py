"""The whole examination: everything that can be found out without changing anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from django.utils.translation import gettext as _

from notify_platform.console.doctor import database, wechat, work
from notify_platform.insights import books
from notify_platform.insights.books import Finding

# So many of the newest rows of each table are read, unless somebody wants all of them looked at.
NEWEST: Final = 1_000_000


def examine(*, deep: bool = False) -> Iterator[Finding]:
    """Yield what is not as it should be, the ground first; ``deep``: read the whole history, and SQLite's file.

    Nothing is written. Rows are counted in the database, so memory does not grow with them.
    """
    if (silence := _asked(database.answers)) or (silence := _asked(database.migrations)):
        # What follows would stumble over the tables that are not there.
        yield from [*silence, *_asked(database.settings_as_checked)]
        return
    for ask in (*_CHECKS, *(_DEEP if deep else ())):
        yield from _asked(ask)
    yield from _asked(lambda: books.check(newest=None if deep else NEWEST))


def _asked(ask: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Return what a check found; one that could not be asked is a finding, and keeps no other back."""
    try:
        return list(ask())
    except DatabaseError as error:
        sentence = _("the database could not answer: %(error)s") % {"error": error}
        return [Finding("database", sentence, 1, _("Look into the database's own log, then ask again."))]
    except ImproperlyConfigured as error:
        return [
            Finding("settings", str(error), 1, _("Correct the settings (.env.example explains each), then ask again."))
        ]


_CHECKS: Final[tuple[Callable[[], Iterable[Finding]], ...]] = (
    database.settings_as_checked,
    database.modes,
    database.constraints,
    database.clock,
    wechat.secrets,
    wechat.tokens,
    wechat.callbacks,
    work.workers,
    work.queue,
    work.standing_still,
    work.series,
    work.tallies,
)
_DEEP: Final[tuple[Callable[[], Iterable[Finding]], ...]] = (database.file,)
