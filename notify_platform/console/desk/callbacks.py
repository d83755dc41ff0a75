"""What WeChat pushed: the inbox, and giving a push another try."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from notify_platform.callbacks import inbox
from notify_platform.callbacks.handlers import CHANGE, HANDLERS, POPUP, SENT
from notify_platform.callbacks.models import CallbackEvent
from notify_platform.callbacks.notices import CANCELLED, MODIFIED, PUNISHED, REVOKED
from notify_platform.console.desk.base import SECRETS_OF_MINI_PROGRAM, LogAdmin, OfMiniProgram, label
from subscriptions.people.models import mask
from templates_app.models import MiniProgram

TONES = {
    CallbackEvent.State.PENDING: "busy",
    CallbackEvent.State.HANDLED: "good",
    CallbackEvent.State.UNMATCHED: "warn",
    CallbackEvent.State.IGNORED: "idle",
    CallbackEvent.State.FAILED: "bad",
}
# WeChat's docs: pushes name the person in FromUserName; some events repeat it in a field of their own.
_OPENID_KEYS = frozenset({"fromusername", "openid", "touser"})


def masked(value: object, *, key: str = "") -> object:
    """Return a push with every openid in it masked."""
    if isinstance(value, dict):
        return {name: masked(item, key=str(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [masked(item, key=key) for item in value]
    return mask(value) if isinstance(value, str) and key.lower() in _OPENID_KEYS else value


EVENTS = {
    SENT: _("result of a message"),
    POPUP: _("answer in the popup"),
    CHANGE: _("turned off in WeChat"),
    PUNISHED: _("punishment by WeChat"),
    REVOKED: _("permission taken back"),
    MODIFIED: _("profile changed"),
    CANCELLED: _("account closed"),
}


class OfEvent(admin.SimpleListFilter):
    """Pushes of one kind; the kinds that are not ours go together."""

    title = _("event")
    parameter_name = "event"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Offer what we own by name; asking the table which kinds there are would read all of it."""
        return [*EVENTS.items(), ("others", _("others"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the pushes of that kind."""
        value = self.value()
        if value == "others":
            return queryset.exclude(event__in=HANDLERS)
        return queryset.filter(event=value) if value else queryset


@admin.register(CallbackEvent)
class CallbackEventAdmin(LogAdmin):
    """The inbox of pushes."""

    change_form_template = "console/callback_page.html"
    list_display = ("received_at", "mini_program", "kind", "state_label", "attempts", "because")
    list_filter = (OfMiniProgram, OfEvent)
    tab_field = "state"
    moment = "received_at"
    search_fields = ("openid__exact",)
    search_help_text = _("A whole openid.")
    actions = ("process_again",)
    fields = (
        ("mini_program", "kind"),
        ("state_label", "because"),
        ("received_at", "handled_at"),
        ("due_at", "attempts"),
        "content",
    )
    joined = ("mini_program",)
    deferred = SECRETS_OF_MINI_PROGRAM

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find the pushes about the person with exactly this openid."""
        openid = search_term.strip()
        if not openid:
            return queryset, False
        # Naming every mini-program lets the database use the index.
        return queryset.filter(mini_program__in=MiniProgram.objects.values("pk"), openid=openid), False

    @admin.display(description=_("event"))
    def kind(self, row: CallbackEvent) -> str:
        """Return what happened, in words when the kind is ours."""
        return f"{EVENTS[row.event]} · {row.event}" if row.event in EVENTS else row.event or "—"

    @admin.display(description=_("state"))
    def state_label(self, row: CallbackEvent) -> SafeString:
        """Return the state in its colour."""
        return label(TONES[CallbackEvent.State(row.state)], row.get_state_display())

    @admin.display(description=_("why"))
    def because(self, row: CallbackEvent) -> str:
        """Return why it had no effect."""
        return row.trouble or "—"

    @admin.display(description=_("content"))
    def content(self, row: CallbackEvent) -> SafeString:
        """Return the push, its openids masked."""
        text = json.dumps(masked(row.body), ensure_ascii=False, indent=2)
        return format_html('<pre class="desk-raw">{}</pre>', text)

    # --- another try -----------------------------------------------------------------------------------------------

    def has_process_permission(self, request: HttpRequest) -> bool:
        """Whether this colleague may give pushes another try."""
        return request.user.has_perm("callbacks.change_callbackevent")

    @admin.action(description=_("Process again"), permissions=["process"])
    def process_again(self, request: HttpRequest, queryset: QuerySet[CallbackEvent]) -> None:
        """Give the chosen pushes another try, and say how many get one."""
        self._process_again(request, queryset, chosen=queryset.count())

    def get_urls(self) -> list[URLPattern]:
        """Add the button of a push's page."""
        again = self.admin_site.admin_view(self.again_view)
        return [path("<int:push_id>/again/", again, name="callbacks_callbackevent_again"), *super().get_urls()]

    def again_view(self, request: HttpRequest, push_id: int) -> HttpResponse:
        """Give one push another try; only POST does it."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_process_permission(request):
            raise PermissionDenied
        chosen = self.get_queryset(request).filter(pk=push_id)
        if not chosen.exists():
            raise Http404
        self._process_again(request, chosen, chosen=1)
        return HttpResponseRedirect(reverse("admin:callbacks_callbackevent_change", args=[push_id]))

    def _process_again(self, request: HttpRequest, queryset: QuerySet[CallbackEvent], *, chosen: int) -> None:
        user = request.user if request.user.is_authenticated else None
        done = inbox.process_again(queryset, by=user)
        if done:
            sentence = ngettext("%(n)s push gets another try.", "%(n)s pushes get another try.", done)
            messages.success(request, sentence % {"n": f"{done:,}"})
        if done == inbox.AGAIN_AT_ONCE:
            messages.info(request, gettext("That is as many as go at once; do it again for the rest."))
        elif chosen > done:
            sentence = gettext("Left alone: %(n)s. Only what failed, or what nothing fits, can be processed again.")
            messages.warning(request, sentence % {"n": f"{chosen - done:,}"})

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Offer another try where there can be one."""
        push = context.get("original")
        if push and push.state in CallbackEvent.UNDONE and self.has_process_permission(request):
            context["again_url"] = reverse("admin:callbacks_callbackevent_again", args=[push.pk])
        return super().render_change_form(request, context, *args, **kwargs)
