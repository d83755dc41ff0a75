"""What a person has to know now."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from notify_platform.alerts.models import Alert
from notify_platform.console.desk.base import SECRETS_OF_MINI_PROGRAM, LogAdmin, OfMiniProgram, label, name_of


@admin.register(Alert)
class AlertAdmin(LogAdmin):
    """Troubles, the open ones and those that are over."""

    list_display = ("last_at", "mini_program", "kind_label", "subject", "times", "detail", "settled_at")
    list_filter = (OfMiniProgram, "kind", ("settled_at", admin.EmptyFieldListFilter))
    fields = (("mini_program", "kind_label"), "subject", "detail", ("first_at", "last_at", "times"), "over")
    joined = ("mini_program", "settled_by")
    deferred = SECRETS_OF_MINI_PROGRAM

    @admin.display(description=_("kind"))
    def kind_label(self, row: Alert) -> SafeString:
        """Return the kind in the colour of what is open or over."""
        return label("idle" if row.settled_at else "bad", row.get_kind_display())

    @admin.display(description=_("settled by"))
    def over(self, row: Alert) -> str:
        """Return who said that it is over."""
        return name_of(row.settled_by)
