"""What can be turned on the simulator while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

DAILY_SEND_LIMIT = 30_000_000


@dataclass(slots=True)
class Settings:
    """The dials. Rates are 0..1.

    - ``latency_ms``: what a send takes; ``msgid``: whether its reply tells the message's number.
    - ``token_lifetime_s``; ``clock_shift_s``: how far the simulator's clock is ahead of the machine's.
    - ``daily_limit``: calls per day and endpoint before 45009.
    - ``risky_words``: text with one of them is "risky" to the content check.
    - ``sent_delay_ms``: from a send to its sent event; ``sent_failure_rate``: how many sent events report a failure;
      ``sent_msgid``: whether they carry the MsgID.
    - ``push_drop_rate``, ``push_duplicate_rate``: pushes that never leave, and that leave twice.
    - ``push_nested``: JSON pushes with the list inside ``Subscribe…Event``; ``push_create_time_text``: CreateTime as
      text instead of a number.
    - ``push_timeout_s``: how long the receiver may take; ``push_retry_ms``: pause before the second and third try.
    """

    latency_ms: float = 0.0
    msgid: bool = True
    token_lifetime_s: float = 7200.0
    clock_shift_s: float = 0.0
    daily_limit: int = DAILY_SEND_LIMIT
    risky_words: list[str] = field(default_factory=lambda: ["赌博", "代开发票"])
    sent_delay_ms: float = 0.0
    sent_failure_rate: float = 0.0
    sent_msgid: bool = True
    push_drop_rate: float = 0.0
    push_duplicate_rate: float = 0.0
    push_nested: bool = False
    push_create_time_text: bool = False
    push_timeout_s: float = 5.0
    push_retry_ms: float = 1000.0

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """Return a copy with other values; an unknown name or a value of another type raises ``ValueError``."""
        values = asdict(self)
        for name, value in changes.items():
            if name not in values:
                raise ValueError(f"there is no setting {name}; there are {', '.join(values)}")
            values[name] = _like(values[name], value, name=name)
        return Settings(**values)


def _like(old: object, value: object, *, name: str) -> object:
    """Return ``value`` in the type of ``old``."""
    if isinstance(old, float) and type(value) in {int, float}:
        return float(str(value))
    if type(value) is not type(old):
        raise ValueError(f"{name} takes {type(old).__name__}, not {value!r}")
    return value
