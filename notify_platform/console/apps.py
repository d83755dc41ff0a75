"""The Django app of the operators' desk."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks as django_checks
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _

from notify_platform.console import checks, roles


class ConsoleConfig(AppConfig):
    """The admin site, its roles and the checks of the settings."""

    name = "notify_platform.console"
    verbose_name = _("Desk")

    def ready(self) -> None:
        """Register the system checks, and make the roles whenever a database has been migrated."""
        for check in checks.CHECKS:
            django_checks.register(check)
        # It needs models, and those are there only now.
        from notify_platform.console import doors

        doors.watch()
        post_migrate.connect(roles.make_roles, dispatch_uid="notify_platform.console.roles")
