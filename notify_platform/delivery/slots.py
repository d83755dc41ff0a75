"""What waits in an engine to leave: claimed messages, each with the moment from which it may, soonest first."""

from __future__ import annotations

import math
import uuid
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from notify_platform.delivery.claims import Message

# Together they are less than the tenth that a second may have too many.
CATCHING_UP: Final = 1.06
SLACK_SECONDS: Final = 0.03


@dataclass(frozen=True, slots=True)
class Slot:
    """A claimed message and the moment (monotonic clock) from which it may leave.

    ``day``: whose budget it uses; ``per_second``: the pace of its mini-program.
    """

    at: float
    day: int
    per_second: int
    token: uuid.UUID
    message: Message


class Slots:
    """Slots in the order of their moments. False when there are none."""

    def __init__(self) -> None:
        self._slots: deque[Slot] = deque()

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def first_at(self) -> float:
        """When the next may leave; there must be one."""
        return self._slots[0].at

    @property
    def last_at(self) -> float:
        """When the last may leave; there must be one."""
        return self._slots[-1].at

    def add(self, slots: Iterable[Slot]) -> None:
        """Put each at its moment: a slow job's messages must not keep a fast job's waiting."""
        self._slots = deque(sorted([*self._slots, *slots], key=lambda slot: slot.at))

    def add_first(self, urgent: Sequence[Slot]) -> None:
        """Let messages somebody waits for take the first moments, and everybody else the next."""
        moments = sorted(slot.at for slot in (*self._slots, *urgent))
        everybody = (*urgent, *self._slots)
        self._slots = deque(replace(slot, at=at) for slot, at in zip(everybody, moments, strict=True))

    def put_off(self, *, by: float) -> None:
        """Move all by so many seconds."""
        self._slots = deque(replace(slot, at=slot.at + by) for slot in self._slots)

    def take(self, *, until: float, most: int) -> list[Slot]:
        """Take out those that may leave until then, the first so many of them."""
        taken: list[Slot] = []
        while self._slots and len(taken) < most and self._slots[0].at <= until:
            taken.append(self._slots.popleft())
        return taken

    def take_all(self) -> list[Slot]:
        """Take out all."""
        taken = list(self._slots)
        self._slots.clear()
        return taken


class Spacing:
    """When the messages of one engine leave: what is late leaves a little faster than the pace, not all at once."""

    def __init__(self) -> None:
        self._last_at = -math.inf

    def moments(self, wave: Iterable[Slot], *, now: float) -> list[float]:
        """Return the moment (monotonic clock) of each; at most ``SLACK_SECONDS`` worth of them are in the past."""
        self._last_at = max(self._last_at, now - SLACK_SECONDS)
        moments: list[float] = []
        for slot in wave:
            self._last_at = max(slot.at, self._last_at + 1 / (slot.per_second * CATCHING_UP))
            moments.append(self._last_at)
        return moments


def by_claim(slots: Iterable[Slot]) -> dict[tuple[uuid.UUID, int], list[int]]:
    """Return the deliveries of each claim, by its token and the day whose budget it uses."""
    grouped: dict[tuple[uuid.UUID, int], list[int]] = {}
    for slot in slots:
        grouped.setdefault((slot.token, slot.day), []).append(slot.message.delivery_id)
    return grouped
