"""What is worked out ahead of the question: tallies every few minutes, the forecast's numbers every hour.

``tick`` is cheap when nothing is due, and of several workers only one does the work.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.db.models import Q

from notify_platform.core import queue
from notify_platform.insights import asking, demand, sending, stock

TALLIES: Final = "tallies"
TALLIES_EVERY: Final = timedelta(minutes=5)
FORECAST: Final = "forecast"
FORECAST_EVERY: Final = timedelta(hours=1)


def tick() -> bool:
    """Work out what is due; there is never more to do at once, so the answer is False."""
    if queue.take_turn(TALLIES, every=TALLIES_EVERY):
        asking.tally_lately()
        sending.tally_lately()
        stock.tally()
    if queue.take_turn(FORECAST, every=FORECAST_EVERY):
        demand.expect_all()
        asking.sample_lately()
    return False


def due() -> Q:
    """Return the condition that ``tick`` has something to do."""
    return queue.turn_is_due(TALLIES) | queue.turn_is_due(FORECAST)
