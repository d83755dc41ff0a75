"""The Django app of ``templates_app``."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TemplatesAppConfig(AppConfig):
    """Templates and mini-programs."""

    name = "templates_app"
    verbose_name = _("Templates")
