"""Consent, the scenes that ask for it, and audiences."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextareaWidget

from notify_platform.console.desk.base import (
    SECRETS_OF_MINI_PROGRAM,
    DeskAdmin,
    OfMiniProgram,
    PersonLogAdmin,
    ThemedInline,
    label,
)
from notify_platform.console.desk.snippets import WithSnippets
from notify_platform.core.errors import Refused
from notify_platform.jobs.models import SendJob
from subscriptions.audience import selection
from subscriptions.grants.conditions import unexpired
from subscriptions.models import Answer, Audience, AudienceMember, Grant, Scene, SceneTemplate, Subscription
from templates_app.models import MessageTemplate, MiniProgram

if TYPE_CHECKING:
    _AudienceForm = forms.ModelForm[Audience]
else:
    _AudienceForm = forms.ModelForm

SUBSCRIPTION_TONES = {
    Subscription.State.ON: "good",
    Subscription.State.OFF: "idle",
    Subscription.State.BANNED: "bad",
    Subscription.State.SUSPENDED: "warn",
}
GRANT_TONES = {
    Grant.State.AVAILABLE: "good",
    Grant.State.RESERVED: "busy",
    Grant.State.SPENT: "idle",
    Grant.State.LAPSED: "warn",
    Grant.State.REVOKED: "bad",
}


# --- consent -------------------------------------------------------------------------------------------------------


def in_stock() -> QuerySet[Grant]:
    """Return the units of every template that could be used this moment."""
    return Grant.objects.filter(unexpired(), state=Grant.State.AVAILABLE)


@admin.register(Subscription)
class SubscriptionAdmin(PersonLogAdmin):
    """The standing relation between a person and a template."""

    list_display = ("person", "template", "state_label", "always_keep", "muted_at", "changed_at")
    tab_field = "state"
    fields = ("person", "template", "state_label", "always_keep", "muted_at", "changed_at")
    joined = ("subscriber", "template")

    @admin.display(description=_("state"))
    def state_label(self, row: Subscription) -> SafeString:
        """Return the state in its colour; a row that only notes a wish has none."""
        if row.standing != row.state:
            return label("idle", "—")
        return label(SUBSCRIPTION_TONES[Subscription.State(row.state)], row.get_state_display())


@admin.register(Answer)
class AnswerAdmin(PersonLogAdmin):
    """What people answered, as it was reported."""

    list_display = ("answered_at", "person", "template", "answer", "units", "source", "scene")
    tab_field = "source"
    moment = "received_at"
    fields = ("person", "template", "scene", "answer", "units", "source", "answered_at", "received_at")
    joined = ("subscriber", "template", "scene")


@admin.register(Grant)
class GrantAdmin(PersonLogAdmin):
    """Consent unit by unit."""

    list_display = ("person", "template", "state_label", "granted_at", "expires_at", "settled_at")
    tab_field = "state"
    fields = ("person", "template", "state_label", "granted_at", "expires_at", "settled_at", "answer_link")
    joined = ("subscriber", "template")

    @admin.display(description=_("state"))
    def state_label(self, row: Grant) -> SafeString:
        """Return the state in its colour."""
        return label(GRANT_TONES[Grant.State(row.state)], row.get_state_display())

    @admin.display(description=_("answer"))
    def answer_link(self, row: Grant) -> SafeString:
        """Return a link to the answer that granted it."""
        url = reverse("admin:subscriptions_answer_change", args=[row.answer_id])
        return format_html('<a class="desk-link" href="{}">{}</a>', url, row.answer_id)


class AskedInline(ThemedInline):
    """The templates a scene asks for."""

    model = SceneTemplate
    extra = 1
    hide_title = True
    fields = ("template", "worth", "position")
    readonly_fields = ("worth",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[SceneTemplate]:
        """Read the templates with their rows."""
        return super().get_queryset(request).select_related("template")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer the mini-program's templates that can be sent, and whatever the scene asks for already."""
        if db_field.name == "template":
            useful = Q(state=MessageTemplate.State.LIVE, kind__in=MessageTemplate.SENDABLE_KINDS)
            scene = request.resolver_match.kwargs.get("object_id") if request.resolver_match else None
            if scene:
                bound = SceneTemplate.objects.filter(scene=scene).values("template")
                useful &= Q(mini_program__in=MiniProgram.objects.filter(scenes=scene))
                useful |= Q(pk__in=bound)
            kwargs["queryset"] = MessageTemplate.objects.filter(useful)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    @admin.display(description=_("worth"))
    def worth(self, row: SceneTemplate) -> int | str:
        """Return what a message of the template is worth."""
        return row.template.worth if row.pk else "—"


@admin.register(Scene)
class SceneAdmin(WithSnippets):
    """The moments at which consent is asked."""

    list_display = ("name", "code", "mini_program", "words", "is_active")
    list_filter = (OfMiniProgram, "is_active")
    joined = ("mini_program",)
    deferred = SECRETS_OF_MINI_PROGRAM
    fields = ("mini_program", "code", "name", "words", "is_active")
    inlines = (AskedInline,)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A scene stays with its mini-program."""
        return ("mini_program",) if obj else ()


# --- audiences -----------------------------------------------------------------------------------------------------

_SEPARATORS = re.compile(r"[\n,，、;；]+")
# A rule may not change under a job that somebody has agreed to or that is still counting its people.
_RELYING = (SendJob.State.SUBMITTED, SendJob.State.SCHEDULED, SendJob.State.RUNNING, SendJob.State.PAUSED)


class NamesField(forms.CharField):
    """Names separated by commas or line breaks; cleans to a list without repetitions."""

    widget = UnfoldAdminTextareaWidget

    def prepare_value(self, value: Any) -> Any:
        """Write a stored list as one line."""
        return "，".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """Read the names."""
        names = (name.strip() for name in _SEPARATORS.split(super().to_python(value) or ""))
        return list(dict.fromkeys(name for name in names if name))

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare names, not separators."""
        return bool(self.to_python(data) != (initial or []))


def _days(title: Any, *, help_text: Any) -> forms.IntegerField:
    return forms.IntegerField(
        label=title,
        help_text=help_text,
        required=False,
        min_value=1,
        max_value=3650,
        widget=UnfoldAdminIntegerFieldWidget,
    )


class AudienceForm(_AudienceForm):
    """A rule as form fields: what is left empty is no criterion."""

    regions = NamesField(
        label=_("Regions"),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text=_("Separated by commas; written as in the people's records, e.g. 广东."),
    )
    cities = NamesField(
        label=_("Cities"),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text=_("Separated by commas, e.g. 深圳，广州."),
    )
    active_within_days = _days(
        _("Active within (days)"), help_text=_("Opened the mini-program in the last so many days.")
    )
    dormant_for_days = _days(
        _("Dormant for (days)"), help_text=_("Has not opened the mini-program for so many days, or never.")
    )

    class Meta:
        model = Audience
        fields = ("mini_program", "name")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rule: Mapping[str, Any] = self.instance.rule or {}
        self.initial = {**{name: rule[name] for name in selection.CRITERIA if name in rule}, **self.initial}

    def clean(self) -> dict[str, Any]:
        """Put the criteria together, and refuse to change people under a job that relies on them."""
        cleaned = super().clean() or self.cleaned_data
        if self.errors or self.instance.kind == Audience.Kind.LIST:
            return cleaned
        rule = {name: cleaned[name] for name in selection.CRITERIA if cleaned.get(name)}
        if self.instance.pk and rule != self.instance.rule:
            self._refuse_while_relied_on()
        try:
            selection.check_rule(rule)
        except Refused as refusal:
            self.add_error(None, refusal.message)
        self.instance.rule = rule
        return cleaned

    def _refuse_while_relied_on(self) -> None:
        names = list(SendJob.objects.filter(audience=self.instance, state__in=_RELYING).values_list("name", flat=True))
        if names:
            sentence = gettext("Jobs that are submitted or running use this audience: %(names)s. Make a new one.")
            self.add_error(None, sentence % {"names": "、".join(names)})


@admin.register(Audience)
class AudienceAdmin(DeskAdmin):
    """Whom a job can be sent to."""

    form = AudienceForm
    list_display = ("name", "mini_program", "kind", "rule_words", "created_at")
    list_filter = (OfMiniProgram, "kind")
    joined = ("mini_program",)
    deferred = SECRETS_OF_MINI_PROGRAM

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show a rule as criteria, an uploaded list as what it is."""
        head = ("mini_program", "name", "people") if obj else ("mini_program", "name")
        if obj and obj.kind == Audience.Kind.LIST:
            return ((None, {"fields": (*head, "kind")}),)
        if not self.has_change_permission(request, obj):
            return ((None, {"fields": (*head, "rule_words")}),)
        criteria = ("regions", "cities", ("active_within_days", "dormant_for_days"))
        note = _("All criteria must hold. Without any, the audience is everybody of the mini-program.")
        return ((None, {"fields": head}), (_("Criteria"), {"fields": criteria, "description": note}))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Name the columns; the criteria are declared by the form."""
        return super().get_form(request, obj, change, **{**kwargs, "fields": ("mini_program", "name")})

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """An audience stays with its mini-program and of its kind."""
        return ("mini_program", "kind", "people", "rule_words") if obj else ()

    @admin.display(description=_("people now"))
    def people(self, row: Audience) -> str:
        """Count who is meant at this moment."""
        try:
            return f"{selection.people(row).count():,}"
        except Refused as refusal:
            return refusal.message

    @admin.display(description=_("criteria"))
    def rule_words(self, row: Audience) -> str:
        """Say the rule in words."""
        if row.kind == Audience.Kind.LIST:
            return "—"
        return words_of(row.rule)


def words_of(rule: Mapping[str, Any]) -> str:
    """Say a rule in words; criteria nobody knows are left out."""
    sentences = {
        "regions": gettext("region: %(value)s"),
        "cities": gettext("city: %(value)s"),
        "active_within_days": gettext("active within %(value)s days"),
        "dormant_for_days": gettext("dormant for %(value)s days"),
    }
    said = [
        sentences[name] % {"value": "、".join(value) if isinstance(value, list) else value}
        for name, value in rule.items()
        if name in sentences
    ]
    return "; ".join(said) or gettext("everybody")


@admin.register(AudienceMember)
class AudienceMemberAdmin(PersonLogAdmin):
    """The people of uploaded lists."""

    list_display = ("audience", "person")
    fields = ("audience", "person")
    joined = ("audience", "subscriber")
