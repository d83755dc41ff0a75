"""The Django app of the alerts."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AlertsConfig(AppConfig):
    """What a person has to know now."""

    name = "notify_platform.alerts"
    verbose_name = _("Alerts")
