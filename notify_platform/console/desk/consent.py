"""Consent, and the scenes that ask for it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from notify_platform.console.desk.base import (
    SECRETS_OF_MINI_PROGRAM,
    DeskInline,
    OfMiniProgram,
    PersonLogAdmin,
    label,
)
from notify_platform.console.desk.snippets import WithSnippets
from subscriptions.grants.conditions import unexpired
from subscriptions.models import Answer, Grant, Scene, SceneTemplate, Subscription
from templates_app.models import MessageTemplate, MiniProgram

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
    fields = ("person_link", "template", "state_label", "always_keep", "muted_at", "changed_at")
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
    fields = ("person_link", "template", "scene", "answer", "units", "source", "answered_at", "received_at")
    joined = ("subscriber", "template", "scene")


@admin.register(Grant)
class GrantAdmin(PersonLogAdmin):
    """Consent unit by unit."""

    list_display = ("person", "template", "state_label", "granted_at", "expires_at", "settled_at")
    tab_field = "state"
    fields = ("person_link", "template", "state_label", "granted_at", "expires_at", "settled_at", "answer_link")
    joined = ("subscriber", "template")
    empty_words = _("A consent appears here when somebody says yes in a scene, or when existing ones are imported.")

    @admin.display(description=_("state"))
    def state_label(self, row: Grant) -> SafeString:
        """Return the state in its colour."""
        return label(GRANT_TONES[Grant.State(row.state)], row.get_state_display())

    @admin.display(description=_("answer"))
    def answer_link(self, row: Grant) -> SafeString:
        """Return a link to the answer that granted it."""
        url = reverse("admin:subscriptions_answer_change", args=[row.answer_id])
        return format_html('<a class="desk-link" href="{}">{}</a>', url, row.answer_id)


class AskedInline(DeskInline):
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
