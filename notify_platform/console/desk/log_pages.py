"""The buttons above a long list: save its filters, delete a saved view, export its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from notify_platform.console.desk import exporting, views
from notify_platform.core.errors import Refused

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
    from django.contrib.auth.models import AbstractBaseUser

    _Admin = ModelAdmin[Any]
else:
    _Admin = object


class LogPages(_Admin):
    """Only POST does anything; whoever may not see the list may press none of its buttons."""

    def get_urls(self) -> list[URLPattern]:
        """Add the buttons."""
        wrap, name = self.admin_site.admin_view, f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path("views/", wrap(require_POST(self.keep_view)), name=f"{name}_keep_view"),
            path("views/<int:view_id>/drop/", wrap(require_POST(self.drop_view)), name=f"{name}_drop_view"),
            path("export/", wrap(require_POST(self.export_list_view)), name=f"{name}_export_list"),
            *super().get_urls(),
        ]

    def keep_view(self, request: HttpRequest) -> HttpResponse:
        """Save the filters of this list under a name."""
        user, query = self._reader(request), request.POST.get("query", "")
        try:
            view = views.keep(by=user, model=self.model, name=request.POST.get("name", ""), query=query)
        except Refused as refusal:
            messages.error(request, refusal.message)
        else:
            query = view.query
            messages.success(request, gettext("The view “%(name)s” was saved.") % {"name": view.name})
        return HttpResponseRedirect(f"{self._list_url()}?{query}")

    def drop_view(self, request: HttpRequest, view_id: int) -> HttpResponse:
        """Delete one's own view."""
        if not views.drop(by=self._reader(request), model=self.model, pk=view_id):
            raise Http404
        messages.success(request, gettext("The view was deleted."))
        return HttpResponseRedirect(self._list_url())

    def export_list_view(self, request: HttpRequest) -> HttpResponseBase:
        """Hand out the rows of the list as a file; the address carries the list's own filters."""
        self._reader(request)
        if not exporting.may_export(request, self.model):
            raise PermissionDenied
        query = request.GET.urlencode()
        found = self.get_changelist_instance(request)
        try:
            return exporting.answer(
                request,
                found.queryset,
                kind=self.model._meta.label_lower,
                subject=f"list {self.model._meta.label_lower}",
                query=views.lasting(query),
                zone=exporting.zone_for(request),
            )
        except Refused as refusal:
            messages.error(request, refusal.message)
            return HttpResponseRedirect(f"{self._list_url()}?{query}")

    def _reader(self, request: HttpRequest) -> AbstractBaseUser:
        if not request.user.is_authenticated or not self.has_view_or_change_permission(request):
            raise PermissionDenied
        return request.user

    def _list_url(self) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
