"""Series: what they send, when they come next, what they have sent; and the page that makes a draft one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from notify_platform.console.desk.base import SECRETS_OF_MINI_PROGRAM, WRITE_A_JOB, LogAdmin, OfMiniProgram, label
from notify_platform.console.desk.jobs import schedules
from notify_platform.console.desk.jobs.deeds import CHANGE, OPERATE
from notify_platform.console.desk.jobs.labels import state_label
from notify_platform.console.desk.jobs.schedules import ScheduleForm
from notify_platform.core.errors import Refused
from notify_platform.jobs import series
from notify_platform.jobs.models import SendJob, Series

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
    from django.utils.functional import _StrPromise

    _JobAdmin = ModelAdmin[SendJob]
else:
    _JobAdmin = object

State = SendJob.State
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing a person does with a series: what it asks first, what it says afterwards, and the verb behind it."""

    name: str
    label: _StrPromise
    question: _StrPromise
    done: _StrPromise
    verb: Callable[..., None]
    tone: str = "plain"


_DEEDS = (
    Deed(
        "pause",
        _("Pause"),
        _("Pause this series? One that is made and has not started is cancelled."),
        _("The series was paused."),
        series.pause,
    ),
    Deed(
        "resume",
        _("Resume"),
        _("Go on with this series? It comes again on its next day."),
        _("The series goes on."),
        series.resume,
        tone="main",
    ),
    Deed(
        "end",
        _("End the series"),
        _("End this series for good? What has been sent stays in the log."),
        _("The series has ended."),
        series.end,
        tone="bad",
    ),
)
DEEDS: Mapping[str, Deed] = {deed.name: deed for deed in _DEEDS}


def standing(row: Series, pattern: SendJob | None) -> tuple[str, str]:
    """Return the colour and the word of a series."""
    if pattern is None or pattern.state == State.CANCELLED:
        return "idle", gettext("ended")
    if not row.is_active:
        return "warn", gettext("paused")
    if pattern.state == State.DRAFT:
        return "idle", gettext("draft")
    if pattern.state == State.SUBMITTED:
        return "warn", gettext("waiting for approval")
    return ("good", gettext("active")) if row.next_at else ("idle", gettext("ended"))


def offered(row: Series, pattern: SendJob | None, *, to: Any) -> list[Deed]:
    """Return the buttons this person sees."""
    if pattern is None or pattern.state == State.CANCELLED or not to.has_perm(OPERATE):
        return []
    names = ("pause", "end") if row.is_active else ("resume", "end")
    return [DEEDS[name] for name in names]


@admin.register(Series)
class SeriesAdmin(LogAdmin):
    """Broadcasts that come again."""

    has_names = True
    list_display = ("name", "mini_program", "when", "next_at", "state_word")
    list_filter = (OfMiniProgram, "is_active")
    empty_words = _("A series begins with a job: choose “Repeat every week …” where it says when to send.")
    empty_way = WRITE_A_JOB
    joined = ("mini_program",)
    deferred = SECRETS_OF_MINI_PROGRAM

    def get_queryset(self, request: HttpRequest) -> QuerySet[Series]:
        """Return the series with the jobs that say what they send."""
        patterns = SendJob.objects.filter(occurrence__isnull=True).only("state", "series")
        rows: QuerySet[Series] = super().get_queryset(request)
        return rows.prefetch_related(Prefetch("jobs", queryset=patterns, to_attr="patterns"))

    @admin.display(description=_("state"))
    def state_word(self, row: Any) -> SafeString:
        """Return the state in its colour."""
        return _label(row, next(iter(row.patterns), None))

    @admin.display(description=_("when"))
    def when(self, row: Series) -> str:
        """Return the schedule in words."""
        return schedules.words(row)

    def get_urls(self) -> list[URLPattern]:
        """Add the buttons' pages."""
        view = self.admin_site.admin_view(self.deed_view)
        return [path("<int:series_id>/do/<slug:name>/", view, name="jobs_series_do"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show the schedule, what comes and what has been."""
        row = self.get_object(request, unquote(object_id))
        if row is None or request.method == "POST":
            return super().change_view(request, object_id, form_url, extra_context)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        pattern = series.pattern_of(row)
        made = SendJob.objects.filter(series=row, occurrence__isnull=False).order_by("-occurrence")
        context = {
            **self._page(request, row, title=row.name),
            "pattern": pattern,
            "state_label": _label(row, pattern),
            "deeds": offered(row, pattern, to=request.user),
            "when": schedules.words(row),
            "next_ones": schedules.next_ones(row) if row.is_active and pattern else [],
            "made": [(job, state_label(job)) for job in made[:SHOWN]],
        }
        return TemplateResponse(request, "console/series_page.html", context)

    def deed_view(self, request: HttpRequest, series_id: int, name: str) -> HttpResponse:
        """GET asks whether it is meant; only POST does it."""
        row = self.get_queryset(request).filter(pk=series_id).first()
        deed = DEEDS.get(name)
        if row is None or deed is None:
            raise Http404
        if not request.user.has_perm(OPERATE):
            raise PermissionDenied
        if request.method == "GET":
            context = {**self._page(request, row, title=str(deed.label)), "deed": deed}
            return TemplateResponse(request, "console/series_confirm.html", context)
        if request.method != "POST":
            return HttpResponseNotAllowed(["GET", "POST"])
        try:
            deed.verb(row, by=request.user)
        except Refused as refusal:
            messages.error(request, refusal.message)
        else:
            messages.success(request, str(deed.done))
        return HttpResponseRedirect(reverse("admin:jobs_series_change", args=[row.pk]))

    def _page(self, request: HttpRequest, row: Series, *, title: str) -> dict[str, Any]:
        each = self.admin_site.each_context(request)
        return {**each, "title": title, "opts": self.opts, "original": row, "series": row}


def _label(row: Series, pattern: SendJob | None) -> SafeString:
    return label(*standing(row, pattern))


class Repeating(_JobAdmin):
    """Adds to the jobs' admin the page that repeats a draft."""

    def get_urls(self) -> list[URLPattern]:
        """Add the page's address."""
        view = self.admin_site.admin_view(self.repeat_view)
        return [path("<int:job_id>/repeat/", view, name="jobs_sendjob_repeat"), *super().get_urls()]

    def repeat_view(self, request: HttpRequest, job_id: int) -> HttpResponse:
        """GET asks when; only POST makes, changes or ends the schedule of a draft."""
        job: SendJob = self._job(request, job_id)  # type: ignore[attr-defined]
        if not request.user.has_perm(CHANGE):
            raise PermissionDenied
        if request.method not in {"GET", "POST"}:
            return HttpResponseNotAllowed(["GET", "POST"])
        form = ScheduleForm(request.POST if request.method == "POST" else None, job=job)
        if request.method == "POST" and self._repeat(request, job, form):
            return HttpResponseRedirect(reverse("admin:jobs_sendjob_change", args=[job.pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Repeat every week"),
            "opts": self.opts,
            "original": job,
            "job": job,
            "form": form,
        }
        return TemplateResponse(request, "console/series_form.html", context)

    def _repeat(self, request: HttpRequest, job: SendJob, form: ScheduleForm) -> bool:
        """Do what the form says; False: it says why it cannot be done."""
        try:
            if "_once" in request.POST:
                series.unschedule(job, by=request.user)  # type: ignore[arg-type]
                messages.success(request, gettext("The job is sent once."))
                return True
            if not form.is_valid():
                return False
            series.schedule(job, by=request.user, **form.cleaned_data)  # type: ignore[arg-type]
        except Refused as refusal:
            known = {name: sentence for name, sentence in refusal.fields.items() if name in form.fields}
            form.is_valid()
            for name, sentence in known.items():
                form.add_error(name, sentence)
            if not known:
                form.add_error(None, refusal.message)
            return False
        messages.success(request, gettext("The schedule was saved. It counts from approval on."))
        return True
