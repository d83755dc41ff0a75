"""What the pushes about subscriptions do to the books: read a set of one kind, call the verbs, say what became of each.

Any number of pushes takes the same number of statements.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from notify_platform.callbacks import notices, pushes
from notify_platform.callbacks.effects import LATER, NO_TEMPLATE, TOO_MANY, UNREADABLE, Effects, Handler
from notify_platform.callbacks.models import CallbackEvent
from notify_platform.delivery import reports
from notify_platform.delivery.reports import SentEvent, Verdict
from notify_platform.jobs import bans
from subscriptions.grants import ledger
from subscriptions.grants.ledger import TurnedOff
from subscriptions.grants.pairing import REJECT, NewAnswer, agrees
from subscriptions.models import Source
from subscriptions.people import people
from templates_app.models import MessageTemplate, MiniProgram

SENT, POPUP, CHANGE = "subscribe_msg_sent_event", "subscribe_msg_popup_event", "subscribe_msg_change_event"
# What speaks of a template, and waits for one that is not known yet.
OF_TEMPLATES = frozenset({POPUP, CHANGE})
# A popup asks for five templates at most, and an account holds some dozens. 256 KB hold thousands of lines.
MAX_ITEMS = 100
# A CreateTime outside of this is no moment; the seconds since 1970, as WeChat writes them.
EARLIEST = int(datetime(2011, 1, 1, tzinfo=UTC).timestamp())
LATEST = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())
# CreateTime counts whole seconds: what happened in one happened before its end.
REST_OF_SECOND = timedelta(microseconds=999_999)


@dataclass(frozen=True, slots=True)
class _Heard:
    """A push with items, as far as all of them have in common."""

    push: CallbackEvent
    openid: str
    at: datetime
    lines: list[dict[str, str]]


def _hear(batch: Sequence[CallbackEvent]) -> tuple[list[_Heard], Effects]:
    """Return the pushes that can be read, and what becomes of the others."""
    heard: list[_Heard] = []
    effects: Effects = {}
    for push in batch:
        at = _moment(push.body.get("CreateTime"))
        openid = pushes.text(push.body.get("FromUserName"))
        lines = pushes.items(push.body)
        if len(lines) > MAX_ITEMS:
            effects[push.pk] = TOO_MANY
        elif at is None or not openid or not lines:
            effects[push.pk] = UNREADABLE
        else:
            heard.append(_Heard(push, openid, at, lines))
    return heard, effects


def _moment(value: object) -> datetime | None:
    try:
        seconds = int(pushes.text(value))
    except ValueError:
        return None
    return datetime.fromtimestamp(seconds, tz=UTC) if EARLIEST <= seconds < LATEST else None


# --- what became of messages ---------------------------------------------------------------------------------------


def _handle_sent(mini_program: MiniProgram, batch: Sequence[CallbackEvent]) -> Effects:
    """Settle the messages these pushes speak of; a push is handled when all of its items are."""
    heard, effects = _hear(batch)
    flat = [(one.push.pk, event) for one in heard for event in _sent_events(one)]
    verdicts = reports.settle_events(mini_program, events=[event for _pk, event in flat])
    later = {pk for (pk, _event), verdict in zip(flat, verdicts, strict=True) if verdict is Verdict.LATER}
    return effects | dict.fromkeys(later, LATER)


def _sent_events(heard: _Heard) -> list[SentEvent]:
    return [
        SentEvent(
            openid=heard.openid,
            template=line.get("TemplateId", ""),
            msgid=line["MsgID"],
            code=line.get("ErrorCode", ""),
            status=line.get("ErrorStatus", ""),
            at=heard.at,
        )
        for line in heard.lines
    ]


# --- what people answered ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of a popup or change event that speaks of a template of ours."""

    heard: _Heard
    number: int
    template: MessageTemplate
    status: str


def _handle_popups(mini_program: MiniProgram, batch: Sequence[CallbackEvent]) -> Effects:
    """Write down what WeChat says people answered; the phone's reports of the same popups are paired with it."""
    lines, effects = _lines_of_our_templates(mini_program, batch)
    subscribers = people.enrol(mini_program, openids=sorted({line.heard.openid for line in lines}))
    ledger.record(
        [
            NewAnswer(
                subscriber_id=subscribers[line.heard.openid],
                template=line.template,
                answer=line.status,
                source=Source.CALLBACK,
                answered_at=line.heard.at,
                request_key=f"callback:{line.heard.push.identity}:{line.number}",
            )
            for line in lines
        ]
    )
    bans.lift_what_is_shown(mini_program, agreed=_last_agreed(lines))
    return effects


def _last_agreed(lines: Iterable[_Line]) -> dict[MessageTemplate, datetime]:
    """Return when somebody last agreed to each template."""
    agreeing = [line for line in lines if agrees(line.status)]
    return {line.template: line.heard.at for line in sorted(agreeing, key=lambda line: line.heard.at)}


def _handle_changes(mini_program: MiniProgram, batch: Sequence[CallbackEvent]) -> Effects:
    """Turn off what people turned off in WeChat's settings; only turning off is pushed.

    Also of people we never met: the older popup they agreed in may only be told later, and is void then.
    """
    lines, effects = _lines_of_our_templates(mini_program, batch)
    rejects = [line for line in lines if line.status == REJECT]
    subscribers = people.enrol(mini_program, openids=sorted({line.heard.openid for line in rejects}))
    ledger.turn_off(
        [
            TurnedOff(line.template.pk, subscribers[line.heard.openid], line.heard.at + REST_OF_SECOND)
            for line in rejects
        ]
    )
    return effects


def _lines_of_our_templates(mini_program: MiniProgram, batch: Sequence[CallbackEvent]) -> tuple[list[_Line], Effects]:
    """Return what can be handled; a push with a line that cannot is put aside, the others of it are handled still."""
    templates = {template.wechat_id: template for template in mini_program.templates.all()}
    heard, effects = _hear(batch)
    found: list[_Line] = []
    for one in heard:
        ours = [(number, line) for number, line in enumerate(one.lines) if line.get("TemplateId") in templates]
        found += [
            _Line(one, number, templates[line["TemplateId"]], line.get("SubscribeStatusString", ""))
            for number, line in ours
        ]
        if len(ours) < len(one.lines):
            effects[one.push.pk] = NO_TEMPLATE
    return found, effects


HANDLERS: dict[str, Handler] = {
    SENT: _handle_sent,
    POPUP: _handle_popups,
    CHANGE: _handle_changes,
    **notices.HANDLERS,
}
