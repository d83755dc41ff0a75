"""What popups are worth: one unit each, granted once, whoever tells of it and however often. Reads only.

A unit belongs to a popup. When a late report shows that the popups were others than we thought, units in excess go to
the popups that have none, and their moments follow; when a unit in use or spent lapses does not matter any more.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from notify_platform.core.prepared import Prepared
from subscriptions.grants.models import Grant, Source
from subscriptions.grants.pairing import NewAnswer, Popup, Told
from templates_app.models import MessageTemplate

Relation = tuple[int, int]
IN_USE_OR_SPENT = frozenset({Grant.State.RESERVED, Grant.State.SPENT})


# Asked of every phone's report. Whether an answer has a pair is looked at afterwards: SQLite would walk through
# everybody's answers that have none.
_CLAIMED: Final = Prepared(
    lambda people, templates: Grant.objects.filter(
        state__in=sorted(Grant.COUNTABLE),
        subscriber_id__in=people,
        template_id__in=templates,
        answer__source=Source.CLIENT,
        answer__paired_by__isnull=True,
    ).values_list("pk", "template_id", "subscriber_id", "answer__pair")
)


class NewUnits(NamedTuple):
    """Units to be granted for what was told: by a popup one, by an import as many as it says."""

    told: Told
    subscriber_id: int
    template: MessageTemplate
    moment: datetime
    units: int = 1


class Moved(NamedTuple):
    """A unit that belongs to another report, or was granted at another moment, than we thought."""

    grant_id: int
    answer_was: int
    told: Told
    granted_at: datetime
    expires_at: datetime | None


@dataclass(slots=True)
class Worth:
    """What has to be written."""

    new: list[NewUnits] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)

    @property
    def recounted(self) -> set[int]:
        """The answers of before that have another number of units now."""
        other = {
            pk for moved in self.moved if moved.told.pk != moved.answer_was for pk in (moved.answer_was, moved.told.pk)
        }
        return {pk for pk in other | {new.told.pk for new in self.new if new.told.new is None} if pk}


class _Unit(NamedTuple):
    """A unit that was granted for a popup before."""

    grant_id: int
    answer_id: int
    granted_at: datetime
    expires_at: datetime | None
    state: str


def end_of(moment: datetime, *, template: MessageTemplate) -> datetime | None:
    """Return when a unit granted at a moment lapses; None: never."""
    return moment + timedelta(days=template.validity_days) if template.validity_days else None


def of_imports(fresh: Sequence[NewAnswer], *, void_until: Mapping[Relation, datetime]) -> list[NewUnits]:
    """Return the units of what was not told by a witness of a popup."""
    return [
        NewUnits(Told(source=new.source, at=new.answered_at, new=new), *_of(new), new.answered_at, new.units)
        for new in fresh
        if new.source == Source.IMPORT and new.agrees and new.template.is_counted
        if not _is_void(new.answered_at, void_until.get((new.template.pk, new.subscriber_id)))
    ]


def _of(new: NewAnswer) -> tuple[int, MessageTemplate]:
    return new.subscriber_id, new.template


def _is_void(moment: datetime, void_until: datetime | None) -> bool:
    return void_until is not None and moment <= void_until


def of_popups(popups: Sequence[Popup], *, void_until: Mapping[Relation, datetime]) -> Worth:
    """Return the units to be granted for popups that changed, and those to be moved.

    A yes from before the person last turned the template off is void. A phone alone can hold no more unconfirmed units
    of a template than its mini-program allows; the rest is granted when WeChat's event confirms it.
    """
    groups: dict[Relation, list[Popup]] = defaultdict(list)
    for popup in popups:
        if popup.agrees and popup.template.is_counted and popup.is_changed:
            groups[popup.template.pk, popup.subscriber_id].append(popup)
    units = _units_of([popup for group in groups.values() for popup in group])
    given: list[tuple[Popup, _Unit]] = []
    lacking: list[Popup] = []
    for relation, group in groups.items():
        handed, empty = _hand_out(group, units=units)
        given += handed
        lacking += [popup for popup in empty if not _is_void(popup.moment, void_until.get(relation))]
    worth = Worth(moved=[moved for popup, unit in given if (moved := _moved(popup, unit))])
    unconfirmed = _unconfirmed(lacking, given=given)
    for popup in sorted(lacking, key=lambda one: one.moment):
        relation = (popup.template.pk, popup.subscriber_id)
        if popup.event is None:
            if unconfirmed[relation] >= popup.template.mini_program.client_unconfirmed_limit:
                continue
            unconfirmed[relation] += 1
        told = next((one for one in popup.told if one.pk is None), popup.told[0])
        worth.new.append(NewUnits(told, popup.subscriber_id, popup.template, popup.moment))
    return worth


def _units_of(popups: Sequence[Popup]) -> dict[int, list[_Unit]]:
    """Return the units granted for the reports of popups, by answer."""
    units: dict[int, list[_Unit]] = defaultdict(list)
    known = [told.pk for popup in popups for told in popup.told if told.pk]
    if known:
        rows = Grant.objects.filter(answer__in=known).order_by("pk")
        for row in rows.values_list("pk", "answer_id", "granted_at", "expires_at", "state"):
            unit = _Unit(*row)
            units[unit.answer_id].append(unit)
    return units


def _held(popup: Popup, units: Mapping[int, list[_Unit]]) -> list[_Unit]:
    return [unit for told in popup.told if told.pk for unit in units.get(told.pk, [])]


def _hand_out(
    group: Sequence[Popup], *, units: Mapping[int, list[_Unit]]
) -> tuple[list[tuple[Popup, _Unit]], list[Popup]]:
    """Give every popup of one relation one of the units there are; returns what was given, and who got none."""
    held = {popup: _held(popup, units) for popup in group}
    # A claim that has lost its event to a nearer one is unconfirmed again: its unit goes with the event.
    lost = {popup for popup in group if popup.event is None and popup.told[0].partner is not None}
    spare = [unit for popup, own in held.items() for unit in (own if popup in lost else own[1:])]
    empty = [popup for popup in group if popup in lost or not held[popup]]
    empty.sort(key=lambda one: (one.event is None, one.moment))
    given = [(popup, own[0]) for popup, own in held.items() if own and popup not in lost]
    return given + list(zip(empty, spare, strict=False)), empty[len(spare) :]


def _moved(popup: Popup, unit: _Unit) -> Moved | None:
    told = next((one for one in popup.told if one.pk == unit.answer_id), popup.told[0])
    if told.pk == unit.answer_id and popup.moment == unit.granted_at:
        return None
    # What has been taken was valid when it was taken; if it comes back it is reckoned anew (``ledger.give_back``).
    keeps_end = unit.state in IN_USE_OR_SPENT or popup.moment == unit.granted_at
    expires_at = unit.expires_at if keeps_end else end_of(popup.moment, template=popup.template)
    return Moved(unit.grant_id, unit.answer_id, told, popup.moment, expires_at)


def _unconfirmed(lacking: Sequence[Popup], *, given: Sequence[tuple[Popup, _Unit]]) -> Counter[Relation]:
    """Count the units that a phone alone speaks for: of unchanged popups as they stand, of changed ones as they are."""
    claimed = [popup for popup in lacking if popup.event is None]
    if not claimed:
        return Counter()
    told = _CLAIMED.rows(
        people=list({popup.subscriber_id for popup in claimed}),
        templates=list({popup.template.pk for popup in claimed}),
    )
    handed_out = {unit.grant_id for _popup, unit in given}
    count = Counter(
        (template_id, subscriber_id)
        for grant_id, template_id, subscriber_id, pair_id in told
        if pair_id is None and grant_id not in handed_out
    )
    count.update(
        (popup.template.pk, popup.subscriber_id)
        for popup, unit in given
        if popup.event is None and unit.state in Grant.COUNTABLE
    )
    return count
