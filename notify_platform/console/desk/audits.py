"""The audit trail as a page: who did what, when, with what stood there before and after."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from notify_platform.console.desk import told, trail
from notify_platform.console.desk.base import LogAdmin, OfMiniProgram, name_of
from notify_platform.console.desk.callbacks import masked
from notify_platform.core.models import AuditEvent

DOOR = (
    "log_in",
    "log_out",
    "log_in_failed",
    "locked_out",
    "let_in",
    "second_step_failed",
    "spare_code",
    "own_password",
)
# Word of the address → what it is about, and the kinds of rows whose entries it keeps.
_ABOUT = {
    "door": (_("log-ins"), ()),
    "jobs": (_("jobs and audiences"), ("job", "audience", "series", "trigger")),
    "templates": (_("templates and scenes"), ("messagetemplate", "scene")),
    "people": (_("people's data"), ("subscriber",)),
    "house": (_("mini-programs and keys"), ("miniprogram", "api key")),
    "accounts": (_("accounts and roles"), ("user", "group")),
}
_SPANS = {"1": _("last 24 hours"), "7": _("last 7 days"), "30": _("last 30 days")}


class About(admin.SimpleListFilter):
    """Entries about one part of the house."""

    title = _("about")
    parameter_name = "about"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Offer the parts."""
        return [(word, title) for word, (title, _kinds) in _ABOUT.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the entries of the part; who came and went is no change of an account."""
        value = self.value()
        if value not in _ABOUT:
            return queryset
        if value == "door":
            return queryset.filter(action__in=DOOR)
        of_kind = Q()
        for kind in _ABOUT[value][1]:
            of_kind |= Q(subject__startswith=f"{kind} ")
        return queryset.filter(of_kind).exclude(action__in=DOOR)


class By(admin.SimpleListFilter):
    """Entries of one colleague, or of the platform itself."""

    title = _("by")
    parameter_name = "by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Offer every colleague by name."""
        users = User.objects.filter(is_staff=True).only("username", "first_name", "last_name").order_by("username")
        return [("platform", _("the platform")), *((str(user.pk), name_of(user)) for user in users)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep what this one did."""
        value = self.value()
        if value == "platform":
            return queryset.filter(actor__isnull=True)
        return queryset.filter(actor=value) if value in dict(self.lookup_choices) else queryset


class When(admin.SimpleListFilter):
    """Entries of the last days."""

    title = _("when")
    parameter_name = "days"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Offer the spans."""
        return list(_SPANS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep what is not older."""
        value = self.value()
        if value not in _SPANS:
            return queryset
        return queryset.filter(at__gte=timezone.now() - timedelta(days=int(value)))


@admin.register(AuditEvent)
class AuditEventAdmin(LogAdmin):
    """Who did what."""

    list_display = ("at", "who", "what", "about", "changed")
    list_filter = (OfMiniProgram, About, By, When)
    search_fields = ("subject__exact",)
    search_help_text = _("Kind and number, e.g. job 12.")
    fields = (("at", "who"), ("what", "about"), "why", "table", "everything")
    joined = ("actor",)

    @admin.display(description=_("by"))
    def who(self, row: AuditEvent) -> str:
        """Return the colleague's name."""
        return trail.who(row)

    @admin.display(description=_("action"))
    def what(self, row: AuditEvent) -> str:
        """Return the action as a word."""
        return trail.action(row)

    @admin.display(description=_("subject"))
    def about(self, row: AuditEvent) -> SafeString | str:
        """Return what it was done to, and the way there."""
        return told.link_to(row.subject)

    @admin.display(description=_("detail"))
    def changed(self, row: AuditEvent) -> str:
        """Return why, or which fields were changed."""
        return trail.why(row) or told.in_short(row) or "—"

    @admin.display(description=_("why"))
    def why(self, row: AuditEvent) -> str:
        """Return the sentence of the detail."""
        return trail.why(row) or "—"

    @admin.display(description=_("before and after"))
    def table(self, row: AuditEvent) -> SafeString | str:
        """Return what stood in each field before and after."""
        lines = told.lines_of(row)
        return render_to_string("console/changes.html", {"lines": lines}) if lines else "—"

    @admin.display(description=_("as it was written down"))
    def everything(self, row: AuditEvent) -> SafeString:
        """Return the whole detail."""
        return format_html(
            '<pre class="desk-raw">{}</pre>', json.dumps(masked(row.detail), ensure_ascii=False, indent=2)
        )
