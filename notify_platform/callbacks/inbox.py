"""The inbox of pushes: store at once, handle later, in sets. The only writer of ``CallbackEvent``."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from notify_platform.callbacks import pushes
from notify_platform.callbacks.models import CallbackEvent
from notify_platform.delivery import reports
from notify_platform.delivery.reports import SentEvent, Verdict
from notify_platform.jobs import bans
from subscriptions.grants import ledger
from subscriptions.grants.ledger import TurnedOff
from subscriptions.grants.pairing import NewAnswer, agrees
from subscriptions.models import Source
from subscriptions.people import people
from templates_app.models import MessageTemplate, MiniProgram

logger = logging.getLogger(__name__)
State = CallbackEvent.State
REJECT = "reject"
BATCH = 200
# A sent event may overtake our own commit by seconds, or wait for a crashed worker's lease to lapse.
FIRST_DELAY = timedelta(seconds=2)
MAX_DELAY = timedelta(minutes=2)
MAX_ATTEMPTS = 10
# A CreateTime outside of this is no moment; the seconds since 1970, as WeChat writes them.
EARLIEST = int(datetime(2011, 1, 1, tzinfo=UTC).timestamp())
LATEST = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())
# CreateTime counts whole seconds: what happened in one happened before its end.
REST_OF_SECOND = timedelta(microseconds=999_999)


def store(mini_program: MiniProgram, *, document: pushes.Document) -> None:
    """Keep a verified push once; one that is here already changes nothing.

    Raises ``pushes.BadPush`` (nothing stored) for content no database keeps.
    """
    body = pushes.clean(document)
    name = (pushes.text(body.get("Event")) or pushes.text(body.get("MsgType")))[:60]
    CallbackEvent.objects.bulk_create(
        [
            CallbackEvent(
                mini_program=mini_program,
                identity=pushes.identity(body),
                event=name,
                body=body,
                state=State.PENDING if name in HANDLERS else State.IGNORED,
                due_at=Now(),
            )
        ],
        ignore_conflicts=True,
    )


def due() -> QuerySet[CallbackEvent]:
    """Return the pushes that wait to be handled, oldest first."""
    return CallbackEvent.objects.filter(state=State.PENDING, due_at__lte=Now()).order_by("due_at", "id")


def handle_due() -> int:
    """Handle the pushes that are due, one batch a call; returns how many were looked at.

    A push that cannot be handled becomes ``FAILED`` and keeps none of the others back. Raises only what a database
    that is away or overloaded raises; then nothing was handled.
    """
    with transaction.atomic():
        batch = list(due().select_for_update(skip_locked=True, of=("self",)).select_related("mini_program")[:BATCH])
        alike: dict[tuple[int, str], list[CallbackEvent]] = defaultdict(list)
        for push in batch:
            alike[push.mini_program_id, push.event].append(push)
        for pushes_alike in alike.values():
            if _failure(pushes_alike):
                _handle_one_by_one(pushes_alike)
    return len(batch)


def _failure(batch: Sequence[CallbackEvent]) -> str:
    """Handle pushes of one app and event, all or none; returns the name of what stopped it, empty when nothing did."""
    try:
        with transaction.atomic():
            HANDLERS[batch[0].event](batch[0].mini_program, batch)
    except (OperationalError, InterfaceError):
        # Not the push's fault: the whole batch stays due.
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not stop the other pushes
        # Neither the text nor the traceback: they may quote what the push says of a person.
        logger.warning("handling %d pushes of %s failed: %s", len(batch), batch[0].event, type(error).__name__)
        return type(error).__name__
    return ""


def _handle_one_by_one(batch: Sequence[CallbackEvent]) -> None:
    for push in batch:
        if failure := _failure([push]):
            _close([push], state=State.FAILED, error=failure)


def _handle_sent(mini_program: MiniProgram, batch: Sequence[CallbackEvent]) -> None:
    """Settle the messages these pushes speak of; a push is handled when all of its items are."""
    flat = [(push, event) for push in batch for event in _sent_events(push.body)]
    verdicts = reports.settle_events(mini_program, events=[event for _push, event in flat])
    later = {push.pk: push for (push, _event), verdict in zip(flat, verdicts, strict=True) if verdict is Verdict.LATER}
    for push in later.values():
        _try_later(push)
    read = {push.pk for push, _event in flat}
    _close([push for push in batch if push.pk in read and push.pk not in later], state=State.HANDLED)
    _close([push for push in batch if push.pk not in read], state=State.FAILED, error="no item could be read")


def _handle_popups(mini_program: MiniProgram, batch: Sequence[CallbackEvent]) -> None:
    """Write down what WeChat says people answered; the phone's reports of the same popups are paired with it."""
    items = _items_of_our_templates(mini_program, batch)
    subscribers = people.enrol(mini_program, openids=sorted({item.openid for item in items}))
    ledger.record(
        [
            NewAnswer(
                subscriber_id=subscribers[item.openid],
                template=item.template,
                answer=item.status,
                source=Source.CALLBACK,
                answered_at=item.at,
                request_key=f"callback:{item.push.identity}:{item.number}",
            )
            for item in items
        ]
    )
    bans.lift_what_is_shown(mini_program, agreed={item.template for item in items if agrees(item.status)})


def _handle_changes(mini_program: MiniProgram, batch: Sequence[CallbackEvent]) -> None:
    """Turn off what people turned off in WeChat's settings; only turning off is pushed."""
    items = [item for item in _items_of_our_templates(mini_program, batch) if item.status == REJECT]
    subscribers = people.known(mini_program, openids={item.openid for item in items})
    ledger.turn_off(
        [
            TurnedOff(item.template.pk, subscribers[item.openid], item.at + REST_OF_SECOND)
            for item in items
            if item.openid in subscribers
        ]
    )


HANDLERS: dict[str, Callable[[MiniProgram, Sequence[CallbackEvent]], None]] = {
    "subscribe_msg_sent_event": _handle_sent,
    "subscribe_msg_popup_event": _handle_popups,
    "subscribe_msg_change_event": _handle_changes,
}


@dataclass(frozen=True, slots=True)
class _Item:
    """One line of a popup or change event that speaks of a template of ours."""

    push: CallbackEvent
    number: int
    openid: str
    template: MessageTemplate
    status: str
    at: datetime


def _items_of_our_templates(mini_program: MiniProgram, batch: Sequence[CallbackEvent]) -> list[_Item]:
    """Return what can be handled; a push with a line that cannot is put aside, the others of it are handled still."""
    templates = {template.wechat_id: template for template in mini_program.templates.all()}
    found: list[_Item] = []
    for push in batch:
        at = _moment(push.body.get("CreateTime"))
        openid = pushes.text(push.body.get("FromUserName"))
        lines = pushes.items(push.body)
        if at is None or not openid or not lines:
            _close([push], state=State.FAILED, error="no item could be read")
            continue
        ours = [(number, line) for number, line in enumerate(lines) if line.get("TemplateId") in templates]
        found += [
            _Item(push, number, openid, templates[line["TemplateId"]], line.get("SubscribeStatusString", ""), at)
            for number, line in ours
        ]
        complete = len(ours) == len(lines)
        _close(
            [push],
            state=State.HANDLED if complete else State.UNMATCHED,
            error="" if complete else "a template is not in our list: sync the templates",
        )
    return found


def _close(batch: Sequence[CallbackEvent], *, state: CallbackEvent.State, error: str = "") -> None:
    CallbackEvent.objects.filter(pk__in=[push.pk for push in batch]).update(
        state=state, error=error, handled_at=Now(), attempts=F("attempts") + 1
    )


def _try_later(push: CallbackEvent) -> None:
    delay = min(MAX_DELAY, FIRST_DELAY * 2**push.attempts)
    over = push.attempts + 1 >= MAX_ATTEMPTS
    CallbackEvent.objects.filter(pk=push.pk).update(
        attempts=F("attempts") + 1,
        due_at=Now() + delay,
        state=State.UNMATCHED if over else State.PENDING,
        error="no message fits" if over else "",
    )


def _sent_events(document: pushes.Document) -> list[SentEvent]:
    at = _moment(document.get("CreateTime"))
    openid = pushes.text(document.get("FromUserName"))
    if at is None or not openid:
        return []
    return [
        SentEvent(
            openid=openid,
            template=item.get("TemplateId", ""),
            msgid=item.get("MsgID") or item.get("MsgId") or "",
            code=item.get("ErrorCode", ""),
            status=item.get("ErrorStatus", ""),
            at=at,
        )
        for item in pushes.items(document)
    ]


def _moment(value: object) -> datetime | None:
    try:
        seconds = int(pushes.text(value))
    except ValueError:
        return None
    return datetime.fromtimestamp(seconds, tz=UTC) if EARLIEST <= seconds < LATEST else None
