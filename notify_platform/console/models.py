"""What the desk itself remembers of its people."""

from __future__ import annotations

from axes.models import AccessAttempt
from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from templates_app.models import MiniProgram


class Access(models.Model):
    """A colleague works with a mini-program; ``console.access`` says what that means and is the only writer."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="accesses", verbose_name=_("colleague")
    )
    mini_program = models.ForeignKey(
        MiniProgram, on_delete=models.PROTECT, related_name="+", verbose_name=_("mini-program")
    )

    class Meta:
        verbose_name = _("access to a mini-program")
        verbose_name_plural = _("access to mini-programs")
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["user", "mini_program"], name="access_once_per_mini_program")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.mini_program_id}"


class SavedView(models.Model):
    """The filters of a list under a name, for the colleague who saved them and nobody else."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views", verbose_name=_("colleague")
    )
    # The list as ``app.model``.
    page = models.CharField(_("list"), max_length=80)
    name = models.CharField(_("name"), max_length=30)
    query = models.CharField(_("filters"), max_length=500, blank=True)

    class Meta:
        verbose_name = _("saved view")
        verbose_name_plural = _("saved views")
        constraints = [models.UniqueConstraint(fields=["user", "page", "name"], name="view_named_once_per_colleague")]

    def __str__(self) -> str:
        return self.name


class FailedLogin(AccessAttempt):  # type: ignore[misc]
    """Wrong passwords given for one account from one address, as django-axes counts them."""

    class Meta:
        proxy = True
        verbose_name = _("failed log-in")
        verbose_name_plural = _("failed log-ins")

    def __str__(self) -> str:
        # Not the name: it may be a password in the wrong box.
        return f"{self.pk} · {self.ip_address}"
