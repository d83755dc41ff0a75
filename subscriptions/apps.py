"""The Django app of ``subscriptions``."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SubscriptionsConfig(AppConfig):
    """People and their consent."""

    name = "subscriptions"
    verbose_name = _("Subscriptions")
