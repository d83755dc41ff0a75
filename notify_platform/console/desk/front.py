"""The front page: each mini-program at a glance, in a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from notify_platform.alerts.models import Alert
from notify_platform.console import access
from notify_platform.console.desk.alerts import cure, with_cures
from notify_platform.console.desk.base import SECRETS_OF_MINI_PROGRAM, name_of
from notify_platform.console.desk.consent import in_stock
from notify_platform.console.desk.jobs import state_label
from notify_platform.delivery.models import Delivery
from notify_platform.jobs.models import SendJob
from subscriptions.models import Drift, Subscriber
from templates_app.models import MiniProgram

State = SendJob.State
MOVING = (State.RUNNING, State.PAUSED)
DRIFT_SHOWN = timedelta(days=7)
ALERTS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job under way, or one that waits for a second person."""

    job: SendJob
    label: SafeString
    composer: str
    percent: int


@dataclass(frozen=True, slots=True)
class AlertLine:
    """An open alert, and where its trouble is ended."""

    alert: Alert
    url: str


@dataclass(frozen=True, slots=True)
class Board:
    """One mini-program: counts as they are shown, and its jobs."""

    pk: int
    name: str
    people: str
    stock: str
    unknown: str
    drift: str
    moving: Sequence[JobLine]
    waiting: Sequence[JobLine]


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the boards to the front page of somebody who may see jobs, and the open alerts."""
    if request.user.has_perm("jobs.view_sendjob"):
        context["boards"] = boards(access.limit(MiniProgram.objects.all(), to=request.user))
    if request.user.has_perm("alerts.view_alert"):
        context["alerts"] = open_alerts(request)
    context["title"] = _("Overview")
    return context


def open_alerts(request: HttpRequest) -> list[AlertLine]:
    """Return the troubles nobody has settled, the latest first."""
    seen = access.limit(Alert.objects.filter(settled_at__isnull=True), to=request.user)
    rows = with_cures(seen).select_related("mini_program")
    some = rows.defer(*SECRETS_OF_MINI_PROGRAM).order_by("-last_at", "-pk")
    return [AlertLine(alert, cure(alert)) for alert in some[:ALERTS_SHOWN]]


def boards(programs: QuerySet[MiniProgram]) -> list[Board]:
    """Return one board for each of these mini-programs, by name."""
    people = _count(Subscriber.objects.filter(forgotten_at__isnull=True), by="mini_program")
    stock = _count(in_stock(), by="template__mini_program")
    unknown = _count(Delivery.objects.filter(state=Delivery.State.UNKNOWN, settled_at__isnull=True), by="mini_program")
    drift = dict(
        Drift.objects.filter(at__gt=timezone.now() - DRIFT_SHOWN)
        .values_list("template__mini_program")
        .annotate(lost=Sum("units"))
        .order_by()
    )
    lines = _job_lines()
    return [
        Board(
            pk=pk,
            name=name,
            people=f"{people.get(pk, 0):,}",
            stock=f"{stock.get(pk, 0):,}",
            unknown=f"{unknown.get(pk, 0):,}",
            drift=f"{drift.get(pk, 0):,}",
            moving=[line for line in lines[pk] if line.job.state in MOVING],
            waiting=[line for line in lines[pk] if line.job.state == State.SUBMITTED],
        )
        for pk, name in programs.order_by("name").values_list("pk", "name")
    ]


def _count(rows: QuerySet[Any], *, by: str) -> Mapping[int, int]:
    return dict(rows.values_list(by).annotate(number=Count("pk")).order_by())


def _job_lines() -> Mapping[int, list[JobLine]]:
    jobs = (
        SendJob.objects.filter(state__in=(*MOVING, State.SUBMITTED))
        .select_related("mini_program", "created_by", "template")
        .defer(*SECRETS_OF_MINI_PROGRAM)
        .order_by("-pk")
    )
    left = _count(Delivery.objects.filter(job__state__in=MOVING, state__in=Delivery.OPEN), by="job")
    lines: dict[int, list[JobLine]] = defaultdict(list)
    for job in jobs:
        done = job.audience_size - left.get(job.pk, 0)
        percent = done * 100 // job.audience_size if job.audience_size else 0
        lines[job.mini_program_id].append(JobLine(job, state_label(job), name_of(job.created_by), percent))
    return lines
