"""Row ``plans``: what to ask a person in a scene, worked out within one process, over everybody's long histories."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from statistics import median, quantiles
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from subscriptions.models import Answer, AskingTally, ExpectedDemand, Scene, SceneTemplate, Subscriber, Subscription
from subscriptions.prompts import planner
from templates_app.models import MessageTemplate
from tests import factories
from tests.bench import cast
from tests.bench.rows import Goal, Raw, Scale
from tests.bench.stopwatches import DATABASE_DOORS, watching

TEMPLATES = 5
ANSWERS_EACH = 100
# "A few milliseconds".
MOST_MS = 5.0
DOORS: Mapping[str, Sequence[str]] = {
    "the planner: reading what it knows": ["subscriptions.prompts.planner.gather"],
    "the planner: choosing": ["subscriptions.prompts.planner.plan", "subscriptions.prompts.planner.choose"],
    **DATABASE_DOORS,
}


def measure(scale: Scale) -> dict[str, Any]:
    """Plan for one person after the other, round by round."""
    people = _a_shop_with_a_history(scale.people)
    turn = itertools.cycle(people)
    rounds = []
    for number in range(scale.rounds + 1):
        one = _one_round(list(itertools.islice(turn, scale.requests)))
        # The first is for warming up.
        if number:
            rounds.append(one)
    with CaptureQueriesContext(connection) as captured:
        _plan(people[0])
    with watching(DOORS) as watches:
        for person in itertools.islice(turn, scale.profiled):
            _plan(person)
    return {
        "rounds": rounds,
        "answers": Answer.objects.count(),
        "statements": len(captured.captured_queries),
        "profile": watches.per_call_ms(scale.profiled),
    }


def _a_shop_with_a_history(count: int) -> list[Subscriber]:
    mini_program = cast.a_shop()
    scene = mini_program.scenes.get()
    for _ in range(TEMPLATES - 1):
        SceneTemplate.objects.create(scene=scene, template=factories.a_template(mini_program))
    templates = list(mini_program.templates.order_by("pk"))
    people = factories.subscribers(mini_program, count=count)
    for person in people:
        Answer.objects.bulk_create(_answers(person, templates=templates, scene=scene))
    Subscription.objects.bulk_create(
        Subscription(template=template, subscriber=person, state=Subscription.State.ON)
        for template in templates
        for person in people
    )
    factories.grants(templates[0], to=people, units=2)
    _tell_of_the_days(scene, templates=templates)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return people


def _answers(person: Subscriber, *, templates: Sequence[MessageTemplate], scene: Scene) -> list[Answer]:
    now = timezone.now()
    return [
        Answer(
            subscriber=person,
            template=templates[number % TEMPLATES],
            scene=scene,
            answer="reject" if number % 3 else "accept",
            source="client",
            request_key=f"bench-{number}",
            answered_at=now - timedelta(days=number + 30),
        )
        for number in range(ANSWERS_EACH)
    ]


def _tell_of_the_days(scene: Scene, *, templates: Sequence[MessageTemplate]) -> None:
    today = timezone.localdate()
    AskingTally.objects.bulk_create(
        AskingTally(scene=scene, template=template, day=today - timedelta(days=day), word=word, times=40)
        for template in templates
        for day in range(28)
        for word in ("accept", "reject")
    )
    ExpectedDemand.objects.bulk_create(
        ExpectedDemand(template=template, day=today + timedelta(days=day), messages=500, per_person=0.3)
        for template in templates
        for day in range(14)
    )


def _plan(person: Subscriber) -> None:
    scene = planner.scene_of(person, code=cast.SCENE)
    if not planner.plan(person, scene=scene).template_ids:
        raise RuntimeError("nothing was planned")


def _one_round(people: Sequence[Subscriber]) -> dict[str, float]:
    took = []
    for person in people:
        since = time.perf_counter()
        _plan(person)
        took.append((time.perf_counter() - since) * 1000)
    return {"p50_ms": round(median(took), 3), "p99_ms": round(quantiles(took, n=100)[98], 3)}


# --- reading the figures -------------------------------------------------------------------------------------------


def _median(raw: Raw, name: str) -> float:
    return median(one[name] for one in raw["rounds"])


def goals(raw: Raw) -> list[Goal]:
    """Hold the figures against the promise."""
    p99 = _median(raw, "p99_ms")
    return [Goal(f"a plan's p99 ≤ {MOST_MS:.0f} ms", f"{p99:.1f} ms", p99 <= MOST_MS)]


def table(raw: Raw) -> dict[str, Mapping[str, str]]:
    """Name of a line → heading → figure."""
    words = f"a plan of {TEMPLATES} templates beside {raw['answers']:,} answers"
    return {
        words: {
            "p50 ms": f"{_median(raw, 'p50_ms'):.2f}",
            "p99 ms": f"{_median(raw, 'p99_ms'):.2f}",
            "statements": str(raw["statements"]),
        }
    }


def profiles(raw: Raw) -> dict[str, Mapping[str, float]]:
    """Where the time of a plan goes."""
    return {"a plan": raw["profile"]}
