"""The forecast as a page: one row for each template, the most pressing first, each with what cures it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import formats
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from notify_platform.console.desk import programs
from notify_platform.console.desk.base import label
from notify_platform.console.desk.templates import TONES
from notify_platform.insights import forecast
from notify_platform.insights.forecast import TemplateForecast
from subscriptions.models import ExpectedDemand, SceneTemplate
from templates_app.models import MessageTemplate, MiniProgram


@dataclass(frozen=True, slots=True)
class Cure:
    """A way out: a sentence and where it leads."""

    words: str
    url: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One day of the small picture of a row: height of the units that end, in percent of the highest."""

    height: float
    is_lost: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One template of the table."""

    outlook: TemplateForecast
    state: SafeString | str
    bars: Sequence[Bar]
    bars_words: str
    cures: Sequence[Cure]


def page(request: HttpRequest) -> dict[str, Any]:
    """Return what the page shows; the same queries whatever the number of templates."""
    choice = programs.choose(request)
    context: dict[str, Any] = {"programs": choice.all, "program": choice.chosen}
    if choice.chosen is None:
        return context
    outlooks = sorted(forecast.of_mini_program(choice.chosen), key=_urgency)
    rows = _rows(request, choice.chosen, outlooks)
    shown = _shown(request, rows)
    return {
        **context,
        "rows": rows,
        "sums": _sums(outlooks),
        "shown": shown,
        "chart": chart(shown.outlook) if shown else None,
        "knows_demand": ExpectedDemand.objects.filter(template__mini_program=choice.chosen).exists(),
    }


def _urgency(outlook: TemplateForecast) -> tuple[date, int, str]:
    """Short ones first, the soonest before the others; then those with most to lose."""
    return (outlook.short_on or date.max, -outlook.use_or_lose, outlook.template.title)


def _rows(request: HttpRequest, program: MiniProgram, outlooks: Sequence[TemplateForecast]) -> list[Row]:
    asks: dict[int, list[Cure]] = defaultdict(list)
    bound = SceneTemplate.objects.filter(scene__mini_program=program, scene__is_active=True).order_by("scene__name")
    for template_id, scene_id, name in bound.values_list("template", "scene", "scene__name"):
        url = reverse("admin:subscriptions_scene_change", args=[scene_id])
        asks[template_id].append(Cure(_("Asked for in “%(scene)s”") % {"scene": name}, url))
    may_write = request.user.has_perm("jobs.add_sendjob")
    return [
        Row(
            outlook=one,
            state=_state(one.template),
            bars=_bars(one),
            bars_words=_("%(units)d units end within 14 days") % {"units": sum(day.lapsing for day in one.days)},
            cures=_cures(one, asks=asks, may_write=may_write),
        )
        for one in outlooks
    ]


def _state(template: MessageTemplate) -> SafeString | str:
    if template.state == MessageTemplate.State.LIVE:
        return ""
    return label(TONES[MessageTemplate.State(template.state)], template.get_state_display())


def _bars(outlook: TemplateForecast) -> list[Bar]:
    highest = max((day.lapsing for day in outlook.days), default=0) or 1
    return [Bar(height=day.lapsing * 100 / highest, is_lost=day.ahead.unused > 0) for day in outlook.days]


def _cures(outlook: TemplateForecast, *, asks: Mapping[int, Sequence[Cure]], may_write: bool) -> list[Cure]:
    """What is short has to be asked for, what would lapse has to be used."""
    template, cures = outlook.template, list[Cure]()
    if outlook.use_or_lose and may_write and template.state == MessageTemplate.State.LIVE:
        url = f"{reverse('admin:jobs_sendjob_add')}?template={template.pk}"
        cures.append(Cure(_("Write a job with it"), url))
    if outlook.short_on or not outlook.available:
        unbound = Cure(_("No scene asks for it: bind it to one"), reverse("admin:subscriptions_scene_changelist"))
        cures += asks.get(template.pk) or [unbound]
    return cures


def _sums(outlooks: Sequence[TemplateForecast]) -> Mapping[str, int]:
    return {
        "available": sum(one.available for one in outlooks),
        "suspended": sum(one.suspended for one in outlooks),
        "lapsing_soon": sum(one.lapsing_soon for one in outlooks),
        "use_or_lose": sum(one.use_or_lose for one in outlooks),
        "short": sum(one.short_on is not None for one in outlooks),
        "drift": sum(one.drift for one in outlooks),
    }


def _shown(request: HttpRequest, rows: Sequence[Row]) -> Row | None:
    """Return the row whose days are shown: the one the address names, or the first."""
    wanted = request.GET.get("template", "")
    named = (row for row in rows if str(row.outlook.template.pk) == wanted)
    return next(named, rows[0] if rows else None)


def chart(outlook: TemplateForecast) -> Mapping[str, Any]:
    """Return the days of a template as the chart draws them."""
    days = outlook.days
    return {
        "kind": "outlook",
        "days": [formats.date_format(day.day, "MONTH_DAY_FORMAT") for day in days],
        "bars": [
            {"name": _("used"), "tone": "good", "values": [day.ahead.used for day in days]},
            {"name": _("lapse unused"), "tone": "warn", "values": [day.ahead.unused for day in days]},
            {
                "name": _("no consent left"),
                "tone": "bad",
                "values": [day.ahead.wanted - day.ahead.used for day in days],
            },
        ],
        "line": {"name": _("left in stock"), "tone": "busy", "values": [day.ahead.left for day in days]},
    }
