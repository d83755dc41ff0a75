"""What came of asking, day by day: the only writer of ``AskingTally``.

A day is counted again as often as one likes: the rows are what is true, the tally follows them, and what has not
changed is not written. A popup told by the phone and by WeChat counts once: only the phone knows the scene.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Count, Max, Q, QuerySet
from django.utils import timezone

from notify_platform.insights import days
from notify_platform.insights.days import Home
from notify_platform.wechat import popups
from subscriptions.grants.pairing import agrees
from subscriptions.models import Answer, AskingTally, PromptReport, Scene, Subscriber
from subscriptions.prompts import planner
from subscriptions.prompts.reporting import KNOWN_WORDS
from templates_app.models import MessageTemplate, MiniProgram

PLANNED: Final = "planned"
SAMPLED: Final = "sampled"
HELD: Final = "held:"
# What a phone made up, or what WeChat's docs do not have yet.
OTHER: Final = "other"
OTHER_CODE: Final = "-1"
SILENT: Final[Mapping[bool, str]] = {True: "silent_accept", False: "silent_reject"}
# Of so many people the planner is asked what it would hold back: enough for a share within ten points. The scenes of a
# mini-program share them, so that its sample takes seconds however many there are.
SAMPLE: Final = 100
MOST_PLANS: Final = 500

OF_A_SAMPLE = Q(word=SAMPLED) | Q(word__startswith=HELD)


class Said(NamedTuple):
    """One word in one scene. Only "planned" and what people answered in a popup name their template: whoever reads the
    chances of a template need not know the other words."""

    scene_id: int
    template_id: int | None
    word: str


def tally_lately() -> int:
    """Count today and yesterday again, wherever they are, and what was missed before; returns how many rows."""
    now = timezone.now()
    return sum(_rebuild_day(day, home=home) for home in days.homes() for day in _lately(home, now=now))


def _lately(home: Home, *, now: datetime) -> list[date]:
    today = days.day_of(now, zone=home.zone)
    tallies = AskingTally.objects.exclude(OF_A_SAMPLE).filter(
        scene__in=Scene.objects.filter(mini_program__in=home.mini_program_ids).values("pk"),
        day__gte=today - timedelta(days=days.FURTHEST),
    )
    return days.to_count(newest=tallies.aggregate(newest=Max("day"))["newest"], today=today)


def rebuild(*, first: date, last: date) -> int:
    """Count every day from ``first`` to ``last`` again; returns how many rows were written.

    A day whose answers have been pruned would become empty: only call it for days that still have their rows.
    """
    some = days.row_of(first, count=(last - first).days + 1)
    return sum(_rebuild_day(day, home=home) for home in days.homes() for day in some)


def _rebuild_day(day: date, *, home: Home) -> int:
    """Count a day of all mini-programs of a time zone: three queries over that day's rows."""
    scenes = Scene.objects.filter(mini_program__in=home.mini_program_ids)
    during = Q(answered_at__range=_moments(day, zone=home.zone), scene__isnull=False, scene__in=scenes.values("pk"))
    counted = _answers(during) + _plans(during) + _failures(during)
    tallies = AskingTally.objects.filter(scene__in=scenes.values("pk"), day=day).exclude(OF_A_SAMPLE)
    return _write(counted, day=day, tallies=tallies, scenes=scenes)


def _moments(day: date, *, zone: ZoneInfo) -> tuple[object, object]:
    begin, end = days.bounds(day, zone=zone)
    # Both ends of a range belong to it, and the database knows nothing finer than a microsecond.
    return begin, end - timedelta(microseconds=1)


def _answers(during: Q) -> Counter[Said]:
    rows = Answer.objects.filter(during).values_list("scene_id", "template_id", "answer", "is_silent").order_by()
    counted: Counter[Said] = Counter()
    for scene_id, template_id, answer, is_silent, times in rows.annotate(times=Count("pk")):
        if is_silent:
            counted[Said(scene_id or 0, None, SILENT[answer.startswith("accept")])] += times
        else:
            counted[Said(scene_id or 0, template_id, _word(answer))] += times
    return counted


def _word(answer: str) -> str:
    """Return WeChat's word; a phone may send any other, also one of ours."""
    return answer if answer in KNOWN_WORDS else "accept" if agrees(answer) else OTHER


def _plans(during: Q) -> Counter[Said]:
    rows = PromptReport.objects.filter(during).values_list("scene_id", "planned").order_by()
    known = set(MessageTemplate.objects.values_list("pk", flat=True))
    counted: Counter[Said] = Counter()
    for scene_id, planned, times in rows.annotate(times=Count("pk")):
        for template_id in known.intersection(planned):
            counted[Said(scene_id or 0, template_id, PLANNED)] += times
    return counted


def _failures(during: Q) -> Counter[Said]:
    failed = PromptReport.objects.filter(during, err_code__isnull=False)
    rows = failed.values_list("scene_id", "err_code").order_by().annotate(times=Count("pk"))
    counted: Counter[Said] = Counter()
    for scene_id, code, times in rows:
        counted[Said(scene_id or 0, None, str(code) if code in popups.CODES else OTHER_CODE)] += times
    return counted


def _write(counted: Counter[Said], *, day: date, tallies: QuerySet[AskingTally], scenes: QuerySet[Scene]) -> int:
    """Make the tallies say what was counted; leave alone what says it already."""
    with transaction.atomic():
        # Whoever counts the same day waits here.
        concerned = MiniProgram.objects.filter(pk__in=scenes.values("mini_program")).order_by("pk")
        list(concerned.select_for_update(no_key=True).values_list("pk"))
        rows = tallies.values_list("scene_id", "template_id", "word", "times", "pk")
        stale, standing = [], set()
        for scene_id, template_id, word, times, pk in rows:
            said = Said(scene_id, template_id, word)
            if counted[said] == times:
                standing.add(said)
            else:
                stale.append(pk)
        AskingTally.objects.filter(pk__in=stale).delete()
        fresh = [
            AskingTally(scene_id=said.scene_id, template_id=said.template_id, day=day, word=said.word, times=times)
            for said, times in counted.items()
            if times and said not in standing
        ]
        AskingTally.objects.bulk_create(fresh, batch_size=500)
    return len(fresh)


# --- what the planner holds back -------------------------------------------------------------------------------------


def held_word(code: str, *, template_id: int) -> str:
    """Return the word for a reason of the planner against a template (0: against asking at all)."""
    return f"{HELD}{code}:{template_id}"


def read_held(word: str) -> tuple[str, int]:
    """Return the reason and the template of such a word."""
    code, _, template_id = word.removeprefix(HELD).rpartition(":")
    return code, int(template_id)


def sample_lately() -> int:
    """Ask the planner about the people who came last, in every scene; returns how many rows were written."""
    now = timezone.now()
    programs = MiniProgram.objects.filter(scenes__is_active=True).distinct()
    return sum(_sample(program, day=days.day_of(now, zone=program.zone)) for program in programs)


def _sample(mini_program: MiniProgram, *, day: date) -> int:
    """Replace the day's sample: why the planner would not ask the ``SAMPLE`` people who came last."""
    lately = Subscriber.objects.filter(
        mini_program=mini_program, last_visit_at__isnull=False, forgotten_at__isnull=True
    ).order_by("-last_visit_at", "-pk")
    ids = dict(MessageTemplate.objects.filter(mini_program=mini_program).values_list("wechat_id", "pk"))
    scenes = Scene.objects.filter(mini_program=mini_program)
    active = list(scenes.filter(is_active=True))
    people = list(lately[: min(SAMPLE, max(1, MOST_PLANS // len(active)))]) if active else []
    counted: Counter[Said] = Counter()
    for scene in active:
        scene.mini_program = mini_program
        for person in people:
            person.mini_program = mini_program
            counted[Said(scene.pk, None, SAMPLED)] += 1
            for reason in planner.plan(person, scene=scene).reasons:
                word = held_word(reason.code, template_id=ids.get(reason.template_id or "", 0))
                counted[Said(scene.pk, None, word)] += 1
    tallies = AskingTally.objects.filter(OF_A_SAMPLE, scene__in=scenes.values("pk"), day=day)
    return _write(counted, day=day, tallies=tallies, scenes=scenes)
