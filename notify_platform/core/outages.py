"""A database that does not take what it is given: which errors say so, and what a person should do about it.

None of them is the fault of the work at hand. It is tried again until the database is back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from django.db import InterfaceError, InternalError, OperationalError

# A read-only transaction is an InternalError to PostgreSQL's driver.
AWAY: Final = (OperationalError, InterfaceError, InternalError)

_FULL: Final = "the disk of the database is full: make room on it"
_READ_ONLY: Final = "the database is read-only: let it be written to (a standby? default_transaction_read_only?)"
_MODES: Final = "the database is read-only: see that this process may write to its file and its folder"
_DISK: Final = "the file of the database cannot be read or written: look at the disk, its quota and the system's log"
_BUSY: Final = "another process holds the SQLite database: see which; under much load use PostgreSQL"
_GONE: Final = "PostgreSQL does not answer: see whether it runs, and look at its log"
_CROWDED: Final = "PostgreSQL takes no more connections: raise max_connections, or run fewer processes"

# How a SQLSTATE begins, and how the name of an error of SQLite does.
_STEPS: Final = {
    "53100": _FULL,
    "53300": _CROWDED,
    "25006": _READ_ONLY,
    "08": _GONE,
    "57P": _GONE,
    "SQLITE_FULL": _FULL,
    "SQLITE_READONLY": _MODES,
    "SQLITE_CANTOPEN": _MODES,
    "SQLITE_IOERR": _DISK,
    "SQLITE_BUSY": _BUSY,
}


def next_step(error: BaseException) -> str:
    """Return what is wrong with the database and what to do, for the log; the kind of error when it does not tell."""
    return _step(error) or type(error).__name__


def unexplained(error: BaseException) -> BaseException | None:
    """Return the error when a line of the log needs its traceback, None when the next step says it all."""
    return None if _step(error) else error


def _step(error: BaseException) -> str:
    for name in _names(error):
        for beginning, step in _STEPS.items():
            if name.startswith(beginning):
                return step
    return ""


def _names(error: BaseException) -> Iterator[str]:
    """Go through what the drivers call an error and its causes."""
    cause: BaseException | None = error
    while cause is not None:
        yield from filter(None, (getattr(cause, "sqlstate", None), getattr(cause, "sqlite_errorname", None)))
        if isinstance(cause, OperationalError | InterfaceError) and "connection" in str(cause):
            yield "08"
        cause = cause.__cause__
