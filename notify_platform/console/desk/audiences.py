"""Audiences: whom a job can be sent to, by a rule or by an uploaded list."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from notify_platform.console.desk import exporting, list_upload
from notify_platform.console.desk.audience_form import AudienceForm, names_in, rule_of, words_of
from notify_platform.console.desk.base import (
    SECRETS_OF_MINI_PROGRAM,
    DeskAdmin,
    DeskList,
    OfMiniProgram,
    PersonLogAdmin,
)
from notify_platform.console.desk.lists import number_of
from notify_platform.core.errors import Refused
from subscriptions.audience import selection
from subscriptions.grants.conditions import unexpired
from subscriptions.models import Audience, AudienceMember, Grant, Subscriber
from templates_app.models import MessageTemplate

NEXT = "next"
_CRITERIA: tuple[tuple[Any, tuple[Any, ...]], ...] = (
    (_("Consent"), ("consent_template", "consent_at_least", "scenes")),
    (_("Activity"), ("active_within_days", "dormant_for_days")),
    (_("Who they are"), ("regions", "cities", "tags", "interests")),
    (_("Earlier jobs"), ("opened_job", "not_opened_job")),
)


class AudienceList(DeskList):
    """Audiences with the names their rules speak of, in the same few statements for all of them."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page, then the names."""
        super().get_results(request)
        self.result_list = list(self.result_list)
        names = names_in(row.rule for row in self.result_list)
        for row in self.result_list:
            row.names = names


@admin.register(Audience)
class AudienceAdmin(DeskAdmin):
    """Whom a job can be sent to."""

    form = AudienceForm
    change_form_template = "console/audience_form.html"
    change_list_template = "console/audience_list.html"
    list_display = ("name", "mini_program", "kind", "rule_words", "created_at")
    list_filter = (OfMiniProgram, "kind")
    joined = ("mini_program",)
    deferred = SECRETS_OF_MINI_PROGRAM

    # --- the form --------------------------------------------------------------------------------------------------

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show a rule as criteria, an uploaded list as what it is."""
        if obj and obj.kind == Audience.Kind.LIST:
            return ((None, {"fields": (("mini_program", "name"), "people", "kind")}),)
        head = (None, {"fields": ("mini_program", "name")})
        if not self.has_change_permission(request, obj) and obj:
            return ((None, {"fields": (("mini_program", "name"), "people", "rule_words")}),)
        return (head, *((title, {"fields": fields}) for title, fields in _CRITERIA))

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
        return "—" if row.kind == Audience.Kind.LIST else words_of(row.rule, names=getattr(row, "names", None))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[AudienceList]:
        """Read what the rules of a page name together."""
        return AudienceList

    def get_urls(self) -> list[URLPattern]:
        """Add the count beside the form, and uploading a list."""
        wrap = self.admin_site.admin_view
        return [
            path("count/", wrap(require_POST(self.count_view)), name="subscriptions_audience_count"),
            path("upload/", wrap(self.upload_view), name="subscriptions_audience_upload"),
            path("upload/template/", wrap(require_GET(self.template_view)), name="subscriptions_audience_template"),
            path("<int:pk>/export/", wrap(require_POST(self.export_view)), name="subscriptions_audience_export"),
            *super().get_urls(),
        ]

    # --- how many --------------------------------------------------------------------------------------------------

    def count_view(self, request: HttpRequest) -> HttpResponse:
        """Count whom the inputs mean now, and for which templates they hold consent; a POST that changes nothing."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        found = self._edited(request)
        form = self.get_form(request, found, change=found is not None)(request.POST, instance=found)
        form.is_valid()
        program = found.mini_program if found else form.cleaned_data.get("mini_program")
        wrong = {name: errors for name, errors in form.errors.items() if name not in {"name", "__all__"}}
        if wrong or program is None:
            return JsonResponse(
                {"sentence": gettext("Mend the inputs above to see how many people it means."), "stock": []}
            )
        meant = Audience(mini_program=program, rule=rule_of(form.cleaned_data))
        return JsonResponse(sizes(selection.people(meant), program_id=program.pk))

    def _edited(self, request: HttpRequest) -> Audience | None:
        return self.get_queryset(request).filter(pk=number_of(request.POST.get("audience"))).first()

    # --- an uploaded list --------------------------------------------------------------------------------------------

    @method_decorator(csrf_exempt)
    def upload_view(self, request: HttpRequest) -> HttpResponseBase:
        """Check a file, or save what is good in it. Its token is checked once the file is known to be small enough."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        # Nothing may ask for what was posted before the size is known.
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Upload a list"),
            "content_title": gettext("Upload a list"),
            "model_admin": self,
            NEXT: _ours(request.GET.get(NEXT)),
        }
        if (refusal := list_upload.refused_by_its_size(request)) is not None:
            form = list_upload.UploadForm(by=request.user)
            page = context | {"form": form, "refusal": refusal}
            return TemplateResponse(request, "console/list_upload.html", page, status=413)
        return list_upload.answer(self, request, context)

    def template_view(self, request: HttpRequest) -> HttpResponse:
        """Hand out an empty list to be filled in."""
        answer = HttpResponse("\ufeffopenid\r\n", content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = 'attachment; filename="openid.csv"'
        return answer

    def export_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Hand out the people an audience means now."""
        audience = self.get_queryset(request).filter(pk=pk).first()
        if not exporting.may_export(request, Audience) or not self.has_view_permission(request, audience):
            raise PermissionDenied
        if audience is None:
            raise Http404
        try:
            return exporting.answer(
                request,
                selection.people(audience),
                kind="subscriptions.audience",
                subject=f"audience {audience.pk}",
                query="",
                zone=audience.mini_program.zone,
            )
        except Refused as refusal:
            messages.error(request, refusal.message)
            return HttpResponseRedirect(reverse("admin:subscriptions_audience_change", args=[audience.pk]))

    # --- back to where somebody came from ----------------------------------------------------------------------------

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Hand on where to go afterwards."""
        row = context.get("original")
        counts = self.has_change_permission(request, row) if row else self.has_add_permission(request)
        if row and exporting.may_export(request, Audience):
            context["export_url"] = reverse("admin:subscriptions_audience_export", args=[row.pk])
        context |= {
            NEXT: self.way_back(request),
            "counts_people": counts and not (row and row.kind == Audience.Kind.LIST),
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def response_add(self, request: HttpRequest, obj: Audience, post_url_continue: Any = None) -> HttpResponse:
        """Go back with the new audience chosen."""
        return self.back(request, obj) or super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Audience) -> HttpResponse:
        """Go back with the audience chosen."""
        return self.back(request, obj) or super().response_change(request, obj)

    def way_back(self, request: HttpRequest) -> str:
        """Return the page of this desk to go to afterwards. Asking reads the whole body."""
        return _ours(request.POST.get(NEXT) or request.GET.get(NEXT))

    def back(self, request: HttpRequest, audience: Audience) -> HttpResponse | None:
        """Return the way back to the page that sent somebody here, naming the audience; None without one."""
        there = self.way_back(request)
        if not there:
            return None
        messages.success(request, gettext("The audience “%(name)s” was saved and chosen.") % {"name": audience.name})
        joint = "&" if "?" in there else "?"
        return HttpResponseRedirect(f"{there}{joint}{urlencode({'audience': audience.pk})}")


def _ours(there: str | None) -> str:
    """Return a page of this desk to go to afterwards; another host's is none."""
    there = there or ""
    is_ours = there.startswith(reverse("admin:index")) and url_has_allowed_host_and_scheme(there, allowed_hosts=None)
    return there if is_ours else ""


def sizes(people: QuerySet[Subscriber], *, program_id: int) -> dict[str, Any]:
    """Return how many people are meant, and how many of them hold consent for each template: two statements."""
    number = people.count()
    held = (
        Grant.objects.filter(
            unexpired(), state=Grant.State.AVAILABLE, template__mini_program=program_id, subscriber__in=people
        )
        .values_list("template_id")
        .annotate(people=Count("subscriber", distinct=True))
        .order_by("-people")[:6]
    )
    counts = dict(held)
    titles = dict(MessageTemplate.objects.filter(pk__in=counts).values_list("pk", "title"))
    sentence = ngettext("It means %(number)s person", "It means %(number)s people", number)
    return {
        "sentence": sentence % {"number": f"{number:,}"},
        "people": number,
        "stock": [{"title": titles[pk], "people": f"{count:,}"} for pk, count in counts.items()],
    }


@admin.register(AudienceMember)
class AudienceMemberAdmin(PersonLogAdmin):
    """The people of uploaded lists."""

    list_display = ("audience", "person")
    fields = ("audience", "person_link")
    joined = ("audience", "subscriber")
