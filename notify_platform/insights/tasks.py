"""What the doorbell calls for the insights."""

from __future__ import annotations

from notify_platform.core import queue
from notify_platform.insights import rollup


def refresh() -> None:
    """Work out what is due."""
    queue.answer("insights")
    rollup.tick()
