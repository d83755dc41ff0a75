"""The inbox of pushes: store at once, handle later, in sets. The only writer of ``CallbackEvent``."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from notify_platform.callbacks import pushes
from notify_platform.callbacks.effects import HANDLED, Effect
from notify_platform.callbacks.handlers import HANDLERS, OF_TEMPLATES
from notify_platform.callbacks.models import CallbackEvent
from notify_platform.core.bulk import Among
from notify_platform.core.models import audit
from templates_app.models import MiniProgram

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

logger = logging.getLogger(__name__)
State = CallbackEvent.State
BATCH = 500
# A sent event may overtake our own commit by seconds, or wait for a crashed worker's lease to lapse.
FIRST_DELAY = timedelta(seconds=2)
MAX_DELAY = timedelta(minutes=2)
MAX_ATTEMPTS = 10
AGAIN_AT_ONCE = 1000
OPENID_LENGTH = 64


def owns(document: pushes.Document) -> bool:
    """Whether a push is ours to handle; the others are somebody else's or nobody's."""
    return pushes.name(document) in HANDLERS


def store(mini_program: MiniProgram, *, document: pushes.Document) -> None:
    """Keep a verified push once; one that is here already changes nothing.

    Raises ``pushes.BadPush`` (nothing stored) for content no database keeps.
    """
    body = pushes.clean(document)
    CallbackEvent.objects.bulk_create(
        [
            CallbackEvent(
                mini_program=mini_program,
                identity=pushes.identity(body),
                event=pushes.name(body),
                openid=pushes.person(body)[:OPENID_LENGTH],
                body=body,
                state=State.PENDING if owns(body) else State.IGNORED,
                due_at=Now(),
            )
        ],
        ignore_conflicts=True,
    )


def due() -> QuerySet[CallbackEvent]:
    """Return the pushes that wait to be handled, oldest first."""
    return CallbackEvent.objects.filter(state=State.PENDING, due_at__lte=Now()).order_by("due_at", "id")


def handle_due() -> int:
    """Handle the push that is due first and those like it, one batch a call; returns how many were looked at.

    Only pushes of one mini-program and one event share a transaction: a handler locks its people in one order, but
    two kinds in two workers would wait for each other. A push that cannot be handled becomes ``FAILED`` and keeps none
    of the others back. Raises only what a database that is away or overloaded raises; then nothing was handled.
    """
    with transaction.atomic():
        first = due().select_for_update(skip_locked=True).first()
        if first is None:
            return 0
        alike = due().filter(mini_program=first.mini_program_id, event=first.event)
        batch = list(alike.select_for_update(skip_locked=True)[:BATCH])
        # Neither joined nor whole: that would decrypt five secrets for each push.
        mini_program = MiniProgram.objects.defer("app_secret", *pushes.KEYS).get(pk=first.mini_program_id)
        became: dict[Effect, list[CallbackEvent]] = defaultdict(list)
        for push, effect in _effects(mini_program, batch):
            became[effect].append(push)
        for effect, those in became.items():
            _write(effect, those)
    return len(batch)


def _effects(mini_program: MiniProgram, batch: Sequence[CallbackEvent]) -> list[tuple[CallbackEvent, Effect]]:
    """Handle pushes of one app and event, all or none; when that fails, each for itself."""
    try:
        with transaction.atomic():
            effects = HANDLERS[batch[0].event](mini_program, batch)
    except (OperationalError, InterfaceError):
        # Not the push's fault: the whole batch stays due.
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not stop the other pushes
        # Neither the text nor the traceback: they may quote what the push says of a person.
        about = {"mini_program": mini_program.pk}
        failure = type(error).__name__
        logger.warning("handling %d pushes of %s failed: %s", len(batch), batch[0].event, failure, extra=about)
        if len(batch) == 1:
            return [(batch[0], Effect(State.FAILED, type(error).__name__))]
        return [pair for push in batch for pair in _effects(mini_program, [push])]
    return [(push, effects.get(push.pk, HANDLED)) for push in batch]


def _write(effect: Effect, batch: Sequence[CallbackEvent]) -> None:
    """Write down what became of pushes: one statement, or one for each number of tries behind them."""
    if effect.state != State.PENDING:
        _close(batch, effect)
        return
    by_attempts: dict[int, list[CallbackEvent]] = defaultdict(list)
    for push in batch:
        by_attempts[push.attempts].append(push)
    for attempts, those in by_attempts.items():
        if attempts + 1 >= MAX_ATTEMPTS:
            _close(those, Effect(State.UNMATCHED, effect.error))
        else:
            delay = min(MAX_DELAY, FIRST_DELAY * 2**attempts)
            _rows(those).update(attempts=F("attempts") + 1, due_at=Now() + delay)


def _close(batch: Sequence[CallbackEvent], effect: Effect) -> None:
    _rows(batch).update(state=effect.state, error=effect.error, handled_at=Now(), attempts=F("attempts") + 1)


def _rows(batch: Sequence[CallbackEvent]) -> QuerySet[CallbackEvent]:
    """Return the rows of pushes that were read, and locked, as pending in this transaction."""
    return CallbackEvent.objects.filter(Among("pk", [push.pk for push in batch]))


def process_again(chosen: QuerySet[CallbackEvent], *, by: AbstractBaseUser | None) -> int:
    """Let pushes that failed, or that nothing fitted, have another try; returns how many of those chosen will.

    What has had its effect, waits already or is not ours is left alone. Takes ``AGAIN_AT_ONCE`` a call, oldest first.
    """
    with transaction.atomic():
        undone = chosen.filter(state__in=CallbackEvent.UNDONE).order_by("pk")
        numbers = list(undone.select_for_update(of=("self",)).values_list("pk", flat=True)[:AGAIN_AT_ONCE])
        if numbers:
            subject = f"callbackevent {numbers[0]}" if len(numbers) == 1 else "callbackevents"
            programs = set(CallbackEvent.objects.filter(pk__in=numbers).values_list("mini_program", flat=True))
            mini_program = programs.pop() if len(programs) == 1 else None
            audit(by, action="process_again", subject=subject, mini_program=mini_program, numbers=numbers)
        return CallbackEvent.objects.filter(pk__in=numbers, state__in=CallbackEvent.UNDONE).update(
            state=State.PENDING, due_at=Now(), attempts=0, error="", handled_at=None
        )


def process_unmatched(mini_program_id: int) -> int:
    """New templates are known: let the pushes that may speak of them have another try; returns how many will."""
    waiting = CallbackEvent.objects.filter(
        mini_program=mini_program_id,
        state=State.UNMATCHED,
        event__in=OF_TEMPLATES,
        error=CallbackEvent.Trouble.NO_TEMPLATE,
    )
    return process_again(waiting, by=None)
