"""Trying a draft out: the testers with what they hold, the button, and what became of the last tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from notify_platform.console.desk.base import called, label
from notify_platform.console.desk.deliveries import TONES
from notify_platform.console.desk.jobs.compose_page import ComposePage
from notify_platform.console.desk.lists import number_of
from notify_platform.core.errors import Refused
from notify_platform.delivery import trial
from notify_platform.delivery.models import Delivery, Skip
from notify_platform.jobs import variants
from notify_platform.jobs.models import SendJob
from notify_platform.wechat import outcomes

if TYPE_CHECKING:
    from django.contrib.auth.models import User

State = Delivery.State
SHOWN = 5
# Whoever sees whole openids says whose phones are testers': an operator alone could reach anybody, unapproved.
NAME_TESTERS = "subscriptions.change_subscriber"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the message to one tester: its state in its colour, and the sentence behind it."""

    person: str
    state: SafeString
    because: str
    url: str


@dataclass(frozen=True, slots=True)
class Test:
    """One test, and what became of it."""

    job: SendJob
    tried: str
    results: Sequence[Result]


class Tests(admin.SimpleListFilter):
    """Tests are jobs too, but nobody looks for them among the broadcasts."""

    title = _("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Offer the tests."""
        return [("test", _("tests"))]

    def choices(self, changelist: Any) -> Any:
        """Call the default by its name."""
        first, *others = super().choices(changelist)
        yield {**first, "display": gettext("broadcasts")}
        yield from others

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep the broadcasts, or the tests."""
        return queryset.filter(test_of__isnull=self.value() != "test")


class TestPages(ComposePage):
    """The half of the page of jobs that tries drafts out."""

    def get_urls(self) -> list[URLPattern]:
        """Add the page of the tests, and what became of them."""
        wrap = self.admin_site.admin_view
        return [
            path("<int:job_id>/test/", wrap(self.test_view), name="jobs_sendjob_test"),
            path("<int:job_id>/test/results/", wrap(self.test_results_view), name="jobs_sendjob_test_results"),
            *super().get_urls(),
        ]

    def test_view(self, request: HttpRequest, job_id: int) -> HttpResponse:
        """GET shows the testers; POST sends, adds a tester or takes one off."""
        job = self._tried_out(request, job_id)
        if request.method == "POST":
            return self._try_out(request, job)
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET", "POST"])
        tests = tests_of(job)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Try it out: %(name)s") % {"name": job.name},
            "opts": self.opts,
            "original": job,
            "job": job,
            "testers": [(one, called(one.person)) for one in trial.testers_of(job)],
            "variants": [each.name for each in variants.of_job(job)],
            "states": [(state.value, state.label) for state in trial.CARD_STATES],
            "may_send": self.has_change_permission(request, job),
            "may_name": _user(request).has_perm(NAME_TESTERS),
            "tests": tests,
            "moves": _moves(tests),
        }
        return TemplateResponse(request, "console/job_test.html", context)

    def test_results_view(self, request: HttpRequest, job_id: int) -> HttpResponse:
        """Return what became of the tests as JSON, in the shape of a job's progress."""
        job = self._tried_out(request, job_id)
        tests = tests_of(job)
        html = render_to_string("console/job_test_results.html", {"tests": tests})
        return JsonResponse({"state": "yes" if _moves(tests) else "", "moves": _moves(tests), "html": html})

    def _tried_out(self, request: HttpRequest, job_id: int) -> SendJob:
        job = self.get_queryset(request).filter(pk=job_id, test_of=None).first()
        if job is None:
            raise Http404
        if not (self.has_change_permission(request, job) or _user(request).has_perm(NAME_TESTERS)):
            raise PermissionDenied
        found: SendJob = job
        return found

    def _try_out(self, request: HttpRequest, job: SendJob) -> HttpResponse:
        names = request.POST.get("do") in NAMING
        if not (_user(request).has_perm(NAME_TESTERS) if names else self.has_change_permission(request, job)):
            raise PermissionDenied
        try:
            said = _DO.get(request.POST.get("do", ""), _send)(request, job)
        except Refused as refusal:
            messages.error(request, refusal.message)
        else:
            messages.success(request, said)
        return HttpResponseRedirect(reverse("admin:jobs_sendjob_test", args=[job.pk]))


def _send(request: HttpRequest, job: SendJob) -> str:
    chosen = {pk for given in request.POST.getlist("to") if (pk := number_of(given)) is not None}
    trial.send(
        job,
        to=chosen,
        card_state=request.POST.get("card_state", ""),
        variant=request.POST.get("variant", ""),
        by=_user(request),
    )
    sentence = ngettext(
        "The test to %(count)d tester is under way.", "The test to %(count)d testers is under way.", len(chosen)
    )
    return sentence % {"count": len(chosen)}


def _add(request: HttpRequest, job: SendJob) -> str:
    person = trial.add_tester(job.mini_program_id, openid=request.POST.get("openid", ""), by=_user(request))
    return gettext("%(person)s is a tester now.") % {"person": called(person)}


def _remove(request: HttpRequest, job: SendJob) -> str:
    pk = request.POST.get("tester", "")
    for one in trial.testers_of(job):
        if str(one.person.pk) == pk:
            trial.remove_tester(one.person, by=_user(request))
    return gettext("The list of testers was changed.")


NAMING = {"add": _add, "remove": _remove}
_DO = {"send": _send, **NAMING}


def _user(request: HttpRequest) -> User:
    if isinstance(request.user, AnonymousUser):
        raise PermissionDenied
    return request.user


def tests_of(job: SendJob) -> list[Test]:
    """Return the last tests of a draft with every message; five queries."""
    tests = list(job.tests.prefetch_related("variants").order_by("-pk")[:SHOWN])
    results: dict[int | None, list[Result]] = {test.pk: [] for test in tests}
    for row in Delivery.objects.filter(job__in=tests).select_related("subscriber").order_by("pk"):
        results[row.job_id].append(_result(row))
    for skip in Skip.objects.filter(job__in=tests).select_related("subscriber").order_by("pk"):
        state = label(TONES[State.SKIPPED], State.SKIPPED.label)
        results[skip.job_id].append(Result(called(skip.subscriber), state, skip.get_reason_display(), ""))
    names_it = len(variants.of_job(job)) > 1
    return [Test(test, _tried(test, names_it=names_it), results[test.pk]) for test in tests]


def _tried(test: SendJob, *, names_it: bool) -> str:
    """Say which variant was sent, if there are several, and which version of the mini-program it opens."""
    names = [gettext("Variant %(name)s") % {"name": each.name} for each in test.variants.all() if names_it]
    return " · ".join([*names, test.get_card_state_display()])


def _result(row: Delivery) -> Result:
    return Result(
        person=called(row.subscriber),
        state=label(TONES[State(row.state)], row.get_state_display()),
        because=_because(row),
        url=reverse("admin:delivery_delivery_change", args=[row.pk]),
    )


def _because(row: Delivery) -> str:
    if row.state == State.FAILED and row.error_code is not None:
        meaning, next_step = outcomes.describe(row.error_code)
        return f"{meaning} {next_step} ({row.error_code})"
    return row.error_detail if row.state == State.UNDELIVERED else str(row.get_reason_display())


def _moves(tests: Sequence[Test]) -> bool:
    return any(test.job.state == SendJob.State.RUNNING for test in tests)
