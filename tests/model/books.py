"""The books of consent once more: slow, plain and by heart, from the rules alone. Knows no database and no platform.

Everything is reckoned from lists of what was heard; nothing is remembered that could be reckoned again, but what became
of a unit: that depends on when things happened to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

REACH = timedelta(seconds=120)
LIVE = ("available", "reserved")
# Before anybody said anything.
LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(eq=False)
class Report:
    """Somebody told us of an answer: the "phone", "wechat" or an "import" of so many units."""

    witness: str
    word: str
    at: datetime
    key: str
    units: int = 1

    @property
    def is_yes(self) -> bool:
        return self.word.startswith("accept")


@dataclass(eq=False)
class Unit:
    """One consent. ``home`` is a report of the popup it was given in; ``why`` says what revoked it."""

    home: Report
    moment: datetime
    end: datetime | None
    state: str = "available"
    why: str = ""

    def is_valid(self, now: datetime) -> bool:
        return self.end is None or self.end > now


Popup = tuple[Report, ...]


@dataclass
class Template:
    """What we know of a template."""

    is_counted: bool
    validity_days: int | None = 7
    banned_at: datetime | None = None

    @property
    def is_banned(self) -> bool:
        return self.banned_at is not None


@dataclass
class Relation:
    """Everything between one person and one template."""

    template: Template
    limit: int
    reports: list[Report] = field(default_factory=list)
    units: list[Unit] = field(default_factory=list)
    popups: list[Popup] = field(default_factory=list)
    # What was said of the relation as a whole: (moment, "yes" | "ban" | "off").
    said: list[tuple[datetime, str]] = field(default_factory=list)
    refusals: list[datetime] = field(default_factory=list)
    drift: int = 0

    # --- on or off -----------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """What was said last counts, whenever we heard of it; in one instant the no counts."""
        if not self.said:
            return "none"
        order = ["yes", "ban", "off"]
        _at, word = max(self.said, key=lambda one: (one[0], order.index(one[1])))
        return {"yes": "on", "ban": "banned", "off": "off"}[word]

    @property
    def is_told(self) -> bool:
        """Whether the person is told of it: a ban that was lifted leaves nothing to tell."""
        return any(at > LONG_AGO for at, _word in self.said)

    def is_void(self, moment: datetime) -> bool:
        return any(word == "off" and at >= moment for at, word in self.said)

    def lift_ban(self, *, before: datetime) -> None:
        if self.state == "banned" and all(one.at < before for one in self.reports if one.word == "ban"):
            self.said = [one for one in self.said if one[1] != "ban"]
            if not self.said:
                self.said = [(LONG_AGO, "off")]

    # --- what is heard -------------------------------------------------------------------------------------------

    def hear(self, report: Report, *, now: datetime) -> None:
        if any(known.key == report.key for known in self.reports):
            return
        imported_while_banned = report.witness == "import" and self.state == "banned"
        self.reports.append(report)
        if report.is_yes and self.template.is_counted:
            self._count(report, now=now)
        if report.is_yes and not imported_while_banned:
            self.said.append((report.at, "yes"))
        if report.word == "ban":
            self.said.append((report.at, "ban"))

    def hear_off(self, at: datetime) -> None:
        self.said.append((at, "off"))
        for unit in self.units:
            if unit.state == "available" and self.is_void(unit.moment):
                unit.state, unit.why = "revoked", "off"

    # --- popups and their units ----------------------------------------------------------------------------------

    def _count(self, report: Report, *, now: datetime) -> None:
        if report.witness == "import":
            if not self.is_void(report.at):
                self.units += [Unit(report, report.at, self._end(report.at)) for _ in range(report.units)]
            return
        before = self.popups
        phones = [one for one in self.reports if one.is_yes and one.witness == "phone"]
        events = [one for one in self.reports if one.is_yes and one.witness == "wechat"]
        self.popups = together(phones, events)
        changed = [popup for popup in self.popups if popup not in before]
        for popup in self._hand_out(changed, before=before, now=now):
            moment = moment_of(popup)
            may = not is_unconfirmed(popup) or self.unconfirmed < self.limit
            if may and not self.is_void(moment):
                self.units.append(Unit(report if report in popup else popup[0], moment, self._end(moment)))

    def _hand_out(self, changed: list[Popup], *, before: list[Popup], now: datetime) -> list[Popup]:
        """Units of before stay with their popup; what one has too many goes to those without. Returns who has none.

        A phone whose event turned out to be a nearer popup's speaks alone again: its unit goes with the event.
        """
        held = {popup: [unit for home in popup for unit in self.units if unit.home is home] for popup in changed}
        confirmed = [home for popup in before if not is_unconfirmed(popup) for home in popup]
        lost = [popup for popup in changed if is_unconfirmed(popup) and popup[0] in confirmed]
        spare = [unit for popup, units in held.items() for unit in (units if popup in lost else units[1:])]
        empty = [popup for popup in changed if popup in lost or not held[popup]]
        empty.sort(key=lambda popup: (is_unconfirmed(popup), moment_of(popup)))
        for popup in changed:
            for unit in held[popup][:1] if popup not in lost else []:
                self._settle_in(unit, popup, now=now)
        for popup, unit in zip(empty, spare, strict=False):
            unit.home = popup[0]
            self._settle_in(unit, popup, now=now)
        return empty[len(spare) :]

    def _settle_in(self, unit: Unit, popup: Popup, *, now: datetime) -> None:
        """A unit was granted when its popup was; when one in use or spent lapses does not matter."""
        if unit.moment == moment_of(popup):
            return
        unit.moment = moment_of(popup)
        if unit.state in ("reserved", "spent"):
            return
        unit.end = self._end(unit.moment)
        if unit.state == "available" and self.is_void(unit.moment):
            unit.state, unit.why = "revoked", "off"
        elif unit.state == "lapsed" or (unit.state == "revoked" and unit.why == "off"):
            self._revive(unit, now=now)

    def _revive(self, unit: Unit, *, now: datetime) -> None:
        if unit.is_valid(now) and not self.is_void(unit.moment) and not self._is_refused(unit.moment):
            unit.state, unit.why = "available", ""

    def _is_refused(self, moment: datetime) -> bool:
        return any(at >= moment for at in self.refusals)

    def _end(self, moment: datetime) -> datetime | None:
        days = self.template.validity_days
        return moment + timedelta(days=days) if days else None

    @property
    def unconfirmed(self) -> int:
        alone = {home for popup in self.popups if is_unconfirmed(popup) for home in popup}
        return sum(unit.state in LIVE and unit.home in alone for unit in self.units)

    # --- what messages do ----------------------------------------------------------------------------------------

    def reserve(self, now: datetime) -> Unit | None:
        """The soonest to lapse first; of those that never lapse the oldest in the books."""
        stock = [unit for unit in self.units if unit.state == "available" and unit.is_valid(now)]
        if not stock:
            return None
        soonest = min(stock, key=lambda unit: (unit.end is None, unit.end or now))
        soonest.state = "reserved"
        return soonest

    def give_back(self, unit: Unit) -> None:
        void = self.is_void(unit.moment)
        unit.state, unit.why = ("revoked", "off") if void else ("available", "")
        if not void:
            unit.end = self._end(unit.moment)

    def refuse(self, unit: Unit | None, *, left_at: datetime) -> None:
        """WeChat said 43101 to a message that left then: what we held is void, newer consent is not."""
        if not self.template.is_counted:
            self.hear_off(left_at)
            return
        held = [one for one in self.units if one is unit or (one.state == "available" and one.moment <= left_at)]
        for one in held:
            one.state, one.why = "revoked", "refused"
        self.drift += len(held)
        self.refusals.append(left_at)

    # --- time ----------------------------------------------------------------------------------------------------

    def lapse(self, now: datetime) -> None:
        for unit in self.units:
            if unit.state == "available" and not unit.is_valid(now):
                unit.state = "lapsed"

    def change_validity(self, now: datetime) -> None:
        for unit in self.units:
            # What is in use was valid when it was taken.
            if unit.state in ("available", "lapsed"):
                unit.end = self._end(unit.moment)
                # What a phone alone speaks for stays lapsed: it has made room for another by then.
                if unit.state == "lapsed" and not any(unit.home in one and is_unconfirmed(one) for one in self.popups):
                    self._revive(unit, now=now)

    # --- what is asked -------------------------------------------------------------------------------------------

    @property
    def at_wechat(self) -> int:
        """What WeChat would still take: that a unit has lapsed is a policy of ours."""
        return sum(unit.state in ("available", "lapsed") and not self.is_void(unit.moment) for unit in self.units)

    def available(self, now: datetime) -> int:
        return sum(unit.state == "available" and unit.is_valid(now) for unit in self.units)


def moment_of(popup: Popup) -> datetime:
    """WeChat's word for when it was, when there is one."""
    return next((report.at for report in popup if report.witness == "wechat"), popup[0].at)


def is_unconfirmed(popup: Popup) -> bool:
    return all(report.witness == "phone" for report in popup)


def together(phones: list[Report], events: list[Report]) -> list[Popup]:
    """Try every way to pair phones with events; take the one with most pairs, then the nearest."""
    return [popup for cluster in _clusters([*phones, *events]) for popup in _best(cluster)]


def _clusters(reports: list[Report]) -> Iterator[list[Report]]:
    """Reports more than two minutes from all others cannot be paired with them: look at each cluster alone."""
    cluster: list[Report] = []
    for report in sorted(reports, key=lambda one: one.at):
        if cluster and report.at - cluster[-1].at > REACH:
            yield cluster
            cluster = []
        cluster.append(report)
    if cluster:
        yield cluster


def _best(cluster: list[Report]) -> list[Popup]:
    phones = [report for report in cluster if report.witness == "phone"]
    events = [report for report in cluster if report.witness == "wechat"]

    @cache
    def ways(number: int, taken: frozenset[int]) -> tuple[int, float, float, tuple[tuple[int, int], ...]]:
        if number == len(phones):
            return (0, 0.0, 0.0, ())
        found = [ways(number + 1, taken)]
        for index, event in enumerate(events):
            apart = abs((phones[number].at - event.at).total_seconds())
            if index not in taken and apart <= REACH.total_seconds():
                # Squares last: of two ways alike in sum, the pairs that do not cross.
                fewer, apart_sum, squares, pairs = ways(number + 1, taken | {index})
                found.append((fewer - 1, apart_sum + apart, squares + apart**2, ((number, index), *pairs)))
        return min(found, key=lambda way: (way[0], round(way[1], 6), round(way[2], 6)))

    pairs = dict(ways(0, frozenset())[3])
    paired = set(pairs.values())
    popups: list[Popup] = [
        (phone, events[pairs[number]]) if number in pairs else (phone,) for number, phone in enumerate(phones)
    ]
    return popups + [(event,) for index, event in enumerate(events) if index not in paired]
