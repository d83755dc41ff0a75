"""The page on which an operator says what became of one message with an unknown result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from notify_platform.console.desk.jobs.deeds import OPERATE
from notify_platform.core.errors import Refused
from notify_platform.delivery import settlement
from notify_platform.delivery.models import Delivery

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    _Admin = ModelAdmin[Delivery]
else:
    _Admin = object

VERDICTS = {"sent": True, "not_sent": False}


class Settling(_Admin):
    """Adds the page to the delivery log's admin, and ``settle_link`` to its fields."""

    def get_urls(self) -> list[URLPattern]:
        """Add the page's address."""
        view = self.admin_site.admin_view(self.settle_view)
        return [path("<int:delivery_id>/settle/", view, name="delivery_delivery_settle"), *super().get_urls()]

    @admin.display(description=_("result unknown"))
    def settle_link(self, row: Delivery) -> SafeString:
        """Return the way to settle a message whose result is unknown."""
        if row.state != Delivery.State.UNKNOWN:
            return SafeString("—")
        url = reverse("admin:delivery_delivery_settle", args=[row.pk])
        return format_html('<a class="desk-link" href="{}">{}</a>', url, gettext("Say what became of it"))

    def settle_view(self, request: HttpRequest, delivery_id: int) -> HttpResponse:
        """GET asks; only POST settles."""
        row = self.get_queryset(request).filter(pk=delivery_id).first()
        if row is None:
            raise Http404
        if not request.user.has_perm(OPERATE):
            raise PermissionDenied
        if request.method not in {"GET", "POST"}:
            return HttpResponseNotAllowed(["GET", "POST"])
        error = ""
        if request.method == "POST":
            error = self._settle(request, row)
            if not error:
                return HttpResponseRedirect(reverse("admin:delivery_delivery_change", args=[row.pk]))
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": gettext("Say what became of it"),
            "opts": self.opts,
            "original": row,
            "row": row,
            "error": error,
        }
        return TemplateResponse(request, "console/settle.html", context)

    def _settle(self, request: HttpRequest, row: Delivery) -> str:
        """Call the verb; return what was wrong with the form, if anything was."""
        verdict = VERDICTS.get(request.POST.get("verdict", ""))
        if verdict is None:
            return gettext("Choose one of the two.")
        try:
            settlement.resolve_unknown(row, sent=verdict, by=request.user, reason=request.POST.get("reason", ""))  # type: ignore[arg-type]
        except Refused as refusal:
            if "reason" in refusal.fields:
                return refusal.message
            messages.error(request, refusal.message)
        else:
            messages.success(request, gettext("The message was settled."))
        return ""
