"""What a person has to know now, and the way to what cures it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import F
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from notify_platform.alerts import alerts
from notify_platform.alerts.models import Alert
from notify_platform.console.desk.base import SECRETS_OF_MINI_PROGRAM, LogAdmin, OfMiniProgram, label, name_of
from templates_app.models import MessageTemplate

SETTLE = "alerts.change_alert"
Kind = Alert.Kind


def cures(some: Iterable[Alert]) -> Mapping[int, str]:
    """Return alert id → the page where its trouble is ended; one query for all of them."""
    named = [alert for alert in some if alert.kind == Kind.TEMPLATE_BANNED]
    templates = {
        (program_id, wechat_id): pk
        for program_id, wechat_id, pk in MessageTemplate.objects.filter(
            wechat_id__in=[alert.subject for alert in named]
        ).values_list("mini_program_id", "wechat_id", "pk")
    }
    return {alert.pk: _cure(alert, template_id=templates.get((alert.mini_program_id, alert.subject))) for alert in some}


def _cure(alert: Alert, *, template_id: int | None) -> str:
    if template_id:
        return reverse("admin:templates_app_messagetemplate_change", args=[template_id])
    if alert.kind == Kind.DRIFT:
        return f"{reverse('admin:subscriptions_forecast')}?mini_program={alert.mini_program_id}"
    if alert.kind in {Kind.APP_BANNED, Kind.PUNISHED}:
        return reverse("admin:templates_app_miniprogram_change", args=[alert.mini_program_id])
    return reverse("admin:alerts_alert_change", args=[alert.pk])


@admin.register(Alert)
class AlertAdmin(LogAdmin):
    """Troubles, the open ones first."""

    list_display = ("last_at", "mini_program", "kind_label", "subject", "times", "detail", "settled_at")
    list_filter = (OfMiniProgram, "kind", ("settled_at", admin.EmptyFieldListFilter))
    fields = (("mini_program", "kind_label"), "subject", "detail", ("first_at", "last_at", "times"), "over", "cure")
    ordering = (F("settled_at").desc(nulls_first=True), "-last_at", "-id")
    joined = ("mini_program", "settled_by")
    deferred = SECRETS_OF_MINI_PROGRAM

    def get_list_display(self, request: HttpRequest) -> Any:
        """Give the button to those who may press it."""
        return (*self.list_display, "button") if request.user.has_perm(SETTLE) else self.list_display

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Give the button to those who may press it."""
        return (*self.fields, "button") if request.user.has_perm(SETTLE) else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Whatever is shown is only shown."""
        return ("kind_label", "over", "cure", "button")

    @admin.display(description=_("kind"))
    def kind_label(self, row: Alert) -> SafeString:
        """Return the kind in the colour of what is open or over."""
        return label("idle" if row.settled_at else "bad", row.get_kind_display())

    @admin.display(description=_("settled by"))
    def over(self, row: Alert) -> str:
        """Return who said that it is over."""
        return name_of(row.settled_by)

    @admin.display(description=_("where to act"))
    def cure(self, row: Alert) -> SafeString:
        """Return the way to what cures it."""
        return format_html('<a class="desk-link" href="{}">{}</a>', cures([row])[row.pk], gettext("Go there"))

    @admin.display(description=_("over?"))
    def button(self, row: Alert) -> SafeString | str:
        """Return the button that settles an open one; it sends the form it stands in, with its token."""
        if row.settled_at:
            return "—"
        return format_html(
            '<button class="desk-button" type="submit" formmethod="post" formaction="{}">{}</button>',
            reverse("admin:alerts_alert_settle", args=[row.pk]),
            gettext("Settle"),
        )

    def get_urls(self) -> list[URLPattern]:
        """Add the button's address."""
        view = self.admin_site.admin_view(self.settle_view)
        return [path("<int:alert_id>/settle/", view, name="alerts_alert_settle"), *super().get_urls()]

    def settle_view(self, request: HttpRequest, alert_id: int) -> HttpResponse:
        """Say that a trouble is over; only POST does it."""
        if isinstance(request.user, AnonymousUser) or not request.user.has_perm(SETTLE):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        alert = Alert.objects.filter(pk=alert_id).first()
        if alert is None:
            raise Http404
        if alerts.settle(alert, by=request.user):
            messages.success(request, gettext("The alert was settled."))
        else:
            messages.warning(request, gettext("Somebody had settled the alert already."))
        return HttpResponseRedirect(reverse("admin:alerts_alert_changelist"))
