"""The admin class of jobs: the list, and the pages on which one is decided about, started and watched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from notify_platform.console.desk import cards, trail
from notify_platform.console.desk.base import (
    SECRETS_OF_MINI_PROGRAM,
    OfMiniProgram,
    name_of,
)
from notify_platform.console.desk.jobs import deciding, deeds, following, progress, schedules
from notify_platform.console.desk.jobs.deeds import DEEDS, Deed
from notify_platform.console.desk.jobs.following import Following
from notify_platform.console.desk.jobs.labels import state_label
from notify_platform.console.desk.jobs.series import Repeating
from notify_platform.console.desk.jobs.tabs import JobList
from notify_platform.console.desk.jobs.testing import TestPages, Tests
from notify_platform.core.errors import Refused
from notify_platform.delivery import again
from notify_platform.jobs import copies, previews, variants
from notify_platform.jobs.models import SendJob

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.contrib.auth.models import User

State = SendJob.State


@admin.register(SendJob)
class SendJobAdmin(Following, Repeating, TestPages):
    """One broadcast from the first word to the last message."""

    list_display = ("name", "state_word", "template", "audience", "size", "starts_at", "composer", "created_at")
    list_filter = (OfMiniProgram, "state", Tests)
    search_fields = ("name",)
    search_help_text = _("Words of the name.")
    list_before_template = "console/job_tabs.html"
    empty_words = _("Nothing is sent before a job is submitted, approved and started.")
    joined = ("mini_program", "template", "audience", "series", "created_by", "approved_by")
    deferred = SECRETS_OF_MINI_PROGRAM

    # --- the list --------------------------------------------------------------------------------------------------

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[JobList]:
        """Put tabs above the list."""
        return JobList

    @admin.display(description=_("state"), ordering="state")
    def state_word(self, row: SendJob) -> SafeString:
        """Return the state in its colour."""
        return state_label(row)

    @admin.display(description=_("people"))
    def size(self, row: SendJob) -> str:
        """Return the size of the frozen audience."""
        return f"{row.audience_size:,}" if row.started_at else "—"

    @admin.display(description=_("composed by"))
    def composer(self, row: SendJob) -> str:
        """Return the composer's name."""
        return name_of(row.created_by)

    # --- composing -------------------------------------------------------------------------------------------------

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A job is cancelled, never deleted."""
        return False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Open a draft for writing, and every other job for watching.

        A POST goes to the form whatever the state: the form says why it cannot be saved and keeps what was typed.
        """
        job = self.get_object(request, unquote(object_id))
        if job is None:
            return super().change_view(request, object_id, form_url, extra_context)
        may_write = self.has_change_permission(request, job)
        if request.method != "POST" and not (may_write and job.state in SendJob.EDITABLE):
            return self._watch(request, job)
        steps = self._steps(request, template=job.template, job=job)
        context = {**(extra_context or {}), **steps, **self._deciding_context(request, job)}
        return super().change_view(request, object_id, form_url, context)

    def response_add(self, request: HttpRequest, obj: SendJob, post_url_continue: str | None = None) -> HttpResponse:
        """Stay with the job, or go on to submit it."""
        return _onwards(request, obj)

    def response_change(self, request: HttpRequest, obj: SendJob) -> HttpResponse:
        """Stay with the job, or go on to submit it."""
        return _onwards(request, obj)

    # --- watching and deciding -------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        """Add the buttons' pages and the progress."""
        wrap = self.admin_site.admin_view
        return [
            path("<int:job_id>/progress/", wrap(self.progress_view), name="jobs_sendjob_progress"),
            path("<int:job_id>/do/<slug:name>/", wrap(self.deed_view), name="jobs_sendjob_do"),
            path("<int:job_id>/copy/", wrap(self.copy_view), name="jobs_sendjob_copy"),
            *super().get_urls(),
        ]

    def progress_view(self, request: HttpRequest, job_id: int) -> HttpResponse:
        """Return the numbers of a job as JSON: its state, whether it still moves, and the board as HTML."""
        job = self._job(request, job_id)
        context = {"job": job, **_progress_context(request, job, anew=False)}
        board = render_to_string("console/job_progress.html", context)
        return JsonResponse({"state": job.state, "moves": job.state == State.RUNNING, "html": board})

    def copy_view(self, request: HttpRequest, job_id: int) -> HttpResponse:
        """Make a new draft with the same words; only POST does it."""
        job = self._job(request, job_id)
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        new = copies.copy(job, by=_user(request))
        messages.success(request, gettext("This is a copy. Nothing of it is sent before you submit it."))
        return _to_job(new)

    def deed_view(self, request: HttpRequest, job_id: int, name: str) -> HttpResponse:
        """GET asks whether it is meant; only POST does it."""
        job = self._job(request, job_id)
        deed = DEEDS.get(name)
        if deed is None:
            raise Http404
        user = _user(request)
        if not user.has_perm(deed.permission):
            raise PermissionDenied
        if deed.second_person and job.created_by_id == user.pk:
            messages.error(request, gettext("This takes a second person: the job is your own."))
            return _to_job(job)
        if request.method == "POST":
            return self._do(request, job, deed)
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET", "POST"])
        if not deed.is_possible(job):
            messages.warning(request, _not_now(deed, job))
            return _to_job(job)
        return self._ask(request, job, deed)

    def _do(self, request: HttpRequest, job: SendJob, deed: Deed) -> HttpResponse:
        try:
            deed.do(job, by=_user(request), given=request.POST)
        except Refused as refusal:
            if {"reason", "name"} & refusal.fields.keys():
                return self._ask(request, job, deed, error=refusal.message)
            messages.error(request, refusal.message)
        else:
            messages.success(request, str(deed.done))
        return _to_job(job)

    def _ask(self, request: HttpRequest, job: SendJob, deed: Deed, error: str = "") -> HttpResponse:
        context = {
            **self._page(request, title=str(deed.label), job=job),
            "deed": deed,
            "error": error,
            "reach": _reach(job) if deed.shows_reach else None,
            "needs_name": deed.asks_name and deciding.needs_name(job),
        }
        if deed.shows_all:
            context |= {**_facts(job), "decision": deciding.of_job(job), "cards": cards.of_job(job)}
        return TemplateResponse(request, f"console/job_{'decide' if deed.shows_all else 'confirm'}.html", context)

    def _watch(self, request: HttpRequest, job: SendJob) -> HttpResponse:
        if not self.has_view_permission(request, job):
            raise PermissionDenied
        context = {
            **self._page(request, title=job.name, job=job),
            **self._deciding_context(request, job),
            **(_progress_context(request, job, anew=True) if job.started_at else {}),
            "may_follow_up": following.is_offered(job, to=request.user) and bool(again.missed(job)),
            **_facts(job),
            **_decision(job),
            "trail": trail.of_job(job),
        }
        return TemplateResponse(request, "console/job_page.html", context)

    def _deciding_context(self, request: HttpRequest, job: SendJob) -> Mapping[str, Any]:
        return {
            "job": job,
            "state_label": state_label(job),
            "deeds": deeds.offered(job, to=_user(request)),
            "cards": cards.of_job(job),
            "when_repeated": schedules.words(job.series) if job.series else "",
            "may_repeat": job.state in SendJob.EDITABLE
            and job.occurrence is None
            and request.user.has_perm(deeds.CHANGE),
            "may_copy": self.has_add_permission(request),
        }

    def _page(self, request: HttpRequest, *, title: str, job: SendJob | None = None) -> dict[str, Any]:
        return {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "original": job,
            "job": job,
        }

    def _job(self, request: HttpRequest, job_id: int) -> SendJob:
        """Return a job somebody may see. Raises ``Http404`` or ``PermissionDenied``."""
        job = self.get_queryset(request).filter(pk=job_id).first()
        if job is None:
            raise Http404
        if not self.has_view_permission(request, job):
            raise PermissionDenied
        found: SendJob = job
        return found


def _facts(job: SendJob) -> Mapping[str, Any]:
    return {
        "composer": name_of(job.created_by),
        "approver": name_of(job.approved_by),
        "words": _words(job),
        "when_repeated": schedules.words(job.series) if job.series else "",
    }


def _decision(job: SendJob) -> Mapping[str, Any]:
    """Return what the page of a job says of its dry run: before the start, and when it is over."""
    if job.state == State.SUBMITTED:
        return {"decision": deciding.of_job(job)}
    if job.started_at is None:
        return {"decision": {"funnel": deciding.kept(job)}}
    return {"compared": deciding.compared(job)}


def _progress_context(request: HttpRequest, job: SendJob, *, anew: bool) -> Mapping[str, Any]:
    """Return what the progress part of a job's page shows to this colleague."""
    return {"progress": progress.of_job(job, anew=anew), "may_settle": request.user.has_perm(deeds.OPERATE)}


def _words(job: SendJob) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what was written in each variant: its name, and title and text of each keyword, and the page."""
    titles = {row.key: f"{row.label} ({row.key})" for row in job.template.fields.all()}
    return [
        (
            each.name,
            [
                *((titles.get(key, key), text) for key, text in each.texts.items()),
                (gettext("Page"), each.page or "—"),
            ],
        )
        for each in variants.of_job(job)
    ]


def _reach(job: SendJob) -> str:
    try:
        return f"{previews.reach(job):,}"
    except Refused as refusal:
        return refusal.message


def _not_now(deed: Deed, job: SendJob) -> str:
    sentence = gettext("“%(deed)s” is not possible now: the job is %(state)s.")
    return sentence % {"deed": deed.label, "state": job.get_state_display()}


def _onwards(request: HttpRequest, job: SendJob) -> HttpResponse:
    if "_submit" in request.POST:
        return HttpResponseRedirect(reverse("admin:jobs_sendjob_do", args=[job.pk, "submit"]))
    messages.success(request, gettext("The draft was saved."))
    return _to_job(job)


def _to_job(job: SendJob) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:jobs_sendjob_change", args=[job.pk]))


def _user(request: HttpRequest) -> User:
    """Return the person at the desk; ``admin_view`` lets nobody else in."""
    if isinstance(request.user, AnonymousUser):
        raise PermissionDenied
    return request.user
