"""Steps of histories, thrown with dice.

Steps mean something in any order: what a step speaks of is chosen among what there is, and where there is nothing it
does nothing. So a history that fails can be made shorter by leaving steps out.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

LENGTH = (6, 44)


@dataclass(frozen=True)
class Step:
    """One happening; the numbers choose among what there is."""

    verb: str
    a: int = 0
    b: int = 0
    c: int = 0

    def __str__(self) -> str:
        return f"{self.verb}({self.a}, {self.b}, {self.c})"


WEIGHTS = {
    "popup": 12,
    "tell": 22,
    "again": 4,
    "turn_off": 5,
    "switch_off": 1,
    "forge": 4,
    "bring": 1,
    "wait": 2,
    "lapse": 2,
    "revalue": 1,
    "claim": 7,
    "arm": 8,
    "land": 8,
    "die": 2,
    "close": 1,
    "resolve": 1,
}


def a_history(seed: int) -> list[Step]:
    dice = random.Random(seed)
    verbs = dice.choices(list(WEIGHTS), weights=list(WEIGHTS.values()), k=dice.randint(*LENGTH))
    return [Step(verb, *(dice.randrange(1000) for _ in range(3))) for verb in verbs]
