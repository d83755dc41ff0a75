"""The Django app of the ground floor."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CoreConfig(AppConfig):
    """What every room may use."""

    name = "notify_platform.core"
    verbose_name = _("Operations")
