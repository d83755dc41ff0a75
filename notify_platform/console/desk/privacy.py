"""A person's own data: hand it out, or forget the person."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from notify_platform.console.desk.base import LogAdmin, actor_of, called
from notify_platform.core.models import audit
from notify_platform.delivery.forgetting import forget
from notify_platform.insights import portrait
from subscriptions.models import Subscriber

# The export shows whole openids; forgetting cannot be taken back.
EXPORT, FORGET = "subscriptions.change_subscriber", "subscriptions.delete_subscriber"


class PrivacyPages(LogAdmin):
    """The pages of a person's own data. GET asks and explains; only POST exports or forgets."""

    def get_urls(self) -> list[URLPattern]:
        """Add the page and its two buttons."""
        wrap = self.admin_site.admin_view
        return [
            path("<int:person_id>/privacy/", wrap(self.privacy_view), name="subscriptions_subscriber_privacy"),
            path("<int:person_id>/export/", wrap(self.export_view), name="subscriptions_subscriber_export"),
            path("<int:person_id>/forget/", wrap(self.forget_view), name="subscriptions_subscriber_forget"),
            *super().get_urls(),
        ]

    def privacy_view(self, request: HttpRequest, person_id: int) -> HttpResponse:
        """Say what can be done, and what it does."""
        if not may_see_privacy(request):
            raise PermissionDenied
        person = self._known(request, person_id)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Personal data"),
            "opts": self.opts,
            "original": person,
            "person": person,
            "called": called(person),
            "may_export": request.user.has_perm(EXPORT),
            "may_forget": request.user.has_perm(FORGET) and person.forgotten_at is None,
        }
        return TemplateResponse(request, "console/privacy.html", context)

    def export_view(self, request: HttpRequest, person_id: int) -> HttpResponseBase:
        """Hand everything out as a file."""
        return require_POST(self._export)(request, person_id)

    def forget_view(self, request: HttpRequest, person_id: int) -> HttpResponseBase:
        """Forget the person, once the box was ticked."""
        return require_POST(self._forget)(request, person_id)

    def _export(self, request: HttpRequest, person_id: int) -> HttpResponseBase:
        if not request.user.has_perm(EXPORT):
            raise PermissionDenied
        person = self._known(request, person_id)
        audit(
            actor_of(request),
            action="export",
            subject=f"subscriber {person.pk}",
            mini_program=person.mini_program_id,
        )
        return StreamingHttpResponse(
            portrait.of_person(person),
            content_type="application/json",
            headers={"Content-Disposition": f'attachment; filename="person-{person.pk}.json"'},
        )

    def _forget(self, request: HttpRequest, person_id: int) -> HttpResponseBase:
        if not request.user.has_perm(FORGET):
            raise PermissionDenied
        person = self._known(request, person_id)
        if person.forgotten_at is not None:
            messages.warning(request, gettext("This person had been forgotten before."))
        elif not request.POST.get("meant"):
            messages.error(request, gettext("Tick the box first: it cannot be taken back."))
            return HttpResponseRedirect(reverse("admin:subscriptions_subscriber_privacy", args=[person.pk]))
        else:
            forget(person.mini_program, openids=[person.openid], by=actor_of(request))
            messages.success(request, gettext("The person is forgotten."))
        return HttpResponseRedirect(reverse("admin:subscriptions_subscriber_change", args=[person.pk]))

    def _known(self, request: HttpRequest, person_id: int) -> Subscriber:
        person: Subscriber | None = self.get_queryset(request).filter(pk=person_id).first()
        if person is None:
            raise Http404
        return person


def may_see_privacy(request: HttpRequest) -> bool:
    """Whether somebody may do one or the other."""
    return request.user.has_perm(EXPORT) or request.user.has_perm(FORGET)


def link_to_privacy(person: Subscriber) -> SafeString:
    """Return the button that leads to the page."""
    address = reverse("admin:subscriptions_subscriber_privacy", args=[person.pk])
    return format_html('<a class="desk-button" href="{}">{}</a>', address, gettext("Export or forget …"))
