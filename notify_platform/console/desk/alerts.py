"""What a person has to know now, and the way to what cures it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from notify_platform.alerts.models import Alert
from notify_platform.console.desk.base import SECRETS_OF_MINI_PROGRAM, LogAdmin, OfMiniProgram, label, name_of
from notify_platform.delivery.models import Delivery
from notify_platform.jobs import bans
from templates_app.models import MessageTemplate

SETTLE = "alerts.change_alert"
Kind = Alert.Kind
# Settling these lets the asking and the sending go on.
BANS = frozenset({Kind.APP_BANNED, Kind.TEMPLATE_BANNED})


def with_cures(some: QuerySet[Alert]) -> QuerySet[Alert]:
    """Return the alerts with the template each names, if there is such a template: ``cure`` needs it."""
    named = MessageTemplate.objects.filter(mini_program=OuterRef("mini_program"), wechat_id=OuterRef("subject"))
    return some.annotate(template_id=Subquery(named.values("pk")[:1]))


def cure(alert: Any) -> str:
    """Return the page where the trouble of an alert ``with_cures`` is ended."""
    if alert.template_id:
        return reverse("admin:templates_app_messagetemplate_change", args=[alert.template_id])
    if alert.kind == Kind.STRANGE_CODE:
        code = {"error_code__exact": alert.subject} if alert.subject else {"error_code__isnull": "True"}
        which = urlencode({"mini_program": alert.mini_program_id, "state__exact": Delivery.State.FAILED, **code})
        return f"{reverse('admin:delivery_delivery_changelist')}?{which}"
    if alert.kind in {Kind.APP_BANNED, Kind.PUNISHED}:
        return reverse("admin:templates_app_miniprogram_change", args=[alert.mini_program_id])
    return reverse("admin:alerts_alert_change", args=[alert.pk])


@admin.register(Alert)
class AlertAdmin(LogAdmin):
    """Troubles, the open ones first."""

    list_display = ("kind_label", "told", "mini_program", "times", "last_at", "over")
    list_filter = (OfMiniProgram, "kind", ("settled_at", admin.EmptyFieldListFilter))
    fields = (("mini_program", "kind_label"), "subject", "told", ("first_at", "last_at", "times"), "over")
    readonly_fields = ("kind_label", "told", "over", "button")
    ordering = (F("settled_at").desc(nulls_first=True), "-last_at", "-id")
    joined = ("mini_program", "settled_by")
    empty_words = _("All is well. What needs a person will stand here, with the way to its cure.")
    deferred = SECRETS_OF_MINI_PROGRAM

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Know where each trouble is ended."""
        return with_cures(super().get_queryset(request))

    def get_list_display(self, request: HttpRequest) -> Any:
        """Give the button to those who may press it."""
        return (*self.list_display, "button") if request.user.has_perm(SETTLE) else self.list_display

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Give the button to those who may press it."""
        return (*self.fields, "button") if request.user.has_perm(SETTLE) else self.fields

    @admin.display(description=_("kind"))
    def kind_label(self, row: Alert) -> SafeString:
        """Return the kind in the colour of what is open or over."""
        return label("idle" if row.settled_at else "bad", row.get_kind_display())

    @admin.display(description=_("what to do"))
    def told(self, row: Alert) -> SafeString:
        """Return what happened, and the way to where it is ended."""
        words = '<span class="desk-told">{} <a class="desk-link" href="{}">{}</a></span>'
        return format_html(words, row.detail, cure(row), gettext("Go there"))

    @admin.display(description=_("settled by"))
    def over(self, row: Alert) -> str:
        """Return who said that it is over, and when."""
        if row.settled_at is None:
            return gettext("not settled yet")
        return f"{formats.localize(timezone.localtime(row.settled_at))} · {name_of(row.settled_by)}"

    @admin.display(description=_("over?"))
    def button(self, row: Alert) -> SafeString | str:
        """Return the button that settles an open one; it sends the form it stands in, with its token."""
        if row.settled_at:
            return "—"
        return format_html(
            '<button class="desk-button" type="submit" formmethod="post" formaction="{}">{}</button>',
            reverse("admin:alerts_alert_settle", args=[row.pk]),
            gettext("Lift the ban") if row.kind in BANS else gettext("Settle"),
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
        alert = self.get_queryset(request).filter(pk=alert_id).first()
        if alert is None:
            raise Http404
        if bans.settle(alert, by=request.user):
            messages.success(request, gettext("The alert was settled."))
        else:
            messages.warning(request, gettext("Somebody had settled the alert already."))
        return HttpResponseRedirect(reverse("admin:alerts_alert_changelist"))
