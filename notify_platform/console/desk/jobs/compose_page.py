"""The page a job is written on, and the questions it asks while somebody writes. All of them are POSTs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, cast
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from notify_platform.console import access
from notify_platform.console.desk import cards
from notify_platform.console.desk.base import SECRETS_OF_MINI_PROGRAM, DeskAdmin, actor_of, subject_of
from notify_platform.console.desk.consent import in_stock
from notify_platform.console.desk.jobs import checking, composing, previewing, timing, word_inputs
from notify_platform.console.desk.jobs.compose_words import page_words
from notify_platform.console.desk.jobs.composing import DraftForm, JobForm, LookForm
from notify_platform.console.desk.lists import number_of
from notify_platform.core.errors import Refused
from notify_platform.core.models import AuditEvent
from notify_platform.jobs import previews
from notify_platform.jobs.models import SendJob, Variant
from subscriptions.models import Audience
from templates_app.models import MessageTemplate

# Saves that come by themselves leave one row in the audit trail for so long.
ONE_SITTING = timedelta(minutes=10)
# The steps that need a template: number, id and name.
LATER = (
    (2, "whom", _("To whom")),
    (3, "when", _("When to send")),
    (4, "check", _("Check")),
    (5, "submit", _("Submit")),
)
PAGES_LOOKED_AT, PAGES_OFFERED = 50, 8


class ComposePage(DeskAdmin):
    """The writing half of the page of jobs."""

    form = JobForm
    change_form_template = "console/job_form.html"

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Name the columns; the form adds the words of its template itself."""
        return super().get_form(request, obj, change, **{**kwargs, "fields": composing.WRITTEN})

    def get_fieldsets(self, request: HttpRequest, obj: SendJob | None = None) -> Any:
        """Name every input once; the page's own template places them."""
        template = obj.template if obj else named_template(request)
        words = word_inputs.rows_of(template) if template else []
        return ((None, {"fields": (*composing.WRITTEN, "start", "seen", "variants", *words, "page")}),)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Begin with the template; everything else is asked for on the same page."""
        template = named_template(request)
        agrees = request.method != "POST" or request.POST.get("template") == request.GET.get("template")
        title = {"title": gettext("New send job")}
        if template is None or not agrees:
            if not self.has_add_permission(request):
                raise PermissionDenied
            context = {**self.admin_site.each_context(request), "opts": self.opts, **title, **self._steps(request)}
            return TemplateResponse(request, "console/job_form.html", context)
        context = {**(extra_context or {}), **self._steps(request, template=template), **title}
        return super().add_view(request, form_url, context)

    def save_model(self, request: HttpRequest, obj: SendJob, form: Any, change: bool) -> None:
        """Write what the form has checked: only its own columns, and the words."""
        if not change:
            obj.created_by = _composer(request)
        form.write(obj)

    def get_urls(self) -> list[URLPattern]:
        """Add what the page asks while somebody writes."""
        wrap = self.admin_site.admin_view
        questions = {"look": self.look_view, "people": self.people_view, "check": self.check_view}
        questions["save"] = self.save_view
        return [
            *(path(f"compose/{name}/", wrap(view), name=f"jobs_sendjob_{name}") for name, view in questions.items()),
            *super().get_urls(),
        ]

    # --- questions -------------------------------------------------------------------------------------------------

    def look_view(self, request: HttpRequest) -> HttpResponse:
        """Return the cards of five real people, what is wrong at which input, and when it would be sent."""
        return self._answer(request, LookForm, self._look)

    def people_view(self, request: HttpRequest) -> HttpResponse:
        """Return how many people the chosen audience has, how many could be reached, and the stock of consent."""
        return self._answer(request, LookForm, self._people)

    def check_view(self, request: HttpRequest) -> HttpResponse:
        """Return what would happen if the job were sent as it stands; nothing of it is kept."""
        return self._answer(request, checking.CheckForm, self._check)

    def save_view(self, request: HttpRequest) -> HttpResponse:
        """Save the draft: ``auto`` and ``draft`` take what is there, ``submit`` only what could be sent."""
        return self._answer(request, JobForm if request.POST.get("how") == "submit" else DraftForm, self._save)

    def _answer(
        self, request: HttpRequest, form_class: type[JobForm], answer: Callable[[HttpRequest, Any], HttpResponse]
    ) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        with transaction.atomic():
            form = form_class(request.POST, instance=self._written_on(request))
            if form.chosen is None or not may_use(request, form.chosen):
                raise Http404
            return answer(request, form)

    def _written_on(self, request: HttpRequest) -> SendJob:
        """Return the job the page was opened with, or a new one. Raises ``Http404`` or ``PermissionDenied``."""
        if not request.POST.get("job"):
            if not self.has_add_permission(request):
                raise PermissionDenied
            return SendJob()
        job = self.get_queryset(request).filter(pk=number_of(request.POST["job"])).first()
        if job is None:
            raise Http404
        if not self.has_change_permission(request, job):
            raise PermissionDenied
        found: SendJob = job
        return found

    def _look(self, request: HttpRequest, form: LookForm) -> HttpResponse:
        form.is_valid()
        template = _chosen(form)
        sample = previewing.sample(form, template=template, shown=request.POST.get("shown", ""))
        job = form.instance
        job.template = template
        found = previewing.findings(form, drawn=sample)
        told = timing.sentences(
            job, start=form.cleaned_data.get("start") or "", reach=number_of(request.POST.get("reach"))
        )
        return JsonResponse(
            {
                "findings": {name: [each.level, each.text] for name, each in found.items()},
                "cards": render_to_string("console/compose_cards.html", {"sample": sample}),
                "values": previews.person_values(sample.people[0]) if sample.people else {},
                "whose": cards.whose(sample.people[0]) if sample.people else "",
                "when": told,
            }
        )

    def _people(self, request: HttpRequest, form: LookForm) -> HttpResponse:
        form.is_valid()
        facts = checking.facts_of(form.cleaned_data.get("audience"), template=_chosen(form))
        html = render_to_string(
            "console/compose_people.html", {"facts": facts, "shown": facts.shown if facts else {}}, request
        )
        return JsonResponse({"html": html, "reach": facts.reach if facts else None})

    def _check(self, request: HttpRequest, form: checking.CheckForm) -> HttpResponse:
        mends = [] if form.is_valid() else checking.mends(form)
        outcome = None
        try:
            outcome = None if mends else checking.outcome(form)
        except Refused as refusal:
            mends = [checking.Mend("id_audience", gettext("Audience"), refusal.message)]
        context = {"mends": mends, "outcome": outcome, "funnel": outcome.funnel if outcome else None}
        html = render_to_string("console/compose_check.html", context, request)
        return JsonResponse({"html": html, "mends": len(mends)})

    def _save(self, request: HttpRequest, form: JobForm) -> HttpResponse:
        is_new = form.instance.pk is None
        if not form.is_valid():
            return JsonResponse(_refusal(form))
        told = self.construct_change_message(request, cast("Any", form), [], is_new)
        job = form.instance
        self.save_model(request, job, form, not is_new)
        if is_new:
            self.log_addition(request, job, told)
        elif request.POST.get("how") != "auto" or not _is_noted(request, job):
            self.log_change(request, job, told)
        stored = SendJob.objects.get(pk=job.pk)
        return JsonResponse(
            {
                "saved": True,
                "job": job.pk,
                "name": stored.name,
                "seen": composing.fingerprint(stored),
                "at": timezone.localtime().strftime("%H:%M"),
                "page": reverse("admin:jobs_sendjob_change", args=[job.pk]),
                "submit": reverse("admin:jobs_sendjob_do", args=[job.pk, "submit"]),
                "repeat": reverse("admin:jobs_sendjob_repeat", args=[job.pk]),
                "test": reverse("admin:jobs_sendjob_test", args=[job.pk]),
            }
        )

    # --- the page --------------------------------------------------------------------------------------------------

    def _steps(
        self, request: HttpRequest, *, template: MessageTemplate | None = None, job: SendJob | None = None
    ) -> Mapping[str, Any]:
        """Return what the page shows besides its inputs."""
        context: dict[str, Any] = {
            "template": template,
            "choices": [] if job else self._choices(request),
            "words": page_words(),
            "later": LATER,
        }
        if template:
            context |= {
                "card": cards.of_job(job)[0] if job else cards.of_template(template),
                "sample_values": cards.sample_values(template.mini_program_id),
                "placeholders": word_inputs.placeholders(),
                "pages": _pages_of(template),
                "pace": template.mini_program.pace_per_second,
                "threshold": template.mini_program.approval_threshold,
                "new_audience": _new_audience_url(request, template),
                "audience_count": Audience.objects.filter(mini_program=template.mini_program_id).count(),
            }
        return context

    def _choices(self, request: HttpRequest) -> list[tuple[MessageTemplate, cards.Card, str]]:
        """Return every template messages can be made of, with its card and the consent in stock."""
        useful = MessageTemplate.objects.filter(
            state=MessageTemplate.State.LIVE, kind__in=MessageTemplate.SENDABLE_KINDS
        )
        rows = (
            access.limit(useful, to=request.user)
            .select_related("mini_program")
            .defer(*SECRETS_OF_MINI_PROGRAM)
            .prefetch_related("fields")
        )
        stock = dict(in_stock().values_list("template").annotate(units=Count("pk")))
        return [
            (row, cards.of_template(row), f"{stock.get(row.pk, 0):,}" if row.is_counted else "")
            for row in rows.defer(*SECRETS_OF_MINI_PROGRAM).order_by("mini_program__name", "title")
        ]


def named_template(request: HttpRequest) -> MessageTemplate | None:
    """Return the template the address names, if messages can be made of it."""
    template = composing.chosen_template(request.GET.get("template"))
    return template if template and may_use(request, template) else None


def may_use(request: HttpRequest, template: MessageTemplate) -> bool:
    """Whether this colleague works with the template's mini-program."""
    return access.may_see(template, by=request.user)


def _chosen(form: JobForm) -> MessageTemplate:
    if form.chosen is None:
        raise Http404
    return form.chosen


def _composer(request: HttpRequest) -> Any:
    user = actor_of(request)
    if user is None:
        raise PermissionDenied
    return user


def _refusal(form: JobForm) -> dict[str, Any]:
    """Return the sentences by input, and, when somebody else was faster, what stands there now."""
    overtaken = form.has_error("__all__", "overtaken")
    stored = SendJob.objects.get(pk=form.instance.pk) if overtaken else None
    return {
        "saved": False,
        "errors": form.errors,
        "overtaken": overtaken,
        "seen": composing.fingerprint(stored) if stored else "",
    }


def _is_noted(request: HttpRequest, job: SendJob) -> bool:
    """Whether the last row of the trail already says that this colleague is writing."""
    last = AuditEvent.objects.filter(subject=subject_of(job)).order_by("-at", "-pk").first()
    by = actor_of(request)
    return (
        last is not None
        and last.action in {"add", "change", "copy"}
        and last.actor_id == (by.pk if by else None)
        and last.at > timezone.now() - ONE_SITTING
    )


def _pages_of(template: MessageTemplate) -> list[str]:
    """Return the pages that the latest cards of the mini-program opened."""
    latest = Variant.objects.filter(job__mini_program=template.mini_program_id).exclude(page="").order_by("-pk")
    return list(dict.fromkeys(latest.values_list("page", flat=True)[:PAGES_LOOKED_AT]))[:PAGES_OFFERED]


def _new_audience_url(request: HttpRequest, template: MessageTemplate) -> str:
    """Return where an audience is made, with the way back to this page."""
    if not request.user.has_perm("subscriptions.add_audience"):
        return ""
    kept = {name: value for name, value in request.GET.items() if name == "template"}
    back = f"{request.path}?{urlencode(kept)}" if kept else request.path
    query = urlencode({"mini_program": template.mini_program_id, "next": back})
    return f"{reverse('admin:subscriptions_audience_add')}?{query}"
