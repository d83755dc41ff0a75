"""What a person has to know now."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from templates_app.models import MiniProgram


class Alert(models.Model):
    """One trouble, however often it happened, until somebody settles it. ``alerts.alerts`` is the only writer."""

    class Kind(models.TextChoices):
        """What it is about."""

        TEMPLATE_BANNED = "template_banned", _("a template is banned")
        APP_BANNED = "app_banned", _("the mini-program is banned")
        PUNISHED = "punished", _("WeChat punishes the mini-program")
        STRANGE_CODE = "strange_code", _("WeChat answers with a code nobody knows")

    mini_program = models.ForeignKey(
        MiniProgram, on_delete=models.PROTECT, related_name="alerts", verbose_name=_("mini-program")
    )
    kind = models.CharField(_("kind"), max_length=20, choices=Kind)
    # What tells two troubles of one kind apart, e.g. a template id or a code.
    subject = models.CharField(_("subject"), max_length=80, blank=True)
    detail = models.CharField(_("what to do"), max_length=1000, blank=True)
    times = models.PositiveIntegerField(_("times"), default=1)
    first_at = models.DateTimeField(_("first"))
    last_at = models.DateTimeField(_("last"))
    settled_at = models.DateTimeField(_("settled"), null=True, blank=True)
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("settled by"),
    )

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        constraints = [
            models.UniqueConstraint(
                fields=["mini_program", "kind", "subject"],
                condition=Q(settled_at__isnull=True),
                name="alert_open_once_per_subject",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}".strip()
