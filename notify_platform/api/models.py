"""Who may call besides the phones: the keys of merchants' back ends."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from templates_app.models import MiniProgram


class ApiKey(models.Model):
    """A back end's key to one mini-program; of its secret only the digest is kept. ``api.keys`` is the only writer."""

    class Scope(models.TextChoices):
        """What a key may be used for."""

        SESSIONS = "sessions", _("sign people in")
        EVENTS = "events", _("report events")
        DELIVERIES = "deliveries", _("read what became of a message")
        SUBSCRIBERS = "subscribers", _("keep people's records")
        CONSENTS = "consents", _("import consent")

    mini_program = models.ForeignKey(
        MiniProgram, on_delete=models.PROTECT, related_name="api_keys", verbose_name=_("mini-program")
    )
    name = models.CharField(_("name"), max_length=60, help_text=_("Which of your systems uses it."))
    prefix = models.CharField(_("begins with"), max_length=16, unique=True)
    # SHA-256 in hexadecimal: of 32 random bytes, so that there is nothing to guess and no need for a slow digest.
    secret_hash = models.CharField(max_length=64)
    scopes = models.JSONField(_("may be used for"), default=list)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True, help_text=_("Empty: never."))
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, help_text=_("To the minute."))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", verbose_name=_("created by")
    )

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
