"""The pages of the second step: giving a code, setting up a phone, and resetting a colleague's."""

from __future__ import annotations

from base64 import b32encode
from typing import Any

import django_otp
import segno
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_variables

from notify_platform.console import second_step
from notify_platform.console.desk.base import DeskAdmin, actor_of
from notify_platform.core.errors import Refused

MODES = frozenset({second_step.OPTIONAL, second_step.REQUIRED})


class SecondStepPages(DeskAdmin):
    """A colleague's own second step. GET shows; only POST begins, confirms or drops."""

    def get_urls(self) -> list[URLPattern]:
        """Add the pages."""
        wrap = self.admin_site.admin_view
        return [
            path("second-step/", wrap(self.second_step_view), name="auth_user_second_step"),
            path("second-step/setup/", wrap(self.setup_view), name="auth_user_second_step_setup"),
            path("<int:user_id>/second-step/drop/", wrap(self.drop_view), name="auth_user_second_step_drop"),
            *super().get_urls(),
        ]

    def second_step_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for the code after the password."""
        user, error = _user(request), ""
        if request.method == "POST":
            try:
                device = second_step.check(user, code=request.POST.get("code", ""))
            except Refused as refusal:
                error = refusal.message
            else:
                return self._let_through(request, device, to=request.POST.get("next", ""))
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Second step"),
            "error": error,
            "next": request.POST.get("next") or request.GET.get("next", ""),
        }
        return TemplateResponse(request, "console/second_step.html", context)

    def setup_view(self, request: HttpRequest) -> HttpResponse:
        """Begin, confirm or drop the second step of whoever asks."""
        user = _user(request)
        if second_step.phone_of(user) and not request.user.is_verified():  # type: ignore[union-attr]
            # A stolen password must not be enough to put another phone in place of this one.
            return HttpResponseRedirect(reverse("admin:auth_user_second_step"))
        if request.method == "POST":
            return self._set_up(request, user, request.POST.get("do", ""))
        return self._setup_page(request, user)

    def drop_view(self, request: HttpRequest, user_id: int) -> HttpResponse:
        """Forget the phone of a colleague who has lost it; only an administrator's POST does it."""
        if not _user(request).is_superuser:
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        colleague = User.objects.filter(pk=user_id).first()
        if colleague is None:
            raise Http404
        if second_step.drop(colleague, by=actor_of(request)):
            messages.success(request, gettext("The second step was reset: the password alone lets in again."))
        else:
            messages.warning(request, gettext("No phone is set up for this account."))
        return HttpResponseRedirect(reverse("admin:auth_user_change", args=[user_id]))

    # --- parts -----------------------------------------------------------------------------------------------------

    def _let_through(self, request: HttpRequest, device: Any, *, to: str) -> HttpResponse:
        request.session.cycle_key()
        django_otp.login(request, device)
        is_ours = url_has_allowed_host_and_scheme(to, allowed_hosts={request.get_host()})
        return HttpResponseRedirect(to if is_ours else reverse("admin:index"))

    @sensitive_variables("spares")
    def _set_up(self, request: HttpRequest, user: User, deed: str) -> HttpResponse:
        if deed == "begin":
            second_step.begin(user)
        elif deed == "drop" and settings.DESK_TOTP != second_step.REQUIRED:
            second_step.drop(user, by=user)
            messages.success(request, gettext("The second step is off."))
        elif deed == "confirm":
            try:
                phone, spares = second_step.confirm(user, code=request.POST.get("code", ""))
            except Refused as refusal:
                return self._setup_page(request, user, error=refusal.message)
            django_otp.login(request, phone)
            return self._setup_page(request, user, spares=spares)
        return HttpResponseRedirect(reverse("admin:auth_user_second_step_setup"))

    def _setup_page(self, request: HttpRequest, user: User, **more: Any) -> HttpResponse:
        new = second_step.phone_of(user, confirmed=False)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Second step of the log-in"),
            "is_offered": settings.DESK_TOTP in MODES,
            "is_required": settings.DESK_TOTP == second_step.REQUIRED,
            "phone": second_step.phone_of(user),
            "picture": segno.make(new.config_url, micro=False).svg_data_uri(scale=5, border=2) if new else "",
            "key": _in_fours(b32encode(new.bin_key).decode()) if new else "",
            **more,
        }
        return TemplateResponse(request, "console/second_step_setup.html", context)


def account_links(request: HttpRequest) -> list[dict[str, Any]]:
    """Return what the menu of one's own account holds."""
    links = [{"title": gettext("Change password"), "link": reverse("admin:password_change")}]
    if settings.DESK_TOTP in MODES:
        links.append({"title": gettext("Second step"), "link": reverse("admin:auth_user_second_step_setup")})
    return links


def _in_fours(key: str) -> str:
    return " ".join(key[start : start + 4] for start in range(0, len(key), 4))


def _user(request: HttpRequest) -> User:
    if isinstance(request.user, AnonymousUser):
        raise PermissionDenied
    return request.user
