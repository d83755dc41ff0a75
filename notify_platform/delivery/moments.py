"""When may this person get this card? One pure function composes every rule of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from notify_platform.delivery.models import Reason

# Rules that never leave a gap together (quiet by day, a window by day) must end the search, not spin.
HORIZON = timedelta(days=8)
# "Until the year 9999" is a way to say never.
FOREVER = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Hours:
    """A span of the local day; ``begin`` after ``end`` runs over midnight, both equal means the whole day."""

    begin: time
    end: time

    def holds(self, moment: time) -> bool:
        """Whether a local time of day lies inside; the end does not."""
        if self.begin < self.end:
            return self.begin <= moment < self.end
        return moment >= self.begin or moment < self.end


class Rule(Protocol):
    """Something that can put a message off."""

    @property
    def reason(self) -> Reason:
        """The word the log shows while it does."""

    def earliest(self, moment: datetime, *, zone: ZoneInfo) -> datetime:
        """Return ``moment`` itself when it is allowed, else a later one to look at."""


@dataclass(frozen=True, slots=True)
class NotBefore:
    """Nothing before a moment: a person's pause, a cap that frees up."""

    moment: datetime
    reason: Reason

    def earliest(self, moment: datetime, *, zone: ZoneInfo) -> datetime:
        """Return the later of the two."""
        return max(moment, self.moment)


@dataclass(frozen=True, slots=True)
class Quiet:
    """Nothing during these hours."""

    hours: Hours
    reason: Reason = Reason.QUIET_HOURS

    def earliest(self, moment: datetime, *, zone: ZoneInfo) -> datetime:
        """Return the end of the quiet hours when they hold."""
        if not self.hours.holds(moment.astimezone(zone).time()):
            return moment
        return _next_local(self.hours.end, after=moment, zone=zone)


@dataclass(frozen=True, slots=True)
class Window:
    """Nothing outside these hours."""

    hours: Hours
    reason: Reason = Reason.WINDOW

    def earliest(self, moment: datetime, *, zone: ZoneInfo) -> datetime:
        """Return the next opening when the window is shut."""
        if self.hours.holds(moment.astimezone(zone).time()):
            return moment
        return _next_local(self.hours.begin, after=moment, zone=zone)


@dataclass(frozen=True, slots=True)
class Moment:
    """When it may leave, and what put it off (None: nothing, it may leave now). ``at`` None: never in time."""

    at: datetime | None
    reason: Reason | None


def next_allowed_moment(
    now: datetime, *, zone: ZoneInfo, rules: Sequence[Rule], not_after: datetime | None = None
) -> Moment:
    """Return the first moment from ``now`` (aware) on that every rule allows, at most ``not_after``.

    The reason is the rule that moved it last: the one that decides.
    """
    moment: datetime = now
    reason: Reason | None = None
    horizon = now + HORIZON
    while True:
        blocking = next(((rule, later) for rule in rules if (later := rule.earliest(moment, zone=zone)) > moment), None)
        if blocking is None:
            return Moment(at=moment, reason=reason)
        moment, reason = blocking[1], blocking[0].reason
        if moment > now + FOREVER:
            return Moment(at=None, reason=reason)
        # A person may pause for a month: only the rules of the clock are bound to find a gap within days.
        if isinstance(blocking[0], NotBefore):
            horizon = moment + HORIZON
        if moment > min(horizon, not_after or horizon):
            return Moment(at=None, reason=reason)


def _next_local(wanted: time, *, after: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant later than ``after`` at which clocks in ``zone`` show ``wanted``."""
    today = after.astimezone(zone).date()
    days = (today + timedelta(days=offset) for offset in (0, 1, 2))
    return min(instant for day in days for instant in _instants(day, wanted, zone) if instant > after)


def _instants(day: date, wanted: time, zone: ZoneInfo) -> tuple[datetime, datetime]:
    # When clocks go back a local time comes twice, when they go forward it is skipped: look at both readings.
    local = datetime.combine(day, wanted)
    return (
        local.replace(tzinfo=zone, fold=0).astimezone(UTC),
        local.replace(tzinfo=zone, fold=1).astimezone(UTC),
    )
