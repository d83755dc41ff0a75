"""The one noun everybody needs: who did what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
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
    detail = models.JSONField(_("detail"), default=dict, blank=True)

    class Meta:
        verbose_name = _("audit event")
        verbose_name_plural = _("audit trail")
        indexes = [
            # The trail of one subject, newest first.
            models.Index(fields=["subject", "-at"], name="audit_by_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"


def audit(actor: AbstractBaseUser | None, *, action: str, subject: str, **detail: Any) -> None:
    """Write one row of the trail; call it inside the transaction of the action."""
    AuditEvent.objects.create(actor_id=actor.pk if actor else None, action=action, subject=subject, detail=detail)
