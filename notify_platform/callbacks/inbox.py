"""The inbox of pushes: store at once, handle later, in sets. The only writer of ``CallbackEvent``."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from notify_platform.callbacks import pushes
from notify_platform.callbacks.models import CallbackEvent
from notify_platform.delivery import reports
from notify_platform.delivery.reports import SentEvent, Verdict
from templates_app.models import MiniProgram

State = CallbackEvent.State
SENT_EVENT = "subscribe_msg_sent_event"
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
                state=State.PENDING if name == SENT_EVENT else State.IGNORED,
                due_at=Now(),
            )
        ],
        ignore_conflicts=True,
    )


def handle_due() -> int:
    """Handle the pushes that are due, one batch a call; returns how many were looked at."""
    with transaction.atomic():
        due = CallbackEvent.objects.filter(state=State.PENDING, due_at__lte=Now()).order_by("due_at", "id")
        batch = list(due.select_for_update(skip_locked=True, of=("self",)).select_related("mini_program")[:BATCH])
        by_app: dict[int, list[CallbackEvent]] = defaultdict(list)
        for push in batch:
            by_app[push.mini_program_id].append(push)
        for pushes_of_app in by_app.values():
            _handle_sent(pushes_of_app[0].mini_program, pushes_of_app)
    return len(batch)


def _handle_sent(mini_program: MiniProgram, batch: Sequence[CallbackEvent]) -> None:
    """Settle the messages these pushes speak of; a push is handled when all of its items are."""
    readable = {push.pk: _sent_events(push.body) for push in batch}
    flat = [(pk, event) for pk, events in readable.items() for event in events]
    verdicts = reports.settle_events(mini_program, events=[event for _pk, event in flat])
    later = {pk for (pk, _event), verdict in zip(flat, verdicts, strict=True) if verdict is Verdict.LATER}
    empty = {pk for pk, events in readable.items() if not events}
    handled = [push.pk for push in batch if push.pk not in later | empty]
    CallbackEvent.objects.filter(pk__in=handled).update(state=State.HANDLED, handled_at=Now())
    CallbackEvent.objects.filter(pk__in=empty).update(state=State.FAILED, error="no item could be read")
    for push in batch:
        if push.pk in later:
            _try_later(push)


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
