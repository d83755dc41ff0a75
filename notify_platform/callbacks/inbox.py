"""The inbox of pushes: store at once, handle later, in sets. The only writer of ``CallbackEvent``."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from notify_platform.callbacks import pushes
from notify_platform.callbacks.models import CallbackEvent
from notify_platform.delivery import reports
from notify_platform.delivery.reports import SentEvent, Verdict
from subscriptions.grants import ledger
from subscriptions.grants.pairing import NewAnswer
from subscriptions.models import Source
from subscriptions.people import people
from templates_app.models import MessageTemplate, MiniProgram

State = CallbackEvent.State
REJECT = "reject"
BATCH = 200
# A sent event may overtake our own commit by seconds, or wait for a crashed worker's lease to lapse.
FIRST_DELAY = timedelta(seconds=2)
MAX_DELAY = timedelta(minutes=2)
MAX_ATTEMPTS = 10


def store(mini_program: MiniProgram, *, document: pushes.Document) -> None:
    """Keep a verified push once; one that is here already changes nothing."""
    name = str(document.get("Event") or document.get("MsgType") or "")[:60]
    # JSON text cannot hold a NUL on PostgreSQL, and nothing of WeChat's has one.
    body = json.loads(json.dumps(document).replace("\\u0000", ""))
    CallbackEvent.objects.bulk_create(
        [
            CallbackEvent(
                mini_program=mini_program,
                identity=pushes.identity(document),
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
    """Handle the pushes that are due, one batch a call; returns how many were looked at."""
    with transaction.atomic():
        batch = list(due().select_for_update(skip_locked=True, of=("self",)).select_related("mini_program")[:BATCH])
        alike: dict[tuple[int, str], list[CallbackEvent]] = defaultdict(list)
        for push in batch:
            alike[push.mini_program_id, push.event].append(push)
        for (_app, event), pushes_alike in alike.items():
            HANDLERS[event](pushes_alike[0].mini_program, pushes_alike)
    return len(batch)


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


def _handle_changes(mini_program: MiniProgram, batch: Sequence[CallbackEvent]) -> None:
    """Turn off what people turned off in WeChat's settings; only turning off is pushed."""
    items = [item for item in _items_of_our_templates(mini_program, batch) if item.status == REJECT]
    subscribers = people.known(mini_program, openids={item.openid for item in items})
    for item in items:
        if item.openid in subscribers:
            ledger.turn_off(template=item.template, subscriber_ids=[subscribers[item.openid]], at=item.at)


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
        openid = str(push.body.get("FromUserName") or "")
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
    openid = str(document.get("FromUserName") or "")
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
        return datetime.fromtimestamp(int(str(value)), tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None
