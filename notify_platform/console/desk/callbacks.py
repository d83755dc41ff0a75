"""What WeChat pushed."""

from __future__ import annotations

import json

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from notify_platform.callbacks.models import CallbackEvent
from notify_platform.console.desk.base import SECRETS_OF_MINI_PROGRAM, LogAdmin, OfMiniProgram, label
from subscriptions.people.models import mask

TONES = {
    CallbackEvent.State.PENDING: "busy",
    CallbackEvent.State.HANDLED: "good",
    CallbackEvent.State.UNMATCHED: "warn",
    CallbackEvent.State.IGNORED: "idle",
    CallbackEvent.State.FAILED: "bad",
}
# WeChat's docs: pushes name the person in FromUserName; some events repeat it in a field of their own.
_OPENID_KEYS = frozenset({"fromusername", "openid", "touser"})


def masked(value: object, *, key: str = "") -> object:
    """Return a push with every openid in it masked."""
    if isinstance(value, dict):
        return {name: masked(item, key=str(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [masked(item, key=key) for item in value]
    return mask(value) if isinstance(value, str) and key.lower() in _OPENID_KEYS else value


@admin.register(CallbackEvent)
class CallbackEventAdmin(LogAdmin):
    """The inbox of pushes."""

    list_display = ("received_at", "mini_program", "event", "state_label", "attempts", "error")
    list_filter = (OfMiniProgram, "state")
    fields = (
        ("mini_program", "event"),
        ("state_label", "attempts"),
        ("received_at", "handled_at", "due_at"),
        "error",
        "content",
    )
    joined = ("mini_program",)
    deferred = SECRETS_OF_MINI_PROGRAM

    @admin.display(description=_("state"))
    def state_label(self, row: CallbackEvent) -> SafeString:
        """Return the state in its colour."""
        return label(TONES[CallbackEvent.State(row.state)], row.get_state_display())

    @admin.display(description=_("content"))
    def content(self, row: CallbackEvent) -> SafeString:
        """Return the push, its openids masked."""
        text = json.dumps(masked(row.body), ensure_ascii=False, indent=2)
        return format_html('<pre class="desk-raw">{}</pre>', text)
