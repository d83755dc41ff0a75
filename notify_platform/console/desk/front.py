"""The front page: each mini-program at a glance, in a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count
from django.http import HttpRequest
from django.urls import reverse
from django.utils import formats
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from notify_platform.console import access
from notify_platform.console.desk import durations, setup, troubles
from notify_platform.console.desk.jobs.labels import state_label
from notify_platform.console.desk.setup import Step
from notify_platform.delivery import speed
from notify_platform.delivery.models import Delivery
from notify_platform.delivery.speed import Speed
from notify_platform.insights import overview
from notify_platform.insights.overview import Overview
from notify_platform.jobs.models import SendJob
from templates_app.models import MiniProgram

State = SendJob.State
MOVING = (State.RUNNING, State.PAUSED)
# Fewer than so many before say nothing about more or less.
TREND_FROM = 20


@dataclass(frozen=True, slots=True)
class Tile:
    """One number of a mini-program, what stands beside it, whether it was more or less before, and the page behind."""

    name: str
    count: str
    more: str
    url: str
    trend: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job under way: how far, how fast, how long still."""

    job: SendJob
    label: SafeString
    percent: int
    done: str
    pace: str
    rest: str


@dataclass(frozen=True, slots=True)
class Board:
    """One mini-program. ``steps`` is empty as soon as it is set up, charts are None as long as nothing happened."""

    pk: int
    name: str
    tiles: Sequence[Tile]
    moving: Sequence[JobLine]
    has_stock: bool
    steps: Sequence[Step]
    answers: Mapping[str, Any] | None
    cards: Mapping[str, Any] | None
    days: Sequence[tuple[Any, overview.Sums]]

    @property
    def is_new(self) -> bool:
        """Whether there is nothing to see yet but what is to be done."""
        return bool(self.steps) and not self.answers and not self.cards and not self.moving and not self.has_stock

    @property
    def answers_name(self) -> str:
        """Return what the page calls the chart of answers."""
        return f"answers-chart-{self.pk}"

    @property
    def cards_name(self) -> str:
        """Return what the page calls the chart of cards."""
        return f"cards-chart-{self.pk}"


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the boards to the front page of somebody who may see jobs, and what needs a person."""
    context["title"] = _("Overview")
    # The page asks for its own content again and again; what a log-in or a deed has to say must not get lost that way.
    context["frame"] = "console/bare.html" if "fresh" in request.GET else ""
    if request.user.has_perm("jobs.view_sendjob"):
        programs = _programs(request)
        seen = overview.of_programs(programs.keys())
        context["boards"] = boards(request, programs, seen)
        context["troubles"] = troubles.of_programs(request, programs, seen)
    return context


def _programs(request: HttpRequest) -> Mapping[int, str]:
    """Return the mini-programs this colleague works with, by name."""
    allowed = access.limit(MiniProgram.objects.all(), to=request.user)
    return dict(allowed.order_by("name", "pk").values_list("pk", "name"))


def boards(request: HttpRequest, programs: Mapping[int, str], seen: Mapping[int, Overview]) -> list[Board]:
    """Return one board for each mini-program, by name."""
    steps = setup.of_programs(request, seen)
    lines = _job_lines(programs)
    return [
        Board(
            pk=pk,
            name=name,
            tiles=_tiles(pk, seen[pk]),
            moving=lines[pk],
            has_stock=bool(seen[pk].stock.available),
            steps=steps.get(pk, ()),
            answers=_answers_chart(seen[pk]),
            cards=_cards_chart(seen[pk]),
            days=seen[pk].shown[::-1],
        )
        for pk, name in programs.items()
    ]


# --- numbers ---------------------------------------------------------------------------------------------------------


def _tiles(pk: int, seen: Overview) -> list[Tile]:
    week, today, before = seen.week, seen.today, seen.week_before
    of_program = f"?{urlencode({'mini_program': pk})}"
    lapsing = _("%(number)s lapse within 7 days") % {"number": f"{seen.stock.lapsing:,}"}
    return [
        Tile(
            _("consents in stock"),
            f"{seen.stock.available:,}",
            lapsing if seen.stock.available else _("ask for some in a scene"),
            reverse("admin:subscriptions_forecast") + of_program,
            tone="good" if seen.stock.available else "warn",
        ),
        Tile(
            _("agreed in 7 days"),
            f"{week.agreed:,}",
            _join(_today(today.agreed), _share(week.agreed, week.answered, _("%(percent)s of the answers"))),
            reverse("admin:subscriptions_scene_report") + of_program,
            _trend(week.agreed, before.agreed),
        ),
        Tile(
            _("delivered in 7 days"),
            f"{week.delivered:,}",
            _join(_today(today.delivered), _share(week.delivered, week.accepted, _("%(percent)s of those accepted"))),
            f"{reverse('admin:delivery_delivery_changelist')}{of_program}&state=delivered",
            _trend(week.delivered, before.delivered),
        ),
        Tile(
            _("opened in 7 days"),
            f"{week.opened:,}",
            _join(_today(today.opened), _share(week.opened, week.delivered, _("%(percent)s of those delivered"))),
            reverse("admin:delivery_open_changelist"),
            _trend(week.opened, before.opened),
        ),
    ]


def _today(number: int) -> str:
    return _("%(number)s today") % {"number": f"{number:,}"}


def _share(part: int, whole: int, sentence: str) -> str:
    return sentence % {"percent": f"{part * 100 / whole:.0f}%"} if whole else ""


def _join(*parts: str) -> str:
    return " · ".join(part for part in parts if part)


def _trend(now: int, before: int) -> str:
    """Say whether it was more or less than in the 7 days before; nothing when there was too little to compare with."""
    if before < TREND_FROM:
        return ""
    percent = round((now - before) * 100 / before)
    if abs(percent) < 1:
        return _("as much as the week before")
    sentence = _("%(percent)s more than the week before") if percent > 0 else _("%(percent)s less than the week before")
    return sentence % {"percent": f"{abs(percent):,}%"}


def _answers_chart(seen: Overview) -> Mapping[str, Any] | None:
    if not any(sums.answered for _day, sums in seen.shown):
        return None
    return _chart(seen, bars=[(_("agreed"), "good", "agreed"), (_("refused"), "idle", "refused")], line=None)


def _cards_chart(seen: Overview) -> Mapping[str, Any] | None:
    if not any(sums.left or sums.opened for _day, sums in seen.shown):
        return None
    bars = [
        (_("delivered"), "good", "delivered"),
        (_("accepted, no word yet"), "busy", "untold"),
        (_("not delivered by WeChat"), "warn", "undelivered"),
        (_("refused by WeChat"), "bad", "failed"),
    ]
    return _chart(seen, bars=bars, line=(_("opened"), "strong", "opened"))


def _chart(
    seen: Overview, *, bars: Sequence[tuple[str, str, str]], line: tuple[str, str, str] | None
) -> Mapping[str, Any]:
    def row(name: str, tone: str, column: str) -> Mapping[str, Any]:
        return {"name": name, "tone": tone, "values": [getattr(sums, column) for _day, sums in seen.shown]}

    return {
        "days": [formats.date_format(day, "MONTH_DAY_FORMAT") for day, _sums in seen.shown],
        "bars": [row(*bar) for bar in bars],
        "line": row(*line) if line else None,
    }


# --- jobs under way --------------------------------------------------------------------------------------------------


def _job_lines(programs: Mapping[int, str]) -> Mapping[int, list[JobLine]]:
    moving = SendJob.objects.filter(state__in=MOVING, mini_program__in=programs, test_of=None)
    jobs = list(moving.select_related("template").order_by("-pk"))
    ids = [job.pk for job in jobs]
    open_rows = Delivery.objects.filter(job__in=ids, state__in=Delivery.OPEN).values_list("job").order_by()
    left = dict(open_rows.annotate(number=Count("pk")))
    speeds = speed.of_jobs(ids)
    lines: dict[int, list[JobLine]] = defaultdict(list)
    for job in jobs:
        lines[job.mini_program_id].append(_line(job, left=left.get(job.pk, 0), now=speeds.get(job.pk, Speed())))
    return lines


def _line(job: SendJob, *, left: int, now: Speed) -> JobLine:
    done = job.audience_size - left
    runs = job.state == State.RUNNING
    seconds = now.seconds_for(left)
    return JobLine(
        job=job,
        label=state_label(job),
        percent=done * 100 // job.audience_size if job.audience_size else 0,
        done=f"{done:,} / {job.audience_size:,}" if job.fanned_out_at else _("the audience is being counted"),
        pace=_("%(number)s a second") % {"number": f"{now.per_second:,.0f}"} if runs and now.per_second >= 1 else "",
        rest=_("%(time)s left") % {"time": durations.words(seconds)} if runs and seconds is not None and left else "",
    )
