"""The accounts that wait after too many wrong passwords."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from notify_platform.console import doors
from notify_platform.console.desk.base import LogAdmin, label
from notify_platform.console.models import FailedLogin

LET_IN = "console.change_failedlogin"


@admin.register(FailedLogin)
class FailedLoginAdmin(LogAdmin):
    """Wrong passwords by account and address, and who has to wait."""

    list_display = ("attempt_time_", "who", "address", "times", "state_label")
    fields = (("who", "address"), ("times", "attempt_time_"), "state_label", "browser")
    readonly_fields = ("button",)
    search_fields = ("username__exact", "ip_address__exact")
    search_help_text = _("A whole user name or address.")
    ordering = ("-attempt_time",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Look up with the rows whether somebody has the name that was typed."""
        somebody = User.objects.filter(username=OuterRef("username"))
        rows: QuerySet[Any] = super().get_queryset(request).annotate(is_known=Exists(somebody))
        return rows

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """What the mask hides is not found out by the address either."""
        hidden = {"username", "post_data", "get_data"}
        return not hidden & set(lookup.split("__")) and super().lookup_allowed(lookup, value, request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find by the name of somebody there is, or by an address."""
        term = search_term.strip()
        if not term:
            return queryset, False
        address = doors.line_of(term)
        return queryset.filter(Q(ip_address=address) if address else Q(username=term, is_known=True)), False

    def get_list_display(self, request: HttpRequest) -> Any:
        """Give the button to those who may press it."""
        return (*self.list_display, "button") if request.user.has_perm(LET_IN) else self.list_display

    @admin.display(description=_("last try"))
    def attempt_time_(self, row: FailedLogin) -> Any:
        """Return when the last wrong password came."""
        return row.attempt_time

    @admin.display(description=_("account"))
    def who(self, row: FailedLogin) -> str:
        """Return the user name that was typed, whole when somebody has it."""
        return _name_in(row) or "—"

    @admin.display(description=_("address"))
    def address(self, row: FailedLogin) -> str:
        """Return where it came from."""
        return row.ip_address or "—"

    @admin.display(description=_("wrong passwords"))
    def times(self, row: FailedLogin) -> int:
        """Return how many in a row."""
        return int(row.failures_since_start)

    @admin.display(description=_("browser"))
    def browser(self, row: FailedLogin) -> str:
        """Return what the browser calls itself."""
        return row.user_agent or "—"

    @admin.display(description=_("state"))
    def state_label(self, row: FailedLogin) -> SafeString:
        """Return whether the pair has to wait."""
        if doors.is_locked(row):
            return label("bad", gettext("has to wait"))
        return label("idle", gettext("may try again"))

    @admin.display(description=_("let in?"))
    def button(self, row: FailedLogin) -> SafeString:
        """Return the button that forgets the wrong passwords; it sends the form it stands in, with its token."""
        return format_html(
            '<button class="desk-button" type="submit" formmethod="post" formaction="{}">{}</button>',
            reverse("admin:console_failedlogin_let_in", args=[row.pk]),
            gettext("Let in"),
        )

    def get_urls(self) -> list[URLPattern]:
        """Add the button's address."""
        view = self.admin_site.admin_view(self.let_in_view)
        return [path("<int:attempt_id>/let-in/", view, name="console_failedlogin_let_in"), *super().get_urls()]

    def let_in_view(self, request: HttpRequest, attempt_id: int) -> HttpResponse:
        """Forget the wrong passwords of an account; only POST does it."""
        if isinstance(request.user, AnonymousUser) or not request.user.has_perm(LET_IN):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        attempt = self.get_queryset(request).filter(pk=attempt_id).first()
        if attempt is None:
            raise Http404
        doors.let_in(attempt.username, by=request.user)
        messages.success(request, gettext("%(name)s can log in again.") % {"name": _name_in(attempt)})
        return HttpResponseRedirect(reverse("admin:console_failedlogin_changelist"))


def _name_in(row: Any) -> str:
    return doors.shown(row.username, is_known=row.is_known) if row.username else ""
