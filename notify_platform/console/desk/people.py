"""People and their visits."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from notify_platform.console.desk import person
from notify_platform.console.desk.base import (
    SECRETS_OF_MINI_PROGRAM,
    OfMiniProgram,
    PersonLogAdmin,
    called,
    ids_of,
    label,
)
from notify_platform.console.desk.privacy import PrivacyPages, link_to_privacy, may_see_privacy
from notify_platform.console.desk.prompting import asked_now
from subscriptions.models import Scene, Subscriber, Visit


@admin.register(Subscriber)
class SubscriberAdmin(PrivacyPages):
    """One person of one mini-program: who it is, what may reach them, and what they hold."""

    has_names = True
    list_display = ("person", "mini_program", "region", "city", "reachability", "last_visit_at", "created_at")
    list_filter = (OfMiniProgram,)
    search_fields = ("openid__exact", "nickname__startswith")
    search_help_text = _("A whole openid, or how a nickname begins.")
    empty_words = _("People appear here when they sign in to the mini-program, or when a back end reports them.")
    joined = ("mini_program",)
    deferred = SECRETS_OF_MINI_PROGRAM

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show the whole openid to those who may change a subscriber, its two ends to the others."""
        may_see = request.user.has_perm("subscriptions.change_subscriber")
        openid = "openid" if may_see else "masked_openid"
        more = ("privacy",) if may_see_privacy(request) else ()
        return (
            (None, {"fields": (("nickname", "mini_program"), openid, "reachability", "stock", "links", *more)}),
            (
                _("Wishes"),
                {"fields": (("quiet_from", "quiet_until"), ("paused_until", "main_switch_off_at"), "interest_words")},
            ),
            (
                _("About this person"),
                {"fields": (("region", "city"), ("time_zone", "last_visit_at"), "tag_words", "created_at")},
            ),
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find the person with exactly this openid, and those whose nickname begins like this."""
        if not (term := search_term.strip()):
            return queryset, False
        return queryset.filter(Q(pk__in=ids_of(term)) | Q(nickname__startswith=term)), False

    @admin.display(description=_("person"))
    def person(self, row: Subscriber) -> str:
        """Return nickname and masked openid."""
        return called(row)

    @admin.display(description=_("openid"))
    def masked_openid(self, row: Subscriber) -> str:
        """Return the two ends of the openid."""
        return row.masked_openid

    @admin.display(description=_("can be reached"))
    def reachability(self, row: Subscriber) -> SafeString:
        """Return whether a card could reach this person at all."""
        if row.forgotten_at:
            return label("idle", gettext("forgotten"))
        if row.invalid_at:
            return label("bad", gettext("unknown to WeChat"))
        if row.main_switch_off_at:
            return label("warn", gettext("turned all messages off"))
        return label("good", gettext("yes"))

    @admin.display(description=_("consent in stock"))
    def stock(self, row: Subscriber) -> SafeString:
        """Return the balance of each template."""
        held = person.balance_of(row)
        return format_html_join(" ", '<span class="desk-label desk-good">{} × {}</span>', held) or SafeString("—")

    @admin.display(description=_("more"))
    def links(self, row: Subscriber) -> SafeString:
        """Return links to what happened with this person."""
        pages = (
            ("admin:delivery_delivery_changelist", gettext("Delivery log")),
            ("admin:subscriptions_grant_changelist", gettext("Grants")),
            ("admin:subscriptions_answer_changelist", gettext("Answers")),
        )
        links = [(f"{reverse(page)}?subscriber__exact={row.pk}", text) for page, text in pages]
        links.append((reverse("admin:subscriptions_subscriber_prompt", args=[row.pk]), gettext("What to ask now")))
        return format_html_join(" · ", '<a class="desk-link" href="{}">{}</a>', links)

    # --- everything that happened ----------------------------------------------------------------------------------

    change_form_after_template = "console/person.html"

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Add the newest of everything below the record."""
        if one := context.get("original"):
            pages = person.sections_for(request, Subscriber.objects.get(pk=one.pk))
            nothing = "、".join(str(page.section.title) for page in pages if not page.rows)
            context = {**context, "pages": pages, "empty_sections": nothing}
        return super().render_change_form(request, context, *args, **kwargs)

    def history_of_view(self, request: HttpRequest, pk: int, name: str) -> HttpResponse:
        """Show the older ones of one kind of thing, by key."""
        one = self.get_queryset(request).filter(pk=pk).first()
        section = next((each for each in person.SECTIONS if each.name == name), None)
        if one is None or section is None:
            raise Http404
        if not self.has_view_permission(request, one) or not request.user.has_perm(section.permission):
            raise PermissionDenied
        after = request.GET.get("after", "")
        context = {
            **self.admin_site.each_context(request),
            "title": f"{called(one)} · {section.title}",
            "opts": self.opts,
            "original": one,
            "page": person.page_of(section, one, after=int(after) if _is_key(after) else None, size=person.AT_ONCE),
        }
        return TemplateResponse(request, "console/person_history.html", context)

    # --- what to ask now -------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        """Add the page that tells what the person would be asked now, and those of what happened longer ago."""
        wrap = self.admin_site.admin_view
        older = "<int:pk>/happened/<slug:name>/"
        return [
            path("<int:pk>/prompt/", wrap(self.prompt_view), name="subscriptions_subscriber_prompt"),
            path(older, wrap(self.history_of_view), name="subscriptions_subscriber_history_of"),
            *super().get_urls(),
        ]

    def prompt_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Plan a prompt for the person in a scene, and show every reason; a plan writes nothing."""
        person = self.get_queryset(request).filter(pk=pk).first()
        may_see = self.has_view_permission(request, person) and request.user.has_perm("subscriptions.view_scene")
        if not may_see:
            raise PermissionDenied
        if person is None:
            raise Http404
        scenes = Scene.objects.filter(mini_program=person.mini_program_id).order_by("name", "pk")
        scene = scenes.filter(code=request.GET.get("scene", "")).first() or scenes.first()
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("What would this person be asked now?"),
            "opts": self.opts,
            "original": person,
            "person": called(person),
            "scenes": scenes,
            "scene": scene,
            "asking": asked_now(person, scene=scene) if scene else None,
        }
        return TemplateResponse(request, "console/prompt.html", context)

    @admin.display(description=_("personal data"))
    def privacy(self, row: Subscriber) -> SafeString:
        """Return the button to the person's own data."""
        return link_to_privacy(row)

    @admin.display(description=_("tags"))
    def tag_words(self, row: Subscriber) -> str:
        """Return the tags in a line."""
        return "、".join(map(str, row.tags)) or "—"

    @admin.display(description=_("interests"))
    def interest_words(self, row: Subscriber) -> str:
        """Return the interests in a line."""
        return "、".join(map(str, row.interests)) or "—"


def _is_key(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19


@admin.register(Visit)
class VisitAdmin(PersonLogAdmin):
    """When people opened the mini-program."""

    moment = "at"
    list_display = ("at", "person", "page")
    fields = ("person_link", "page", "at")
