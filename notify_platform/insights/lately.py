"""What takes long to count, as it was counted a moment ago: looking on costs little, however many people do.

Counting may take a twentieth of the time: what took a tenth of a second is shown for two. It is kept in the cache and
nowhere else, so that whoever only looks writes nothing; without Redis each web process counts for itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from django.core.cache import cache

T = TypeVar("T")

# So many rows are counted whenever somebody asks.
LITTLE: Final = 50_000
SHARE: Final = 20
# While one counts, the others are shown the old numbers for so many seconds at the most.
PATIENCE: Final = 30.0


def lately(name: str, count: Callable[[], T], *, rows: int, anew: bool = False) -> T:
    """Return what ``count`` answers, or answered lately under this name. It reads about so many ``rows``.

    ``anew``: count now in any case, because somebody has just opened the page or pressed a button on it.
    """
    if rows <= LITTLE:
        return count()
    known: tuple[float, T] | None = cache.get(name)
    if known is not None and not anew:
        good_until, told = known
        if good_until > time.time():
            return told
        _keep(name, told, seconds=PATIENCE)
    began = time.monotonic()
    counted = count()
    _keep(name, counted, seconds=(time.monotonic() - began) * SHARE)
    return counted


def _keep(name: str, told: T, *, seconds: float) -> None:
    cache.set(name, (time.time() + seconds, told), timeout=seconds + PATIENCE)
