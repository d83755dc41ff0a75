"""The report of a scene is the sum of its tallies."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notify_platform.insights import days, scenes
from subscriptions.models import AskingTally, Scene
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def program():
    return factories.a_mini_program()


def today_of(program):
    return days.day_of(timezone.now(), zone=days.zones()[program.pk])


def a_scene(program, **changes):
    return Scene.objects.create(mini_program=program, code=f"s{Scene.objects.count()}", **({"name": "Paid"} | changes))


def tally(scene, template, **words):
    """Write words of a day, ``ago`` days ago; without a template they are codes or the planner's reasons."""
    day = today_of(scene.mini_program) - timedelta(days=words.pop("ago", 0))
    for word, times in words.items():
        AskingTally.objects.create(scene=scene, template=template, day=day, word=word, times=times)


def test_words_become_the_numbers_of_a_scene(program):
    scene, template = a_scene(program), factories.a_template(program)
    tally(scene, template, planned=20, accept=5, acceptWithAlert=1, reject=3, ban=2, filter=1)
    tally(scene, None, **{"20004": 2, "10005": 1, "silent_accept": 4})

    (report,) = scenes.of_mini_program(program, count=7)

    total = report.total
    assert (total.planned, total.answered, total.agreed, total.refused, total.silent) == (20, 12, 6, 3, 4)
    assert total.other == {"ban": 2, "filter": 1}
    assert total.acceptance is not None
    assert (total.acceptance.of, total.acceptance.value) == (9, 6 / 9)
    assert report.failed == {20004: 2, 10005: 1}


def test_days_and_templates_add_up_to_the_whole_and_older_days_are_left_out(program):
    scene, one, other = a_scene(program), factories.a_template(program), factories.a_template(program)
    tally(scene, one, ago=0, accept=1, reject=2)
    tally(scene, other, ago=0, accept=4)
    tally(scene, one, ago=6, accept=8)
    tally(scene, one, ago=7, accept=16)

    week, month = (scenes.of_mini_program(program, count=count)[0] for count in (7, 28))

    assert (week.total.agreed, month.total.agreed) == (13, 29)
    assert [(template.pk, answers.agreed) for template, answers in week.by_template] == [(one.pk, 9), (other.pk, 4)]
    assert [answers.agreed for _day, answers in week.by_day] == [8, 0, 0, 0, 0, 0, 5]
    assert week.by_day[-1][0] == today_of(program)
    assert len(month.by_day) == 28


def test_the_planners_reasons_are_those_of_the_last_sample(program):
    scene, template = a_scene(program), factories.a_template(program)
    tally(scene, None, ago=1, sampled=50, **{"held:main_switch_off:0": 9})
    tally(scene, None, sampled=100, **{"held:main_switch_off:0": 3, f"held:muted:{template.pk}": 40})

    (report,) = scenes.of_mini_program(program, count=7)

    assert [(held.code, held.template, held.people, held.sampled) for held in report.held] == [
        ("muted", template, 40, 100),
        ("main_switch_off", None, 3, 100),
    ]
    assert report.sampled == 100
    assert (report.total.answered, report.failed) == (0, {})


def test_a_scene_nobody_was_asked_in_is_reported_all_the_same_and_those_switched_off_come_last(program):
    a_scene(program, name="A", is_active=False)
    a_scene(program, name="Z")
    a_scene(factories.a_mini_program())

    reports = scenes.of_mini_program(program, count=7)

    assert [report.scene.name for report in reports] == ["Z", "A"]
    assert reports[0].total.acceptance is None


def test_a_report_takes_three_queries_for_one_scene_as_for_many(program):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            scenes.of_mini_program(program, count=28)
        return len(captured)

    tally(a_scene(program), factories.a_template(program), accept=1)
    few = queries()
    for _ in range(5):
        tally(a_scene(program), factories.a_template(program), accept=1, reject=1)
    assert (few, queries()) == (3, 3)
