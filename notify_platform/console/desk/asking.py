"""What came of asking, and where our books were wrong."""

from __future__ import annotations

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from notify_platform.console.desk import outlook, scene_words
from notify_platform.console.desk.base import LogAdmin, PersonLogAdmin
from subscriptions.models import AskingTally, Drift, ExpectedDemand, PromptReport


@admin.register(PromptReport)
class PromptReportAdmin(PersonLogAdmin):
    """Every attempt to ask, as the phones reported it."""

    list_display = ("answered_at", "person", "scene", "is_silent", "err_code")
    moment = "received_at"
    list_filter = ("is_silent",)
    fields = ("person_link", "scene", "is_silent", "err_code", "answered_at", "received_at")
    joined = ("subscriber", "scene")


@admin.register(Drift)
class DriftAdmin(PersonLogAdmin):
    """Consents that WeChat did not know of."""

    list_display = ("at", "person", "template", "units")
    lead = _(
        "WeChat refused a card although our books held a consent: the person had turned it off, and no callback told "
        "us. These consents are void by now; nothing has to be done. If there are suddenly many, look at the callbacks."
    )
    empty_words = _("WeChat and our books agree.")
    fields = ("at", "person_link", "template", "units")
    joined = ("subscriber", "template")


@admin.register(AskingTally)
class AskingTallyAdmin(LogAdmin):
    """What was said in each scene, by day, and the report made of it."""

    list_display = ("day", "scene", "template", "word", "times")
    joined = ("scene", "template")

    def get_urls(self) -> list[URLPattern]:
        """Add the report."""
        view = self.admin_site.admin_view(self.report_view)
        return [path("report/", view, name="subscriptions_scene_report"), *super().get_urls()]

    def report_view(self, request: HttpRequest) -> HttpResponse:
        """Show what came of asking in each scene of a mini-program."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {**self.admin_site.each_context(request), "title": gettext("Scene report")}
        context |= scene_words.page(request)
        return TemplateResponse(request, "console/scene_report.html", context)


@admin.register(ExpectedDemand)
class ExpectedDemandAdmin(LogAdmin):
    """How many messages we expect to want to send, by day, and the forecast made of it."""

    list_display = ("day", "template", "messages", "per_person", "wanted")
    joined = ("template",)

    def get_urls(self) -> list[URLPattern]:
        """Add the forecast."""
        view = self.admin_site.admin_view(self.forecast_view)
        return [path("forecast/", view, name="subscriptions_forecast"), *super().get_urls()]

    def forecast_view(self, request: HttpRequest) -> HttpResponse:
        """Show how long the consent of a mini-program will last."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {**self.admin_site.each_context(request), "title": gettext("Consent forecast")}
        context |= outlook.page(request)
        return TemplateResponse(request, "console/forecast.html", context)
