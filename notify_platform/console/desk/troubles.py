"""What needs a person, each line one click from what ends it. A fixed number of queries, none of them over history."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import Count, Exists, OuterRef, Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from notify_platform.alerts.models import Alert
from notify_platform.callbacks.models import CallbackEvent
from notify_platform.console.desk.alerts import cure, with_cures
from notify_platform.console.desk.base import name_of
from notify_platform.core.models import WorkerNode
from notify_platform.delivery import speed, stalls
from notify_platform.delivery.models import Delivery
from notify_platform.insights import overview
from notify_platform.insights.overview import Overview
from notify_platform.jobs.models import SendJob
from subscriptions.models import SceneTemplate
from templates_app.models import MessageTemplate

State = SendJob.State
SHOWN: Final = 50
CALLBACKS_LATELY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One line: what kind, about what, why, since when, and the page where it is ended."""

    tone: str
    kind: str
    name: str
    why: str
    url: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """Who looks, at which mini-programs, and what is known of them already."""

    request: HttpRequest
    ids: Collection[int]
    seen: Mapping[int, Overview]
    names: Mapping[int, str]

    def may(self, *permissions: str) -> bool:
        """Whether the colleague may go where a line would lead."""
        return all(self.request.user.has_perm(permission) for permission in permissions)


def of_programs(request: HttpRequest, programs: Mapping[int, str], seen: Mapping[int, Overview]) -> list[Trouble]:
    """Return what this person can do something about, the most pressing kinds first."""
    scope = Scope(request, programs.keys(), seen, programs)
    return [trouble for find in _FINDERS for trouble in find(scope)][:SHOWN]


def _no_worker(scope: Scope) -> Iterator[Trouble]:
    alive = WorkerNode.objects.filter(beat_at__gt=timezone.now() - stalls.WORKER_SILENT_AFTER)
    running = SendJob.objects.filter(state=State.RUNNING, mini_program__in=scope.ids)
    if running.exists() and not alive.exists():
        url = reverse("admin:jobs_sendjob_changelist") + f"?{urlencode({'state__exact': State.RUNNING})}"
        if scope.may("core.view_workernode"):
            url = reverse("admin:core_workernode_changelist")
        yield Trouble("bad", _("worker"), _("No worker is running"), _("Nothing is sent. Start manage.py worker."), url)


def _alerts(scope: Scope) -> Iterator[Trouble]:
    if not scope.may("alerts.view_alert"):
        return
    rows = with_cures(Alert.objects.filter(settled_at__isnull=True, mini_program__in=scope.ids))
    for alert in rows.order_by("-last_at", "-pk")[:SHOWN]:
        about = alert.detail or alert.subject
        yield Trouble("bad", alert.get_kind_display(), _of(scope, alert), about, cure(alert), alert.last_at)


def _paused(scope: Scope) -> Iterator[Trouble]:
    jobs = SendJob.objects.filter(state=State.PAUSED, mini_program__in=scope.ids).order_by("-pk")
    for job in jobs[:SHOWN]:
        by_person = job.pause_reason == SendJob.PauseReason.OPERATOR
        why = job.pause_detail or job.get_pause_reason_display()
        yield Trouble("idle" if by_person else "bad", _("paused"), job.name, why, _page_of(job.pk))


def _standing_still(scope: Scope) -> Iterator[Trouble]:
    now = timezone.now()
    due = Delivery.objects.filter(job=OuterRef("pk"), state=Delivery.State.WAITING, due_at__lte=now)
    running = SendJob.objects.filter(state=State.RUNNING, mini_program__in=scope.ids, fanned_out_at__isnull=False)
    jobs = {job.pk: job for job in running.filter(Exists(due), started_at__lt=now - stalls.AFTER).order_by("-pk")}
    speeds = speed.of_jobs(jobs.keys())
    for job in jobs.values():
        last = speeds.get(job.pk, speed.Speed()).last_at or job.started_at
        if last and last < now - stalls.AFTER:
            yield Trouble("warn", _("stands still"), job.name, _("Its page says why."), _page_of(job.pk), last)


def _unknown(scope: Scope) -> Iterator[Trouble]:
    rows = Delivery.objects.filter(
        state=Delivery.State.UNKNOWN, settled_at__isnull=True, mini_program__in=scope.ids, job__isnull=False
    )
    counted = rows.values_list("job", "job__name").order_by("-job").annotate(number=Count("pk"))
    for pk, name, number in counted[:SHOWN]:
        why = _("Messages whose result is unknown: %(number)s") % {"number": f"{number:,}"}
        yield Trouble("warn", _("unknown"), name, why, f"{_page_of(pk)}#unknown")


def _to_approve(scope: Scope) -> Iterator[Trouble]:
    if not scope.may("jobs.approve_sendjob"):
        return
    me = scope.request.user.pk
    waiting = SendJob.objects.filter(state=State.SUBMITTED, mini_program__in=scope.ids)
    others = waiting.exclude(Q(created_by=me) | Q(submitted_by=me)).select_related("created_by", "submitted_by")
    for job in others.order_by("submitted_at", "pk")[:SHOWN]:
        who = name_of(job.submitted_by or job.created_by)
        yield Trouble(
            "busy", _("to approve"), job.name, _("from %(name)s") % {"name": who}, _page_of(job.pk), job.submitted_at
        )


def _sent_back(scope: Scope) -> Iterator[Trouble]:
    me = scope.request.user.pk
    mine = SendJob.objects.filter(state=State.DRAFT, created_by=me, mini_program__in=scope.ids).exclude(refusal="")
    for job in mine.order_by("-pk")[:SHOWN]:
        yield Trouble("warn", _("sent back"), job.name, job.refusal, _page_of(job.pk))


def _templates(scope: Scope) -> Iterator[Trouble]:
    """Templates that cannot be used although a scene asks for them or a job wants them."""
    if not scope.may("templates_app.view_messagetemplate"):
        return
    asked = SceneTemplate.objects.filter(template=OuterRef("pk"), scene__is_active=True)
    wanted = SendJob.objects.filter(template=OuterRef("pk")).exclude(state__in=[*SendJob.OVER, State.DRAFT])
    gone = MessageTemplate.objects.filter(Exists(asked) | Exists(wanted), mini_program__in=scope.ids)
    told = Alert.objects.filter(
        mini_program=OuterRef("mini_program"), subject=OuterRef("wechat_id"), settled_at__isnull=True
    )
    for template in gone.exclude(state=MessageTemplate.State.LIVE).exclude(Exists(told)).order_by("title")[:SHOWN]:
        url = reverse("admin:templates_app_messagetemplate_change", args=[template.pk])
        yield Trouble("bad", _("template"), template.title, template.get_state_display(), url)


def _callbacks(scope: Scope) -> Iterator[Trouble]:
    if scope.may("callbacks.view_callbackevent"):
        yield from _failed_callbacks(scope)
    if not scope.may("templates_app.view_miniprogram"):
        return
    for pk, accepted in overview.untold(scope.seen).items():
        url = reverse("admin:templates_app_miniprogram_change", args=[pk])
        why = _("WeChat accepted %(number)s messages and has told the end of none: check the callback.")
        yield Trouble("bad", _("callbacks"), scope.names[pk], why % {"number": f"{accepted:,}"}, url)


def _failed_callbacks(scope: Scope) -> Iterator[Trouble]:
    failed = CallbackEvent.objects.filter(
        state=CallbackEvent.State.FAILED,
        received_at__gt=timezone.now() - CALLBACKS_LATELY,
        mini_program__in=scope.ids,
    )
    for pk, number in failed.values_list("mini_program").order_by().annotate(number=Count("pk")):
        where = urlencode({"state__exact": CallbackEvent.State.FAILED, "mini_program": pk})
        why = _("Pushes of WeChat that failed within a day: %(number)s") % {"number": f"{number:,}"}
        url = f"{reverse('admin:callbacks_callbackevent_changelist')}?{where}"
        yield Trouble("bad", _("callbacks"), scope.names[pk], why, url)


_FINDERS: tuple[Callable[[Scope], Iterator[Trouble]], ...] = (
    _no_worker,
    _to_approve,
    _sent_back,
    _alerts,
    _paused,
    _standing_still,
    _unknown,
    _templates,
    _callbacks,
)


def _page_of(pk: int | None) -> str:
    return reverse("admin:jobs_sendjob_change", args=[pk])


def _of(scope: Scope, row: Any) -> str:
    return scope.names[row.mini_program_id]
