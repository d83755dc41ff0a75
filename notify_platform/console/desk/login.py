"""The log-in form with its sentences. The admin site imports it while it is made: it must register nothing there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError

from notify_platform.console import doors

if TYPE_CHECKING:
    from django.contrib.admin.forms import AdminAuthenticationForm as ThemedLoginForm
else:
    from unfold.forms import AuthenticationForm as ThemedLoginForm


class LoginForm(ThemedLoginForm):
    """The door; whoever has to wait is told for how long."""

    def get_invalid_login_error(self) -> ValidationError:
        """Say whether the password is wrong or came too often."""
        if getattr(self.request, "axes_locked_out", False):
            return ValidationError(doors.waiting_words(), code="locked_out")
        return super().get_invalid_login_error()
