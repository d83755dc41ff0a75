"""Raising and settling alerts: a trouble that goes on is one alert that counts. The only writer of ``Alert``."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from notify_platform.alerts.models import Alert
from notify_platform.core.models import audit
from templates_app.models import MiniProgram

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

logger = logging.getLogger(__name__)

_DETAIL_LENGTH = 1000
_SUBJECT_LENGTH = 80


def raise_alert(mini_program: MiniProgram, *, kind: Alert.Kind, detail: str, subject: str = "") -> bool:
    """Tell of a trouble; True when nobody knew of it, False when its open alert now counts one more.

    ``subject`` tells two troubles of one kind apart, ``detail`` says what happened and what to do next.
    """
    subject = subject[:_SUBJECT_LENGTH]
    known = Alert.objects.filter(mini_program=mini_program, kind=kind, subject=subject, settled_at__isnull=True)
    with transaction.atomic():
        if known.update(times=F("times") + 1, last_at=Now(), detail=detail[:_DETAIL_LENGTH]):
            return False
        fresh = Alert(mini_program=mini_program, kind=kind, subject=subject, detail=detail[:_DETAIL_LENGTH])
        fresh.first_at = fresh.last_at = Now()
        # Somebody may have raised the same one this moment.
        Alert.objects.bulk_create([fresh], ignore_conflicts=True)
        logger.warning("alert: %s %s", kind, subject, extra={"mini_program": mini_program.pk})
        return True


def heard_since(mini_program: MiniProgram, *, kind: Alert.Kind, at: datetime, subject: str = "") -> bool:
    """Whether somebody told of a trouble then or later, and nobody has settled it."""
    told = Alert.objects.filter(mini_program=mini_program, kind=kind, subject=subject[:_SUBJECT_LENGTH])
    return told.filter(settled_at__isnull=True, last_at__gte=at).exists()


def settle(alert: Alert, *, by: AbstractBaseUser | None) -> bool:
    """The trouble is over; False when somebody has said so already. ``by``: None when the platform found out itself."""
    with transaction.atomic():
        settled = Alert.objects.filter(pk=alert.pk, settled_at__isnull=True).update(
            settled_at=Now(), settled_by_id=by.pk if by else None
        )
        if settled:
            audit(
                by,
                action="settle_alert",
                subject=f"alert {alert.pk}",
                mini_program=alert.mini_program_id,
                kind=alert.kind,
            )
    return settled == 1


def settle_all(mini_program: MiniProgram, *, kind: Alert.Kind, subject: str = "") -> int:
    """The platform saw that a trouble is over; returns how many alerts were open."""
    open_ones = Alert.objects.filter(mini_program=mini_program, kind=kind, subject=subject, settled_at__isnull=True)
    return open_ones.update(settled_at=Now())
