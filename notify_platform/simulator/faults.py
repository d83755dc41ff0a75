"""Faults on order: which calls go wrong, how, and how often. The same seed gives the same faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from threading import Lock
from typing import Any

ANY_ENDPOINT = "*"


class Action(StrEnum):
    """What happens to a call. "Before" and "after" mean: before or after WeChat counted it."""

    CODE = "code"  # refused with the rule's errcode; nothing counted
    DELAY = "delay"  # judged and counted as usual, but `delay_ms` later
    HANG = "hang"  # nothing counted, and never a reply
    RESET_BEFORE = "reset_before"  # nothing counted, connection reset
    RESET_AFTER = "reset_after"  # counted and delivered, then the connection is reset
    STATUS_BEFORE = "status_before"  # nothing counted, an HTTP status without JSON
    STATUS_AFTER = "status_after"  # counted and delivered, then an HTTP status without JSON
    GARBAGE = "garbage"  # counted and delivered, then HTTP 200 with a body nobody can read


@dataclass(slots=True)
class FaultRule:
    """One line of the list: ``endpoint`` is a path or ``*``; ``rate`` 0..1; ``limit`` is how often it fires at most.

    ``openids``: only calls about these users (``touser`` or ``openid`` in the body); None means all.
    """

    endpoint: str
    action: Action
    rng: Random
    code: int = -1
    http_status: int = 502
    rate: float = 1.0
    delay_ms: float = 0
    limit: int | None = None
    openids: frozenset[str] | None = None
    fired: int = 0

    def fires(self, *, path: str, openid: str) -> bool:
        """Return whether the rule hits this call, and count it if so."""
        if self.endpoint not in {ANY_ENDPOINT, path} or (self.openids is not None and openid not in self.openids):
            return False
        # Drawn before the limit is looked at, so that the sequence depends on the calls alone.
        if self.rng.random() >= self.rate or (self.limit is not None and self.fired >= self.limit):
            return False
        self.fired += 1
        return True


@dataclass(frozen=True, slots=True)
class Fault:
    """What one call has to suffer: seconds of delay, and the rule that ends it, if any."""

    delay_s: float
    rule: FaultRule | None
    actions: tuple[Action, ...]

    def ends_with(self, *actions: Action) -> bool:
        """Return whether the call ends in one of these ways."""
        return self.rule is not None and self.rule.action in actions


NO_FAULT = Fault(0.0, None, ())


class Faults:
    """The list of rules. Delays add up; the first rule of another kind that fires ends the call."""

    def __init__(self) -> None:
        self._rules: list[FaultRule] = []
        self._lock = Lock()

    def replace(self, rows: list[Mapping[str, Any]], *, seed: int) -> None:
        """Put other rules in place of all; an unknown action or member raises ``ValueError``."""
        rules = [_rule(row, seed=seed, position=position) for position, row in enumerate(rows)]
        with self._lock:
            self._rules = rules

    def draw(self, *, path: str, openid: str) -> Fault:
        """Decide about one call."""
        if not self._rules:
            return NO_FAULT
        delay_ms = 0.0
        actions: list[Action] = []
        with self._lock:
            for rule in self._rules:
                if not rule.fires(path=path, openid=openid):
                    continue
                actions.append(rule.action)
                delay_ms += rule.delay_ms
                if rule.action is not Action.DELAY:
                    return Fault(delay_ms / 1000, rule, tuple(actions))
        return Fault(delay_ms / 1000, None, tuple(actions))


def _rule(row: Mapping[str, Any], *, seed: int, position: int) -> FaultRule:
    known = {"endpoint", "action", "code", "http_status", "rate", "delay_ms", "limit", "openids"}
    if unknown := set(row) - known:
        raise ValueError(f"a fault rule has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}")
    if "endpoint" not in row or "action" not in row:
        raise ValueError("a fault rule needs an endpoint and an action")
    members = {**row, "action": Action(row["action"])}
    if row.get("openids") is not None:
        members["openids"] = frozenset(row["openids"])
    rng = Random(f"{seed}:{position}")  # noqa: S311 - repeatable on purpose
    return FaultRule(**members, rng=rng)
