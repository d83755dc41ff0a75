"""The Django app of the room."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CallbacksConfig(AppConfig):
    """Its name in the desk's menu."""

    name = "notify_platform.callbacks"
    verbose_name = _("Callbacks")
