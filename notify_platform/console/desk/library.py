"""Templates and WeChat: fetch the list, take a template out of the public library, delete one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext

from notify_platform.console import access
from notify_platform.console.desk import programs
from notify_platform.console.desk.base import DeskAdmin, actor_of
from notify_platform.console.desk.consent import in_stock
from notify_platform.core.errors import Refused
from notify_platform.mirror import library
from notify_platform.mirror.library import Fetched
from notify_platform.wechat.gateway import TITLES_AT_ONCE
from templates_app import fields as rules
from templates_app.models import MessageTemplate, MiniProgram

ADD, DELETE = "templates_app.add_messagetemplate", "templates_app.delete_messagetemplate"
# WeChat's docs: how a public template says what its consent is.
KINDS = {"2": MessageTemplate.Kind.ONE_TIME.label, "3": MessageTemplate.Kind.LONG_TERM.label}


class LibraryPages(DeskAdmin):
    """The pages that talk to WeChat. GET looks and asks; only POST fetches, adds and deletes."""

    change_list_template = "console/template_list.html"

    def get_urls(self) -> list[URLPattern]:
        """Add the pages."""
        wrap = self.admin_site.admin_view
        return [
            path("fetch/", wrap(self.fetch_view), name="templates_app_messagetemplate_fetch"),
            path("library/", wrap(self.library_view), name="templates_app_messagetemplate_library"),
            path("<int:pk>/remove/", wrap(self.remove_view), name="templates_app_messagetemplate_remove"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Offer to fetch and to add to those who may."""
        may = request.user.has_perm(ADD)
        tools = {
            "fetch_programs": programs.choose(request).all if may else [],
            "may_add_templates": may,
            "state_tabs": _state_tabs(self.get_queryset(request), chosen=request.GET.get("state__exact", "")),
        }
        return super().changelist_view(request, {**(extra_context or {}), **tools})

    # --- fetching --------------------------------------------------------------------------------------------------

    def fetch_view(self, request: HttpRequest) -> HttpResponse:
        """Make the templates of a mini-program what WeChat lists."""
        _require(request, ADD)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        program = _program(request, request.POST.get("mini_program", ""))
        try:
            _tell(request, program, library.fetch(program, by=actor_of(request)))
        except Refused as refusal:
            messages.error(request, refusal.message)
        return HttpResponseRedirect(reverse("admin:templates_app_messagetemplate_changelist"))

    # --- the library -----------------------------------------------------------------------------------------------

    def library_view(self, request: HttpRequest) -> HttpResponse:
        """Show categories, their titles, and the keywords of one; POST takes it into the account."""
        _require(request, ADD)
        if request.method == "POST":
            # What the form says and nothing else: a guess would put the template into another account.
            return self._add(request, _program(request, request.POST.get("mini_program", "")))
        choice = programs.choose(request)
        if choice.chosen is None:
            raise Http404
        return self._library(request, MiniProgram.objects.get(pk=choice.chosen.pk))

    def _add(self, request: HttpRequest, program: MiniProgram) -> HttpResponse:
        tid, scene = _number(request.POST.get("tid", "")), request.POST.get("scene", "")
        try:
            template = library.add(program, tid=tid, kids=_in_order(request), scene=scene, by=actor_of(request))
        except Refused as refusal:
            return self._library(request, program, error=refusal.message)
        messages.success(request, gettext("“%(title)s” is in the account now.") % {"title": template.title})
        return HttpResponseRedirect(reverse("admin:templates_app_messagetemplate_change", args=[template.pk]))

    def _library(self, request: HttpRequest, program: MiniProgram, *, error: str = "") -> HttpResponse:
        given = request.GET if request.method == "GET" else request.POST
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": gettext("Add a template"),
            "opts": self.opts,
            "program": program,
            "programs": programs.choose(request).all,
            "error": error,
            "scene": given.get("scene", ""),
        }
        try:
            context |= _shelves(program, category=given.get("category", ""), start=given.get("start", ""))
            if tid := _number(given.get("tid", "")):
                context |= _keywords(program, tid=tid, chosen=given, context=context)
        except Refused as refusal:
            context["error"] = error or refusal.message
        return TemplateResponse(request, "console/library.html", context)

    # --- deleting --------------------------------------------------------------------------------------------------

    def remove_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """GET says what would stand still without the template; only POST deletes it at WeChat."""
        _require(request, DELETE)
        template: MessageTemplate | None = self.get_queryset(request).filter(pk=pk).first()
        if template is None:
            raise Http404
        if request.method == "POST":
            return self._remove(request, template)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Delete a template"),
            "opts": self.opts,
            "original": template,
            "template_row": template,
            "users": library.users_of(template),
            "stock": f"{in_stock().filter(template=template).count():,}" if template.is_counted else "",
        }
        return TemplateResponse(request, "console/template_remove.html", context)

    def _remove(self, request: HttpRequest, template: MessageTemplate) -> HttpResponse:
        try:
            library.delete(template, by=actor_of(request))
        except Refused as refusal:
            messages.error(request, refusal.message)
        else:
            messages.success(request, gettext("“%(title)s” was deleted at WeChat.") % {"title": template.title})
        return HttpResponseRedirect(reverse("admin:templates_app_messagetemplate_change", args=[template.pk]))


def _state_tabs(rows: QuerySet[MessageTemplate], *, chosen: str) -> list[tuple[str, str, int, bool]]:
    """Return address, name and number of each state's templates; an account has some dozens at most."""
    numbers = dict(rows.order_by().values_list("state").annotate(number=Count("pk")))
    tabs = [("?", gettext("All"), sum(numbers.values()), not chosen)]
    for state in MessageTemplate.State:
        if number := numbers.get(state, 0):
            tabs.append((f"?state__exact={state}", str(state.label), number, chosen == state))
    return tabs


def _require(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(permission):
        raise PermissionDenied


def _program(request: HttpRequest, number: str) -> MiniProgram:
    program = access.limit(MiniProgram.objects.filter(pk=_number(number)), to=request.user).first()
    if program is None:
        raise Http404
    return program


def _tell(request: HttpRequest, program: MiniProgram, fetched: Fetched) -> None:
    """Say what is new, changed and gone, by name."""
    parts = (
        (gettext("New: %(titles)s."), fetched.added),
        (gettext("Changed: %(titles)s."), fetched.changed),
        (gettext("Back again: %(titles)s."), fetched.back),
        (gettext("Gone at WeChat: %(titles)s."), fetched.gone),
    )
    said = [sentence % {"titles": "、".join(titles)} for sentence, titles in parts if titles]
    words = " ".join(said) or gettext("Nothing has changed.")
    messages.success(request, f"{program.name}: {words}")
    for each in fetched.unread:
        messages.warning(request, gettext("Left alone: %(row)s") % {"row": each})


def _shelves(program: MiniProgram, *, category: str, start: str) -> dict[str, Any]:
    """Return the categories and a page of the chosen one's titles."""
    found = library.categories(program)
    chosen = next((each for each in found if str(each.id) == category), found[0] if found else None)
    shelves: dict[str, Any] = {"categories": found, "category": chosen}
    if chosen:
        first = _number(start)
        page = library.titles(program, category=chosen.id, start=first)
        more = {"mini_program": program.pk, "category": chosen.id}
        after = first + TITLES_AT_ONCE
        shelves |= {
            "titles": [(each, KINDS.get(each.type, "")) for each in page.titles],
            "earlier": f"?{urlencode({**more, 'start': max(first - TITLES_AT_ONCE, 0)})}" if first else "",
            "later": f"?{urlencode({**more, 'start': after})}" if after < page.count else "",
            "start": first,
        }
    return shelves


def _keywords(program: MiniProgram, *, tid: int, chosen: Any, context: dict[str, Any]) -> dict[str, Any]:
    title = next((each for each, _kind in context.get("titles", ()) if each.tid == tid), None)
    if title is not None and title.is_service_card:
        raise Refused(gettext("A service card is never sent as a subscription message."))
    rows = [
        (keyword, rules.field_type(keyword.rule).label, chosen.get(f"place_{keyword.kid}", ""))
        for keyword in library.keywords(program, tid=tid)
    ]
    return {"tid": tid, "chosen_title": title, "keywords": rows, "places": range(1, library.MOST_KEYWORDS + 1)}


def _in_order(request: HttpRequest) -> Sequence[int]:
    """Return the chosen keywords in the order of their places on the card."""
    places = [
        (_number(str(place)), _number(name.removeprefix("place_")))
        for name, place in request.POST.items()
        if name.startswith("place_") and place
    ]
    return [kid for _place, kid in sorted(places)]


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
