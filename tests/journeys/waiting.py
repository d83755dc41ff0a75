"""Waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_SECONDS = 60


def until(condition: Callable[[], object], *, seconds: float = PATIENCE_SECONDS) -> None:
    """Look again and again until it is so; fail when it takes longer than anybody would wait."""
    ends_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends_at, "waited in vain"
        time.sleep(0.05)
