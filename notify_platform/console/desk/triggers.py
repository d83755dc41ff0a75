"""Triggers, their wordings and the events that pull them: to be read for now."""

from __future__ import annotations

from collections.abc import Mapping

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from notify_platform.console.desk.base import (
    SECRETS_OF_MINI_PROGRAM,
    LogAdmin,
    OfMiniProgram,
    PersonLogAdmin,
    ReadOnlyInline,
)
from notify_platform.console.desk.callbacks import masked
from notify_platform.jobs.models import Event, Trigger, Variant


class VariantInline(ReadOnlyInline):
    """The words of a trigger."""

    model = Variant
    fields = ("name", "page", "words")
    readonly_fields = ("words",)

    @admin.display(description=_("texts"))
    def words(self, row: Variant) -> str:
        """Return the texts, one line for each key."""
        return _lines(row.texts)


@admin.register(Trigger)
class TriggerAdmin(LogAdmin):
    """The rules that turn an event into messages."""

    has_names = True
    list_display = ("name", "mini_program", "event", "template", "delay_seconds", "is_active")
    list_filter = (OfMiniProgram, "is_active")
    fields = ("name", "mini_program", "event", "template", "delay_seconds", "is_active")
    joined = ("mini_program", "template")
    deferred = SECRETS_OF_MINI_PROGRAM
    inlines = (VariantInline,)


@admin.register(Variant)
class VariantAdmin(LogAdmin):
    """Every wording, of jobs and of triggers."""

    has_names = True
    list_display = ("name", "job", "trigger", "page")
    fields = ("name", "job", "trigger", "is_dropped", "page", "words")
    joined = ("job", "trigger")

    @admin.display(description=_("texts"))
    def words(self, row: Variant) -> str:
        """Return the texts, one line for each key."""
        return _lines(row.texts)


@admin.register(Event)
class EventAdmin(PersonLogAdmin):
    """What back ends reported."""

    moment = "received_at"
    list_display = ("occurred_at", "event", "event_id", "person", "subject", "undone_at")
    list_filter = (OfMiniProgram,)
    fields = (
        "mini_program",
        "event",
        "event_id",
        "person",
        "subject",
        "data_lines",
        "occurred_at",
        "received_at",
        "undone_at",
    )
    joined = ("subscriber", "mini_program")
    deferred = SECRETS_OF_MINI_PROGRAM

    @admin.display(description=_("person"))
    def person(self, row: Event) -> str:
        """Return whom the event is about; somebody forgotten is nobody."""
        return super().person(row) if row.subscriber_id else "—"

    @admin.display(description=_("data"))
    def data_lines(self, row: Event) -> str:
        """Return the data, one line for each name."""
        shown = masked(row.data)
        return _lines(shown) if isinstance(shown, dict) else ""


def _lines(values: Mapping[str, object]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in values.items())
