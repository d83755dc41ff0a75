"""API keys of back ends: issue one and show it once, see which are in use, end one."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from notify_platform.api import keys
from notify_platform.api.models import ApiKey
from notify_platform.console import access
from notify_platform.console.desk.base import SECRETS_OF_MINI_PROGRAM, DeskAdmin, OfMiniProgram, actor_of, label
from notify_platform.core.errors import Refused
from templates_app.models import MiniProgram

if TYPE_CHECKING:
    _MiniProgramField = forms.ModelChoiceField[MiniProgram]
else:
    _MiniProgramField = forms.ModelChoiceField


class KeyForm(forms.Form):
    """What a key is for; only for a mini-program that ``user`` works with."""

    mini_program = _MiniProgramField(
        MiniProgram.objects.order_by("name"), label=_("mini-program"), widget=UnfoldAdminSelectWidget
    )
    name = forms.CharField(
        label=_("name"),
        max_length=keys.NAME_LENGTH,
        help_text=_("Which of your systems uses it."),
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )
    scopes = forms.MultipleChoiceField(
        label=_("may be used for"), choices=ApiKey.Scope.choices, widget=UnfoldAdminCheckboxSelectMultipleWidget
    )
    days = forms.IntegerField(
        label=_("valid for (days)"),
        min_value=1,
        max_value=keys.LONGEST_DAYS,
        required=False,
        help_text=_("Empty: until somebody revokes it."),
        widget=UnfoldAdminIntegerFieldWidget,
    )

    def __init__(self, *args: Any, user: access.Somebody, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = access.limit(MiniProgram.objects.order_by("name"), to=user)
        self.fields["mini_program"].queryset = rows  # type: ignore[attr-defined]


@admin.register(ApiKey)
class ApiKeyAdmin(DeskAdmin):
    """The keys; a secret is shown to the person who issues it and to nobody afterwards."""

    sortable_by = ()
    list_display = (
        "name",
        "mini_program",
        "begins_with",
        "scope_words",
        "state_label",
        "expires_at",
        "last_used_at",
        "created_at",
    )
    list_filter = (OfMiniProgram,)
    fieldsets = (
        (None, {"fields": (("name", "mini_program"), ("begins_with", "scope_words"), "state_label", "revocation")}),
        (_("Dates"), {"fields": (("created_at", "created_by"), ("expires_at", "revoked_at"), "last_used_at")}),
    )
    joined = ("mini_program", "created_by")
    deferred = (*SECRETS_OF_MINI_PROGRAM, "secret_hash")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A key is issued and revoked, never changed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A revoked key stays in the list."""
        return False

    def get_urls(self) -> list[URLPattern]:
        """Add the page that revokes."""
        page = self.admin_site.admin_view(self.revoke_view)
        return [path("<int:key_id>/revoke/", page, name="api_apikey_revoke"), *super().get_urls()]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Offer to revoke to those who may, while the key is not revoked."""
        if obj and obj.revoked_at is None and _may_revoke(request):
            return self.fieldsets
        (title, first), *others = self.fieldsets
        return [(title, {"fields": [each for each in first["fields"] if each != "revocation"]}), *others]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Leave out the history of changes that nobody can make."""
        return super().render_change_form(request, {**context, "show_history": False}, *args, **kwargs)

    # --- columns ---------------------------------------------------------------------------------------------------

    @admin.display(description=_("begins with"))
    def begins_with(self, row: ApiKey) -> SafeString:
        """Return the part of the key that is no secret."""
        return format_html("<code>{}…</code>", row.prefix)

    @admin.display(description=_("may be used for"))
    def scope_words(self, row: ApiKey) -> str:
        """Return the scopes in words; one this version does not know is shown as it is."""
        words = dict(ApiKey.Scope.choices)
        return "、".join(str(words.get(scope, scope)) for scope in row.scopes)

    @admin.display(description=_("state"))
    def state_label(self, row: ApiKey) -> SafeString:
        """Return whether the key opens anything."""
        if row.revoked_at is not None:
            return label("idle", gettext("revoked"))
        if row.expires_at is not None and row.expires_at <= timezone.now():
            return label("warn", gettext("expired"))
        return label("good", gettext("in force"))

    @admin.display(description=_("revocation"))
    def revocation(self, row: ApiKey) -> SafeString:
        """Return a link to the question."""
        address = reverse("admin:api_apikey_revoke", args=[row.pk])
        return format_html('<a class="desk-button desk-bad" href="{}">{}</a>', address, gettext("Revoke …"))

    # --- issuing and revoking --------------------------------------------------------------------------------------

    @sensitive_variables("issued")
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ask what the key is for; the answer to the POST is the only page that ever holds its secret."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = KeyForm(request.POST if request.method == "POST" else None, user=request.user)
        if form.is_valid():
            try:
                issued = _issue(form.cleaned_data, request)
            except Refused as refusal:
                form.add_error(None, refusal.message)
            else:
                page = self._page(request, title=gettext("The new key"))
                return TemplateResponse(request, "console/key_issued.html", page | {"issued": issued})
        page = self._page(request, title=gettext("Issue an API key"))
        return TemplateResponse(request, "console/key_form.html", page | {"form": form})

    def revoke_view(self, request: HttpRequest, key_id: int) -> HttpResponse:
        """GET asks whether it is meant; only POST does it."""
        if not _may_revoke(request):
            raise PermissionDenied
        key = self.get_queryset(request).filter(pk=key_id).first()
        if key is None:
            raise Http404
        if request.method != "POST":
            page = self._page(request, title=gettext("Revoke the key"))
            return TemplateResponse(request, "console/key_revoke.html", page | {"key": key, "original": key})
        if keys.revoke(key, by=actor_of(request)):
            messages.success(request, gettext("The key was revoked. Who still uses it is refused from now on."))
        else:
            messages.warning(request, gettext("The key had been revoked before."))
        return HttpResponseRedirect(reverse("admin:api_apikey_changelist"))

    def _page(self, request: HttpRequest, *, title: str) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "title": title, "opts": self.opts}


def _issue(wanted: dict[str, Any], request: HttpRequest) -> keys.Issued:
    """Issue what the form asks for. Raises ``Refused``."""
    return keys.issue(
        wanted["mini_program"],
        name=wanted["name"],
        scopes=wanted["scopes"],
        by=actor_of(request),
        expires_at=timezone.now() + timedelta(days=wanted["days"]) if wanted["days"] else None,
    )


def _may_revoke(request: HttpRequest) -> bool:
    return request.user.has_perm("api.change_apikey")
