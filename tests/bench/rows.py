"""What a row of the benchmark is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

Raw = Mapping[str, Any]
# First column → heading → figure.
Table = dict[str, Mapping[str, str]]


class Goal(NamedTuple):
    """A promise, and what came of it."""

    promise: str
    figure: str
    is_met: bool


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rounds: int
    requests: int
    people: int
    profiled: int
    # Of each table, at first and in the end.
    few_rows: int
    rows: int
    # Who stands in the funnel.
    crowd: int


SCALES = {
    "full": Scale(rounds=9, requests=1000, people=2000, profiled=1500, few_rows=5000, rows=5_000_000, crowd=1_000_000),
    # Enough to see that a row runs; its figures mean nothing.
    "tiny": Scale(rounds=2, requests=16, people=8, profiled=4, few_rows=50, rows=500, crowd=400),
}


@dataclass(frozen=True)
class Row:
    """One row: ``measure`` runs on an empty database of its own, the others read the raw figures it returned.

    ``profiles`` returns milliseconds: what was watched → layer → ms.
    """

    title: str
    measure: Callable[[Scale], dict[str, Any]]
    goals: Callable[[Raw], list[Goal]]
    table: Callable[[Raw], Table]
    profiles: Callable[[Raw], dict[str, Mapping[str, float]]]
