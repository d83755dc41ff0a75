"""Where the time goes: a stopwatch at the door of each layer, stopped while a layer below it runs.

Every moment belongs to exactly one layer, so the layers add up to the whole; a sampling profiler would not see the
waiting inside a commit, and a tracing one would make the small functions look expensive.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pkgutil import resolve_name
from typing import Any

OUTSIDE = "outside"
TRANSACTIONS = "BEGIN, SAVEPOINT, RELEASE"
# What every row has in common: the database, from the ORM down.
DATABASE_DOORS: Mapping[str, Sequence[str]] = {
    "ORM: building statements, making rows": [
        *(
            f"django.db.models.query.QuerySet.{name}"
            for name in (
                "_filter_or_exclude",
                "_fetch_all",
                "bulk_create",
                "update",
                "first",
                "get",
                "exists",
                "order_by",
            )
        ),
        *(f"django.db.models.query.QuerySet.{name}" for name in ("values_list", "select_for_update", "annotate")),
        "django.db.models.manager.BaseManager.get_queryset",
    ],
    "SQL: the driver and the database": [
        "django.db.backends.utils.CursorWrapper.execute",
        "django.db.backends.utils.CursorWrapper.executemany",
    ],
    TRANSACTIONS: [
        "django.db.backends.base.base.BaseDatabaseWrapper.set_autocommit",
        "django.db.backends.base.base.BaseDatabaseWrapper._savepoint",
        "django.db.backends.base.base.BaseDatabaseWrapper._savepoint_commit",
    ],
    "COMMIT: until it is on the disk": ["django.db.backends.base.base.BaseDatabaseWrapper._commit"],
}


class Stopwatches:
    """Seconds by layer."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._clock = clock
        self._layers = [OUTSIDE]
        self._since = clock()

    def enter(self, layer: str) -> None:
        """From now on the time is this layer's."""
        self._note()
        # What these say to the database is theirs, too.
        self._layers.append(TRANSACTIONS if self._layers[-1] == TRANSACTIONS else layer)

    def leave(self) -> None:
        """From now on it is again the one's above."""
        self._note()
        self._layers.pop()

    def _note(self) -> None:
        now = self._clock()
        self.seconds[self._layers[-1]] += now - self._since
        self._since = now

    def per_call_ms(self, calls: int) -> dict[str, float]:
        """Milliseconds of one call in each layer, the dearest first; what was outside is left out."""
        layers = [(layer, seconds) for layer, seconds in self.seconds.items() if layer != OUTSIDE]
        layers.sort(key=lambda each: -each[1])
        return {layer: round(seconds / calls * 1000, 4) for layer, seconds in layers}


@contextmanager
def watching(
    doors: Mapping[str, Sequence[str]], *, clock: Callable[[], float] = time.perf_counter
) -> Iterator[Stopwatches]:
    """Put a stopwatch at each door (layer → dotted names of functions of classes) until the block ends.

    ``clock``: ``time.process_time`` leaves the waiting out, for a machine that has other things to do.
    """
    watches = Stopwatches(clock)
    taken_off: list[tuple[Any, str, Any]] = []
    try:
        for layer, names in doors.items():
            for name in names:
                place, _dot, function = name.rpartition(".")
                owner = resolve_name(place)
                # Taken from the class's own dictionary: a function, not what getattr would make of it.
                original = vars(owner).get(function, getattr(owner, function))
                taken_off.append((owner, function, original))
                setattr(owner, function, _watched(original, layer=layer, watches=watches))
        yield watches
    finally:
        for owner, function, original in reversed(taken_off):
            setattr(owner, function, original)


def _watched(function: Callable[..., Any], *, layer: str, watches: Stopwatches) -> Callable[..., Any]:
    @wraps(function)
    def watched(*args: Any, **kwargs: Any) -> Any:
        watches.enter(layer)
        try:
            return function(*args, **kwargs)
        finally:
            watches.leave()

    return watched
