"""The Django app of the API."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ApiConfig(AppConfig):
    """The API and its keys."""

    name = "notify_platform.api"
    label = "api"
    verbose_name = _("API")
