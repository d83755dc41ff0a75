"""Audiences."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from subscriptions.people.models import Subscriber
from templates_app.models import MiniProgram


class Audience(models.Model):
    """A saved flat rule, or an uploaded list."""

    class Kind(models.TextChoices):
        """Where the people come from."""

        RULE = "rule", _("everybody who fits a rule")
        LIST = "list", _("an uploaded list")

    mini_program = models.ForeignKey(
        MiniProgram, on_delete=models.PROTECT, related_name="audiences", verbose_name=_("mini-program")
    )
    name = models.CharField(_("name"), max_length=60)
    kind = models.CharField(_("kind"), max_length=8, choices=Kind, default=Kind.RULE)
    rule = models.JSONField(_("rule"), default=dict, blank=True)
    members: models.ManyToManyField[Subscriber, AudienceMember] = models.ManyToManyField(
        Subscriber, through="AudienceMember", related_name="audiences", verbose_name=_("people")
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("audience")
        verbose_name_plural = _("audiences")
        permissions = [("export_audience", "Can export")]
        constraints = [
            models.UniqueConstraint(fields=["mini_program", "name"], name="audience_name_once_per_mini_program")
        ]

    def __str__(self) -> str:
        return self.name


class AudienceMember(models.Model):
    """One person of an uploaded list."""

    audience = models.ForeignKey(Audience, on_delete=models.CASCADE, verbose_name=_("audience"))
    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE, verbose_name=_("subscriber"))

    class Meta:
        verbose_name = _("person of a list")
        verbose_name_plural = _("people of a list")
        constraints = [models.UniqueConstraint(fields=["audience", "subscriber"], name="person_once_per_list")]

    def __str__(self) -> str:
        return f"{self.audience_id}: {self.subscriber_id}"
