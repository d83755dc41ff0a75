"""The nouns everybody needs: who did what, and who works."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Cast
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


class AuditEvent(models.Model):
    """One action of a person, append-only."""

    at = models.DateTimeField(_("at"), auto_now_add=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", verbose_name=_("by")
    )
    action = models.CharField(_("action"), max_length=40)
    subject = models.CharField(_("subject"), max_length=80, help_text=_("Kind and number, e.g. job 12."))
    # A number, no relation: this floor knows no mini-programs. Empty: it concerns none, or all.
    mini_program = models.BigIntegerField(null=True, blank=True, editable=False)
    detail = models.JSONField(_("detail"), default=dict, blank=True)

    class Meta:
        verbose_name = _("audit event")
        verbose_name_plural = _("audit trail")
        indexes = [
            # The trail of one subject, newest first.
            models.Index(fields=["subject", "-at"], name="audit_by_subject"),
            # The trail of those who work with one mini-program, newest first.
            models.Index(fields=["mini_program", "-id"], name="audit_by_program"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"


class Bell(models.Model):
    """Somebody rang for a task and nobody has answered yet. ``core.queue`` is the only writer."""

    name = models.CharField(_("for"), max_length=60, primary_key=True)
    rung_at = models.DateTimeField(_("rung"))

    class Meta:
        verbose_name = _("bell")
        verbose_name_plural = _("bells")

    def __str__(self) -> str:
        return self.name


class WorkerNode(models.Model):
    """One running ``worker`` command. ``core.queue`` is the only writer."""

    name = models.CharField(_("name"), max_length=80, primary_key=True)
    started_at = models.DateTimeField(_("started"))
    beat_at = models.DateTimeField(_("last beat of the supervisor"))
    pulse_at = models.DateTimeField(_("last answer of the queue"))
    is_stopping = models.BooleanField(_("stopping"), default=False)

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")

    def __str__(self) -> str:
        return self.name


class DriverLease(models.Model):
    """A place to send from: a node has one fewer than it has processes, so that other tasks breathe.

    Or the turn of work that is done every so often: nobody takes it again before ``until``.
    """

    name = models.CharField(_("name"), max_length=100, primary_key=True)
    holder = models.UUIDField(_("holder"), null=True)
    until = models.DateTimeField(_("until"))

    class Meta:
        verbose_name = _("driver lease")
        verbose_name_plural = _("driver leases")

    def __str__(self) -> str:
        return self.name


def audit(
    actor: AbstractBaseUser | None, *, action: str, subject: str, mini_program: int | None = None, **detail: Any
) -> None:
    """Write one row of the trail; call it inside the transaction of the action.

    ``mini_program`` is the number of the one it concerns: who works with others does not see the row.
    """
    AuditEvent.objects.create(
        actor_id=actor.pk if actor else None, action=action, subject=subject, mini_program=mini_program, detail=detail
    )


def strike_from_audit(words: Mapping[str, str]) -> int:
    """Put something else for words that must not be kept, in every detail that quotes them; returns how many did.

    It reads the whole trail, once for all words: as long as people act by hand, that is not much.
    """
    if not words:
        return 0
    quoting = Q()
    for word in words:
        quoting |= Q(text__contains=word)
    rows = AuditEvent.objects.annotate(text=Cast("detail", models.TextField())).filter(quoting)
    struck = 0
    for pk, detail in rows.values_list("pk", "detail"):
        text = json.dumps(detail)
        for word, other in words.items():
            text = text.replace(word, other)
        struck += AuditEvent.objects.filter(pk=pk).update(detail=json.loads(text))
    return struck
