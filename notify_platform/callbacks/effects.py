"""What can become of a push."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from notify_platform.callbacks.models import CallbackEvent
from templates_app.models import MiniProgram

State = CallbackEvent.State
Trouble = CallbackEvent.Trouble


@dataclass(frozen=True, slots=True)
class Effect:
    """What became of a push; ``PENDING`` asks for another try later."""

    state: State
    error: str = ""


# By primary key, of the pushes that are not simply handled.
Effects = dict[int, Effect]
# Takes pushes of one mini-program and one kind, and may see a push again.
Handler = Callable[[MiniProgram, Sequence[CallbackEvent]], Effects]
HANDLED = Effect(State.HANDLED)
LATER = Effect(State.PENDING, Trouble.NO_MESSAGE)
UNREADABLE = Effect(State.FAILED, Trouble.UNREADABLE)
TOO_MANY = Effect(State.FAILED, Trouble.TOO_MANY)
NO_TEMPLATE = Effect(State.UNMATCHED, Trouble.NO_TEMPLATE)
