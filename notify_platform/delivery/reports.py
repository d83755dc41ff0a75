"""WeChat's sent events: the last proof there is of what became of a message.

An event names its message; when the answer of the send call brought no name, the nearest open message of the same
person and template is meant. Part of settlement, and like it a writer of ``Delivery.state``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from django.db import transaction
from django.db.models import Q

from notify_platform.core.bulk import update_from_values
from notify_platform.core.clock import database_now
from notify_platform.delivery.models import Delivery
from subscriptions.grants import ledger
from templates_app.models import MiniProgram

State = Delivery.State
# WeChat's clock against ours, and how long after the call the event may speak of it.
EARLIEST = timedelta(minutes=2)
MSGID_LENGTH = 32
LATEST = timedelta(minutes=30)


class Verdict(StrEnum):
    """What became of an event. ``LATER``: the message may still be on its way to the books."""

    SETTLED = "settled"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class SentEvent:
    """One item of a ``subscribe_msg_sent_event``; ``at`` is its CreateTime, ``code`` WeChat's text ("0": delivered)."""

    openid: str
    template: str
    msgid: str
    code: str
    status: str
    at: datetime


class _Candidate(NamedTuple):
    """A message without a name that an event may speak of."""

    delivery_id: int
    grant_id: int | None
    armed_at: datetime
    in_flight: bool


def settle_events(mini_program: MiniProgram, *, events: Sequence[SentEvent]) -> list[Verdict]:
    """Write what the events say, all in one transaction; returns a verdict for each, in order."""
    with transaction.atomic():
        matches = _by_msgid(mini_program, events)
        rest = [number for number in range(len(events)) if number not in matches]
        matches |= _by_nearness(mini_program, events, rest, taken={match.delivery_id for match in matches.values()})
        _write(events, matches)
    return [Verdict.SETTLED if number in matches else Verdict.LATER for number in range(len(events))]


class _Match(NamedTuple):
    """The message an event speaks of, and the unit it still holds, if any.

    Not ``is_open``: it is settled already, the event is a repetition.
    """

    delivery_id: int
    grant_id: int | None
    is_open: bool


def _by_msgid(mini_program: MiniProgram, events: Sequence[SentEvent]) -> dict[int, _Match]:
    rows = (
        Delivery.objects.filter(mini_program=mini_program, msgid__in={event.msgid for event in events if event.msgid})
        .exclude(msgid="")
        .select_for_update()
        .order_by("pk")
        .values_list("msgid", "pk", "grant_id", "state")
    )
    # What WeChat has accepted has spent its unit.
    known = {
        msgid: _Match(pk, grant_id if state == State.UNKNOWN else None, state in {State.ACCEPTED, State.UNKNOWN})
        for msgid, pk, grant_id, state in rows
    }
    return {number: known[event.msgid] for number, event in enumerate(events) if event.msgid in known}


def _by_nearness(
    mini_program: MiniProgram, events: Sequence[SentEvent], wanted: Sequence[int], *, taken: set[int]
) -> dict[int, _Match]:
    """Match events to the nearest unknown row, or accepted row without a message id, of their person and template."""
    if not wanted:
        return {}
    moments = [events[number].at for number in wanted]
    rows = (
        Delivery.objects.filter(
            Q(state__in=[State.UNKNOWN, State.SENDING]) | Q(state=State.ACCEPTED, msgid=""),
            mini_program=mini_program,
            subscriber__mini_program=mini_program,
            subscriber__openid__in={events[number].openid for number in wanted},
            armed_at__range=(min(moments) - LATEST, max(moments) + EARLIEST),
        )
        .select_for_update(of=("self",))
        .order_by("pk")
        .values_list("pk", "grant_id", "armed_at", "state", "subscriber__openid", "template__wechat_id")
    )
    open_rows: dict[tuple[str, str], list[_Candidate]] = defaultdict(list)
    for pk, grant_id, armed_at, state, openid, template in rows:
        if armed_at and pk not in taken:
            open_rows[openid, template].append(_Candidate(pk, grant_id, armed_at, state == State.SENDING))
    matches: dict[int, _Match] = {}
    for number in sorted(wanted, key=lambda one: events[one].at):
        event = events[number]
        open_here = open_rows[event.openid, event.template]
        near = [row for row in open_here if -EARLIEST <= event.at - row.armed_at <= LATEST]
        if not near:
            continue
        best = min(near, key=lambda row: abs(event.at - row.armed_at))
        # The message it speaks of may be in our hands this moment: no older one must be taken for it.
        if not best.in_flight:
            open_here.remove(best)
            matches[number] = _Match(best.delivery_id, best.grant_id, is_open=True)
    return matches


def _write(events: Sequence[SentEvent], matches: dict[int, _Match]) -> None:
    now = database_now()
    # Two events of one batch may be the same one, repeated.
    fresh = {match.delivery_id: (match, events[number]) for number, match in matches.items() if match.is_open}
    update_from_values(
        Delivery,
        columns=["state", "msgid", "error_detail", "settled_at"],
        rows=[(pk, *_became(event), now) for pk, (_match, event) in fresh.items()],
        only_if="(t.state || '') IN ('accepted', 'unknown')",
    )
    # An unknown row's unit was still reserved; WeChat does not say whether a failed push returns it, so it is spent.
    ledger.spend([match.grant_id for match, _event in fresh.values() if match.grant_id])


def _became(event: SentEvent) -> tuple[State, str, str]:
    if event.code == "0":
        return State.DELIVERED, event.msgid[:MSGID_LENGTH], ""
    return State.UNDELIVERED, event.msgid[:MSGID_LENGTH], f"{event.code} {event.status}"[:200]
