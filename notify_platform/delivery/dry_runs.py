"""What a dry run says: who is lost at which gate, who waits and why, what it costs. ``rehearsal`` makes one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from notify_platform.delivery.models import Reason


@dataclass(frozen=True, slots=True)
class Loss:
    """One gate: how many stop there for good, why, and a few of them (keys: names are looked up when it is shown)."""

    reason: str
    people: int
    samples: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """The reason in words."""
        return str(Reason(self.reason).label)


@dataclass(frozen=True, slots=True)
class Wait:
    """How many get it later, why, until when the last of them, and a few of them."""

    reason: str
    people: int
    until: datetime
    samples: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """The reason in words."""
        return str(Reason(self.reason).label)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a job would do at the moment ``at``.

    ``audience`` = the sum of ``losses`` + ``now`` + ``later``. ``units`` is what it costs (0 for a long-term template),
    ``stock`` what the template has left in the whole mini-program afterwards (units in use included), ``lapsing`` how
    many of those end within seven days; ``seconds`` is how long ``now`` takes at the job's pace. ``trouble`` says why
    nothing could be sent at all as it stands; the numbers are then those of the job without that trouble.
    ``is_estimate``: who has words that do not fit is reckoned from a part of the people.
    """

    at: datetime
    audience: int
    losses: tuple[Loss, ...]
    now: int
    waits: tuple[Wait, ...]
    units: int
    stock: int
    lapsing: int
    seconds: int
    pace: int
    trouble: str = ""
    is_estimate: bool = False

    @property
    def later(self) -> int:
        """How many wait first."""
        return sum(wait.people for wait in self.waits)

    @property
    def sent(self) -> int:
        """How many messages are to be expected."""
        return self.now + self.later

    @property
    def until(self) -> datetime | None:
        """When the last of those who wait may get it."""
        return max((wait.until for wait in self.waits), default=None)

    @property
    def by_reason(self) -> dict[str, int]:
        """Reason → people who get nothing."""
        return {loss.reason: loss.people for loss in self.losses}

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can keep it."""
        kept = asdict(self)
        kept["at"] = self.at.isoformat()
        kept["waits"] = [{**asdict(wait), "until": wait.until.isoformat()} for wait in self.waits]
        return kept

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Rehearsal:
        """Return what ``as_json`` kept."""
        losses = tuple(Loss(one["reason"], one["people"], tuple(one["samples"])) for one in kept["losses"])
        waits = tuple(
            Wait(one["reason"], one["people"], datetime.fromisoformat(one["until"]), tuple(one["samples"]))
            for one in kept["waits"]
        )
        return cls(**{**kept, "at": datetime.fromisoformat(kept["at"]), "losses": losses, "waits": waits})
