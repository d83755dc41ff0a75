"""Who works behind the scenes."""

from __future__ import annotations

from django.contrib import admin
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from notify_platform.console.desk.base import LogAdmin, label
from notify_platform.core.models import Bell, DriverLease, WorkerNode
from notify_platform.delivery import stalls
from notify_platform.delivery.models import Throughput


@admin.register(WorkerNode)
class WorkerNodeAdmin(LogAdmin):
    """Running workers: is the supervisor alive, does its queue answer?"""

    has_names = True
    list_display = ("name", "state", "started_at", "beat_at", "pulse_at")
    fields = ("name", "state", ("started_at", "beat_at", "pulse_at"))
    ordering = ("name",)

    @admin.display(description=_("state"))
    def state(self, row: WorkerNode) -> SafeString:
        """Say whether it works, has been told to end, or has fallen silent."""
        if row.beat_at < timezone.now() - stalls.WORKER_SILENT_AFTER:
            return label("bad", gettext("silent"))
        return label("busy", gettext("stopping")) if row.is_stopping else label("good", gettext("at work"))


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
