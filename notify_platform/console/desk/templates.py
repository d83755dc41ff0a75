"""Mini-programs and their templates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldBooleanWidget

from notify_platform.console import access
from notify_platform.console.desk import cards, changes, comparing
from notify_platform.console.desk.base import (
    SECRETS,
    SECRETS_OF_MINI_PROGRAM,
    DeskAdmin,
    DeskInline,
    LogAdmin,
    OfMiniProgram,
    ReadOnlyInline,
    label,
    require_both_ends,
)
from notify_platform.console.desk.library import DELETE, LibraryPages
from templates_app import fields as rules
from templates_app.models import AccessToken, MessageTemplate, MiniProgram, TemplateChange, TemplateField

if TYPE_CHECKING:
    _MiniProgramForm = forms.ModelForm[MiniProgram]
    _TemplateForm = forms.ModelForm[MessageTemplate]
else:
    _MiniProgramForm = _TemplateForm = forms.ModelForm

TONES = {
    MessageTemplate.State.LIVE: "good",
    MessageTemplate.State.MISSING: "warn",
    MessageTemplate.State.BANNED: "bad",
}
_PREVIOUS_KEYS = ("previous_callback_token", "previous_callback_aes_key")


# --- mini-programs -------------------------------------------------------------------------------------------------


class MiniProgramForm(_MiniProgramForm):
    """The settings of a mini-program. Secrets go in and never come out again."""

    forget_previous = forms.BooleanField(
        label=_("Forget the previous callback keys"), required=False, widget=UnfoldBooleanWidget
    )

    class Meta:
        model = MiniProgram
        exclude: Sequence[str] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Somebody who only reads gets a form without inputs.
        for name in self.fields.keys() & set(SECRETS):
            field = self.fields[name]
            field.required = False
            field.widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}, render_value=False)
            self.initial.pop(name, None)
            if getattr(self.instance, name):
                kept = gettext("One is stored. Leave empty to keep it.")
                field.help_text = f"{field.help_text} {kept}" if field.help_text else kept

    def clean(self) -> dict[str, Any]:
        """Keep the stored secrets whose input is empty."""
        cleaned = super().clean() or self.cleaned_data
        for name in SECRETS:
            cleaned[name] = cleaned.get(name) or getattr(self.instance, name)
        if cleaned.get("forget_previous"):
            cleaned |= dict.fromkeys(_PREVIOUS_KEYS, "")
        require_both_ends(self, start="quiet_from", end="quiet_until")
        return cleaned


@admin.register(MiniProgram)
class MiniProgramAdmin(DeskAdmin):
    """One app id: credentials, callback keys, pace and house rules."""

    form = MiniProgramForm
    list_display = ("name", "app_id", "miniprogram_state", "pace_per_second", "approval_threshold", "created_at")
    ordering = ("name",)
    readonly_fields = ("banned_at",)
    fieldsets = (
        (None, {"fields": ("name", "app_id", "original_id", "app_secret")}),
        (
            _("Callbacks"),
            {
                "fields": (
                    "callback_token",
                    "callback_aes_key",
                    *_PREVIOUS_KEYS,
                    "forget_previous",
                    "forward_url",
                )
            },
        ),
        (
            _("Sending"),
            {
                "fields": (
                    ("miniprogram_state", "lang"),
                    ("pace_per_second", "daily_budget"),
                    ("approval_threshold", "unknown_after_minutes"),
                    "proxy_url",
                )
            },
        ),
        (
            _("Care for people"),
            {
                "fields": (
                    "time_zone",
                    ("quiet_from", "quiet_until"),
                    ("cap_per_day", "cap_per_week"),
                )
            },
        ),
        (
            _("Asking for consent"),
            {
                "fields": (
                    "most_templates",
                    ("asks_per_day", "asks_per_week"),
                    ("cool_down_days", "reject_revokes"),
                    ("client_unconfirmed_limit", "ban_witnesses"),
                    "banned_at",
                )
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave the secrets where they are until a form asks whether there is one."""
        return super().get_queryset(request).defer(*SECRETS)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Hide a login that an address has kept from before it was refused; the form refuses to write it back."""
        program = super().get_object(request, object_id, from_field)
        if program is not None:
            program.proxy_url = changes.without_login(program.proxy_url)
            program.forward_url = changes.without_login(program.forward_url)
        return program

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show no secret, not even a masked one, to somebody who only reads."""
        fieldsets = super().get_fieldsets(request, obj)
        if self.has_change_permission(request, obj):
            return fieldsets
        hidden = {*SECRETS, "forget_previous"}
        return [
            (title, {**options, "fields": [field for field in options["fields"] if field not in hidden]})
            for title, options in fieldsets
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Who works with some mini-programs only would not see a new one."""
        return super().has_add_permission(request) and not access.is_limited(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Everything hangs on a mini-program."""
        return False


@admin.register(AccessToken)
class AccessTokenAdmin(LogAdmin):
    """When the access token was fetched; never the token."""

    list_display = ("mini_program", "fetched_at", "expires_at", "lease_until")
    fields = ("mini_program", "fetched_at", "expires_at", "lease_until")
    joined = ("mini_program",)
    deferred = ("token", *SECRETS_OF_MINI_PROGRAM)


# --- templates -----------------------------------------------------------------------------------------------------


class FieldInline(DeskInline):
    """The keywords of a template; only whether they are checked is the operators' business."""

    model = TemplateField
    extra = 0
    max_num = 0
    can_delete = False
    hide_title = True
    fields = ("label", "key", "kind", "limit", "example", "allowed", "strict")
    readonly_fields = ("label", "key", "kind", "limit", "example", "allowed")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Name the inputs: in a table the theme gives them no label."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field:
            field.widget.attrs["aria-label"] = db_field.verbose_name
        return field

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Fields come from WeChat."""
        return False

    @admin.display(description=_("type"))
    def kind(self, row: TemplateField) -> str:
        """Return the type's name."""
        return str(rules.field_type(row.key).label)

    @admin.display(description=_("limit"))
    def limit(self, row: TemplateField) -> str:
        """Return the largest length."""
        return limit_of(row.key)

    @admin.display(description=_("allowed values"))
    def allowed(self, row: TemplateField) -> str:
        """Return the allowed values in a line."""
        return "、".join(row.choices)


def limit_of(key: str) -> str:
    """Say how much WeChat takes in this field; empty when no limit is known."""
    kind = rules.field_type(key)
    if kind.limit is None:
        return ""
    if kind.counted is rules.DIGITS:
        return gettext("at most %(limit)d digits") % {"limit": kind.limit}
    if kind.limit_with_chinese is not None:
        return gettext("at most %(limit)d characters, %(chinese)d with Chinese ones among them") % {
            "limit": kind.limit,
            "chinese": kind.limit_with_chinese,
        }
    return gettext("at most %(limit)d characters") % {"limit": kind.limit}


class ChangeInline(ReadOnlyInline):
    """What WeChat has changed about a template, old beside new."""

    model = TemplateChange
    hide_title = True
    fields = ("comparison",)
    readonly_fields = ("comparison",)
    ordering = ("-at", "-pk")

    @admin.display(description=_("before and after"))
    def comparison(self, row: TemplateChange) -> SafeString:
        """Return the keywords side by side."""
        lines, title = comparing.lines_of(row), row.template.title
        return render_to_string("console/template_change.html", {"change": row, "lines": lines, "title": title})


class TemplateForm(_TemplateForm):
    """What operators decide about a template."""

    def clean(self) -> dict[str, Any]:
        """Ask for both ends of the quiet hours."""
        cleaned = super().clean() or self.cleaned_data
        require_both_ends(self, start="quiet_from", end="quiet_until")
        return cleaned


@admin.register(MessageTemplate)
class MessageTemplateAdmin(LibraryPages):
    """What may be said: the templates as WeChat lists them, and what operators decide about them."""

    form = TemplateForm
    list_display = ("title", "mini_program", "kind", "state_label", "validity_days", "worth", "urgent", "synced_at")
    list_filter = (OfMiniProgram, "state", "kind")
    ordering = ("mini_program", "title")
    search_fields = ("title", "wechat_id__exact")
    search_help_text = _("Words of the title, or a whole template id.")
    empty_words = _("Fetch the templates from WeChat, or add one from its library.")
    joined = ("mini_program",)
    deferred = SECRETS_OF_MINI_PROGRAM
    inlines = (FieldInline, ChangeInline)
    readonly_fields = ("mini_program", "title", "wechat_id", "kind", "state_label", "synced_at", "card", "removal")
    fieldsets = (
        (
            None,
            {"fields": ("card", ("title", "mini_program"), ("kind", "state_label"), "wechat_id", "synced_at")},
        ),
        (_("What you decide"), {"fields": (("validity_days", "worth"), "urgent", ("quiet_from", "quiet_until"))}),
    )

    @admin.display(description=_("state"), ordering="state")
    def state_label(self, row: MessageTemplate) -> SafeString:
        """Return the state in its colour."""
        return label(TONES[MessageTemplate.State(row.state)], row.get_state_display())

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Offer to delete it at WeChat to those who may, while WeChat knows it."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or obj.state == MessageTemplate.State.MISSING or not request.user.has_perm(DELETE):
            return fieldsets
        (title, first), *others = fieldsets
        return [(title, {**first, "fields": (*first["fields"], "removal")}), *others]

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        """Show what WeChat has changed where it has changed something."""
        has_changes = obj is not None and TemplateChange.objects.filter(template=obj).exists()
        return self.inlines if has_changes else (FieldInline,)

    @admin.display(description=_("at WeChat"))
    def removal(self, row: MessageTemplate) -> SafeString:
        """Return the way to the question whether to delete it there."""
        address = reverse("admin:templates_app_messagetemplate_remove", args=[row.pk])
        return format_html('<a class="desk-button desk-bad" href="{}">{}</a>', address, gettext("Delete at WeChat …"))

    @admin.display(description=_("card"))
    def card(self, row: MessageTemplate) -> SafeString:
        """Draw the card with WeChat's examples."""
        return render_to_string("console/card.html", {"card": cards.of_template(row)})

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Templates come from WeChat."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Grants and deliveries hang on a template."""
        return False
