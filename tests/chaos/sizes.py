"""How much is broken: a little with every run of the suite, much with ``make chaos``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Size:
    """``kills`` of a job to so many ``people``; ``restarts`` of each other thing that breaks; ``rates`` of the faults.

    ``waits``: leases lapse as they do in life, after a minute, instead of at once.
    """

    kills: int
    people: int
    freezes: int
    restarts: int
    rates: tuple[float, ...]
    waits: bool


SHORT: Final = Size(kills=3, people=600, freezes=1, restarts=1, rates=(0.1, 1.0), waits=False)
FULL: Final = Size(kills=100, people=100_000, freezes=10, restarts=10, rates=(0.01, 0.1, 0.5, 1.0), waits=True)
SIZE: Final = FULL if os.environ.get("CHAOS") == "full" else SHORT
