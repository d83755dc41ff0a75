"""Who works behind the scenes."""

from __future__ import annotations

from django.contrib import admin

from notify_platform.console.desk.base import LogAdmin
from notify_platform.core.models import Bell, DriverLease, WorkerNode
from notify_platform.delivery.models import Throughput


@admin.register(WorkerNode)
class WorkerNodeAdmin(LogAdmin):
    """Running workers: is the supervisor alive, does its queue answer?"""

    has_names = True
    list_display = ("name", "started_at", "beat_at", "pulse_at", "is_stopping")
    fields = ("name", ("started_at", "beat_at", "pulse_at"), "is_stopping")
    ordering = ("name",)


@admin.register(Bell)
class BellAdmin(LogAdmin):
    """Tasks somebody rang for and nobody has answered yet."""

    has_names = True
    list_display = ("name", "rung_at")
    fields = (("name", "rung_at"),)
    ordering = ("name",)


@admin.register(DriverLease)
class DriverLeaseAdmin(LogAdmin):
    """Places to send from."""

    has_names = True
    list_display = ("name", "until")
    fields = (("name", "until"),)
    ordering = ("name",)


@admin.register(Throughput)
class ThroughputAdmin(LogAdmin):
    """How many messages of a job left, every few seconds."""

    list_display = ("at", "job", "messages")
    fields = (("job", "at", "messages"),)
    joined = ("job",)
