"""The page that makes a new job for those who surely did not get the card of an old one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _

from notify_platform.console.desk.jobs.reasons import NEXT_STEPS
from notify_platform.core.errors import Refused
from notify_platform.delivery import again
from notify_platform.delivery.again import CANCELLED, CODE, NO_CODE, REASON, Missed
from notify_platform.delivery.models import Reason
from notify_platform.jobs.models import SendJob
from notify_platform.wechat import outcomes

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    _Admin = ModelAdmin[SendJob]
else:
    _Admin = object

WRITE = "jobs.add_sendjob"


@dataclass(frozen=True, slots=True)
class Group:
    """One box to tick: so many people, why they got nothing, what helps."""

    key: str
    count: str
    label: str
    next_step: str
    is_ticked: bool


class Following(_Admin):
    """Adds the page to the jobs' admin."""

    def get_urls(self) -> list[URLPattern]:
        """Add the page's address."""
        view = self.admin_site.admin_view(self.follow_up_view)
        return [path("<int:job_id>/follow-up/", view, name="jobs_sendjob_follow_up"), *super().get_urls()]

    def follow_up_view(self, request: HttpRequest, job_id: int) -> HttpResponse:
        """GET asks whom; only POST makes the draft."""
        job: SendJob = self._job(request, job_id)  # type: ignore[attr-defined]
        if not request.user.has_perm(WRITE):
            raise PermissionDenied
        if request.method not in {"GET", "POST"}:
            return HttpResponseNotAllowed(["GET", "POST"])
        error = ""
        if request.method == "POST":
            try:
                draft = again.follow_up(job, keys=request.POST.getlist("keys"), by=request.user)  # type: ignore[arg-type]
            except Refused as refusal:
                error = refusal.message
            else:
                messages.success(request, _("A draft was made. Look it through and submit it."))
                return HttpResponseRedirect(reverse("admin:jobs_sendjob_change", args=[draft.pk]))
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": _("New job to those who did not get it"),
            "opts": self.opts,
            "original": job,
            "job": job,
            "groups": _groups(job, ticked=request.POST.getlist("keys") if error else None),
            "error": error,
        }
        return TemplateResponse(request, "console/job_follow_up.html", context)


def is_offered(job: SendJob, *, to: Any) -> bool:
    """Whether somebody may make a new job of this one: it has begun, and its audience is known."""
    return job.fanned_out_at is not None and bool(to.has_perm(WRITE))


def _groups(job: SendJob, *, ticked: list[str] | None) -> list[Group]:
    return [
        Group(
            one.key,
            f"{one.people:,}",
            *_words(one),
            is_ticked=one.may_improve if ticked is None else one.key in ticked,
        )
        for one in again.missed(job)
    ]


def _words(one: Missed) -> tuple[str, str]:
    if one.key == CANCELLED:
        return _("cancelled"), _("They had not been sent to when the job was cancelled.")
    if one.key == NO_CODE:
        return _("A person settled it as not sent."), ""
    if one.key.startswith(REASON):
        reason = one.key.removeprefix(REASON)
        return str(Reason(reason).label), str(NEXT_STEPS[reason])
    code = int(one.key.removeprefix(CODE))
    meaning, next_step = outcomes.describe(code)
    return f"{code} {meaning}", next_step
