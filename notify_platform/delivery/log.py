"""The delivery log as a back end reads it."""

from __future__ import annotations

from notify_platform.delivery.models import Delivery
from notify_platform.jobs.models import Event
from templates_app.models import MiniProgram


def find(mini_program: MiniProgram, *, delivery_id: int) -> Delivery | None:
    """Return a message of this mini-program with its person, template and job; None when it has no such message."""
    joined = Delivery.objects.select_related("subscriber", "template", "job")
    return joined.filter(mini_program=mini_program, pk=delivery_id).first()


def ids_of(event: Event) -> list[int]:
    """Return the messages an event has brought."""
    return list(Delivery.objects.filter(event=event).order_by("pk").values_list("pk", flat=True))
