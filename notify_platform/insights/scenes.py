"""What came of asking in each scene, and what the planner holds back: read from the tallies alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from django.utils import timezone

from notify_platform.insights import days
from notify_platform.insights.asking import HELD, PLANNED, SAMPLED, SILENT, read_held
from notify_platform.insights.intervals import Share, share
from subscriptions.models import AskingTally, Scene
from templates_app.models import MessageTemplate, MiniProgram

SILENT_WORDS = frozenset(SILENT.values())


@dataclass(slots=True)
class Answers:
    """What was said: ``planned`` times the planner named a template, and what people answered in a popup."""

    planned: int = 0
    agreed: int = 0
    refused: int = 0
    silent: int = 0
    other: Counter[str] = field(default_factory=Counter)

    @property
    def answered(self) -> int:
        """Return how many answers came from a popup."""
        return self.agreed + self.refused + self.other.total()

    @property
    def acceptance(self) -> Share | None:
        """Return the share of yes among those who said yes or no."""
        return share(self.agreed, of=self.agreed + self.refused)

    def add(self, word: str, times: int) -> None:
        """Count a word of the tallies."""
        if word == PLANNED:
            self.planned += times
        elif word.startswith("accept"):
            self.agreed += times
        elif word == "reject":
            self.refused += times
        else:
            self.other[word] += times


@dataclass(frozen=True, slots=True)
class Held:
    """Why the planner would not ask for something: a template, or the whole popup; so many of ``sampled`` people."""

    template: MessageTemplate | None
    code: str
    people: int
    sampled: int


@dataclass(frozen=True, slots=True)
class SceneReport:
    """One scene: all its answers, by template and by day, failures by code, and the planner's reasons of late."""

    scene: Scene
    total: Answers
    by_template: Sequence[tuple[MessageTemplate, Answers]]
    by_day: Sequence[tuple[date, Answers]]
    failed: Counter[int]
    held: Sequence[Held]
    sampled: int


def of_mini_program(mini_program: MiniProgram, *, count: int) -> list[SceneReport]:
    """Report every scene over the last so many days, today included: three queries."""
    today = days.day_of(timezone.now(), zone=mini_program.zone)
    shown = days.row_of(today - timedelta(days=count - 1), count=count)
    templates = MessageTemplate.objects.filter(mini_program=mini_program).only("pk", "title").in_bulk()
    rows: dict[int, list[AskingTally]] = defaultdict(list)
    tallies = AskingTally.objects.filter(scene__mini_program=mini_program, day__gte=shown[0], day__lte=today)
    for tally in tallies.order_by("day", "pk"):
        rows[tally.scene_id].append(tally)
    scenes = Scene.objects.filter(mini_program=mini_program).order_by("-is_active", "name", "pk")
    return [_report(scene, rows[scene.pk], shown=shown, templates=templates) for scene in scenes]


def _report(
    scene: Scene, rows: Sequence[AskingTally], *, shown: Sequence[date], templates: Mapping[int, MessageTemplate]
) -> SceneReport:
    total, failed = Answers(), Counter[int]()
    by_day = {day: Answers() for day in shown}
    by_template: dict[int, Answers] = defaultdict(Answers)
    for row in rows:
        if _is_of_a_sample(row):
            continue
        if row.word in SILENT_WORDS:
            total.silent += row.times
        elif row.template_id is None:
            failed[int(row.word)] += row.times
        else:
            for answers in (total, by_day[row.day], by_template[row.template_id]):
                answers.add(row.word, row.times)
    held, sampled = _held([row for row in rows if _is_of_a_sample(row)], templates=templates)
    return SceneReport(
        scene=scene,
        total=total,
        by_template=[(templates[pk], answers) for pk, answers in sorted(by_template.items()) if pk in templates],
        by_day=list(by_day.items()),
        failed=failed,
        held=held,
        sampled=sampled,
    )


def _is_of_a_sample(row: AskingTally) -> bool:
    return row.word == SAMPLED or row.word.startswith(HELD)


def _held(rows: Sequence[AskingTally], *, templates: Mapping[int, MessageTemplate]) -> tuple[list[Held], int]:
    """Return the reasons of the last sample, the most frequent first, and how many people were in it."""
    last = max((row.day for row in rows), default=None)
    latest = [row for row in rows if row.day == last]
    sampled = sum(row.times for row in latest if row.word == SAMPLED)
    held = [_reason(row, templates=templates, sampled=sampled) for row in latest if row.word != SAMPLED]
    return sorted(held, key=lambda one: (-one.people, one.code)), sampled


def _reason(row: AskingTally, *, templates: Mapping[int, MessageTemplate], sampled: int) -> Held:
    code, template_id = read_held(row.word)
    return Held(templates.get(template_id), code, row.times, sampled)
