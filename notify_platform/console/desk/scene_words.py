"""The scene report as a page: numbers with their names, codes and reasons with their sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from django.http import HttpRequest
from django.utils import formats
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from notify_platform.console.desk import programs
from notify_platform.insights import scenes
from notify_platform.insights.intervals import Share
from notify_platform.insights.scenes import Answers, Held, SceneReport
from notify_platform.wechat import popups
from subscriptions.prompts import reasons

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

SPANS = (7, 28)
OTHER_WORDS: Mapping[str, _StrPromise] = {
    "ban": _("banned by WeChat"),
    "filter": _("left out by WeChat: same title"),
    "other": _("a word WeChat's docs do not have"),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """A code of the popup: how often, what it means, what to do."""

    code: int
    times: int
    meaning: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the planner holds something back, and of how many people in a hundred."""

    percent: int
    sentence: str
    about: str


class Percents(NamedTuple):
    """A share in percent, and the interval it lies in."""

    value: str
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One scene of the page."""

    report: SceneReport
    acceptance: Percents | None
    templates: Sequence[tuple[str, Answers, Percents | None]]
    others: Sequence[tuple[str, int]]
    failures: Sequence[Failure]
    reasons: Sequence[Reason]
    chart: Mapping[str, Any] | None

    @property
    def chart_name(self) -> str:
        """Return what the page calls the scene's chart."""
        return f"scene-chart-{self.report.scene.pk}"


def page(request: HttpRequest) -> dict[str, Any]:
    """Return what the page shows; the same queries whatever the number of scenes."""
    choice = programs.choose(request)
    span = next((each for each in SPANS if str(each) == request.GET.get("days")), SPANS[0])
    reports = scenes.of_mini_program(choice.chosen, count=span) if choice.chosen else []
    return {
        "programs": choice.all,
        "program": choice.chosen,
        "span": span,
        "spans": SPANS,
        "panels": [_panel(report) for report in reports],
    }


def _panel(report: SceneReport) -> Panel:
    return Panel(
        report=report,
        acceptance=percents(report.total.acceptance),
        templates=[(each.title, answers, percents(answers.acceptance)) for each, answers in report.by_template],
        others=[(str(OTHER_WORDS.get(word, word)), times) for word, times in report.total.other.most_common()],
        failures=[_failure(code, times) for code, times in report.failed.most_common()],
        reasons=[_reason(held) for held in report.held],
        chart=_chart(report) if report.total.answered else None,
    )


def percents(share: Share | None) -> Percents | None:
    """Return a share and the interval it lies in, as they are written."""
    if share is None:
        return None
    return Percents(f"{share.value:.0%}", f"{share.low:.0%}", f"{share.high:.0%}")


def _failure(code: int, times: int) -> Failure:
    meaning, next_step = popups.describe(code)
    return Failure(code, times, str(meaning), str(next_step))


def _reason(held: Held) -> Reason:
    # Of a hundred people each has another end of waiting.
    sentence = str(reasons.REASONS.get(held.code, held.code)) % {"until": "…"}
    about = held.template.title if held.template else gettext("the whole popup")
    return Reason(percent=round(held.people * 100 / max(held.sampled, 1)), sentence=sentence, about=about)


def _chart(report: SceneReport) -> Mapping[str, Any]:
    days = report.by_day
    return {
        "kind": "scene",
        "days": [formats.date_format(day, "MONTH_DAY_FORMAT") for day, _answers in days],
        "bars": [
            {"name": gettext("agreed"), "tone": "good", "values": [answers.agreed for _day, answers in days]},
            {"name": gettext("refused"), "tone": "bad", "values": [answers.refused for _day, answers in days]},
        ],
        "line": None,
    }
