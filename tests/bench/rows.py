"""What a row of the benchmark is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    # One broadcast at most, and the long one; rounds at each latency (ms), of us and of the peers; numbers of workers.
    messages: int
    many: int
    latencies: Mapping[int, int]
    peers: Mapping[int, int]
    workers: Sequence[int]
    # How long a paced broadcast is watched, and how many urgent messages are sent beside one.
    seconds: int
    urgent: int


SCALES = {
    "full": Scale(
        rounds=9,
        requests=1000,
        people=2000,
        profiled=1500,
        few_rows=5000,
        rows=5_000_000,
        crowd=1_000_000,
        messages=20_000,
        many=1_000_000,
        latencies={0: 3, 30: 2, 100: 1},
        peers={0: 1, 30: 1},
        workers=(1, 2, 4),
        seconds=45,
        urgent=100,
    ),
    # Enough to see that a row runs; its figures mean nothing.
    "tiny": Scale(
        rounds=2,
        requests=16,
        people=8,
        profiled=4,
        few_rows=50,
        rows=500,
        crowd=400,
        messages=40,
        many=80,
        latencies={0: 1, 30: 1},
        peers={0: 1},
        workers=(1,),
        seconds=2,
        urgent=2,
    ),
}


@dataclass(frozen=True)
class Row:
    """One row: ``measure`` runs on an empty database of its own, the others read the raw figures it returned.

    ``profiles`` returns milliseconds: what was watched → layer → ms. ``charts`` draws the figures of one database,
    whose name it is given: name → SVG.
    """

    title: str
    measure: Callable[[Scale], dict[str, Any]]
    goals: Callable[[Raw], list[Goal]]
    table: Callable[[Raw], Table]
    profiles: Callable[[Raw], dict[str, Mapping[str, float]]]
    charts: Callable[[Raw, str], dict[str, str]] = lambda _raw, _database: {}
