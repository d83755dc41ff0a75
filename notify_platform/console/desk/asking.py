"""What came of asking, and where our books were wrong."""

from __future__ import annotations

from django.contrib import admin

from notify_platform.console.desk.base import LogAdmin, PersonLogAdmin
from subscriptions.models import AskingTally, Drift, ExpectedDemand, PromptReport


@admin.register(PromptReport)
class PromptReportAdmin(PersonLogAdmin):
    """Every attempt to ask, as the phones reported it."""

    list_display = ("answered_at", "person", "scene", "is_silent", "err_code")
    list_filter = ("is_silent",)
    fields = ("person", "scene", "is_silent", "err_code", "answered_at", "received_at")
    joined = ("subscriber", "scene")


@admin.register(Drift)
class DriftAdmin(PersonLogAdmin):
    """Consents that WeChat did not know of."""

    list_display = ("at", "person", "template", "units")
    fields = ("at", "person", "template", "units")
    joined = ("subscriber", "template")


@admin.register(AskingTally)
class AskingTallyAdmin(LogAdmin):
    """What was said in each scene, by day."""

    list_display = ("day", "scene", "template", "word", "times")
    joined = ("scene", "template")


@admin.register(ExpectedDemand)
class ExpectedDemandAdmin(LogAdmin):
    """How many messages we expect to want to send, by day."""

    list_display = ("day", "template", "messages", "per_person")
    joined = ("template",)
