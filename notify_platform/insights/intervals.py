"""How sure a share is."""

from __future__ import annotations

from math import sqrt
from typing import Final, NamedTuple

# 95 in 100 such intervals hold the true share.
Z: Final = 1.96


class Share(NamedTuple):
    """A share of a whole, and the interval it lies in (Wilson's, which is honest for small numbers)."""

    of: int
    value: float
    low: float
    high: float


def share(part: int, *, of: int) -> Share | None:
    """Return what share a part is; None of nothing."""
    if not of:
        return None
    value = part / of
    spread = 1 + Z**2 / of
    centre = (value + Z**2 / (2 * of)) / spread
    margin = Z / spread * sqrt(value * (1 - value) / of + Z**2 / (4 * of**2))
    return Share(of, value, max(centre - margin, 0.0), min(centre + margin, 1.0))
