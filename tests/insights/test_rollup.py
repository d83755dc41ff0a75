"""What is worked out ahead: when it is due, by one worker alone."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db.models import BooleanField, ExpressionWrapper
from django.utils import timezone

from notify_platform.core import queue
from notify_platform.core.models import Bell, DriverLease
from notify_platform.insights import days, rollup, tasks
from subscriptions.models import AskingTally, ExpectedDemand, PromptReport, Scene, SceneTemplate
from templates_app.models import MiniProgram
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene():
    """A scene in which one visitor was asked just now."""
    template = factories.a_template(factories.a_mini_program())
    (person,) = factories.subscribers(template.mini_program, count=1, last_visit_at=timezone.now())
    scene = Scene.objects.create(mini_program=template.mini_program, code="paid", name="Paid")
    SceneTemplate.objects.create(scene=scene, template=template)
    PromptReport.objects.create(
        subscriber=person, scene=scene, planned=[template.pk], request_key="1", answered_at=timezone.now()
    )
    return scene


def is_due():
    row = MiniProgram.objects.annotate(due=ExpressionWrapper(rollup.due(), BooleanField()))
    return row.values_list("due", flat=True).first()


def pass_over(turn):
    DriverLease.objects.filter(name=f"turn/{turn}").update(until=timezone.now() - timedelta(seconds=1))


def words():
    return set(AskingTally.objects.values_list("word", flat=True))


def test_a_tick_works_out_everything_and_then_nothing_is_due(scene):
    assert is_due()

    assert not rollup.tick()

    assert words() == {"planned", "sampled"}
    assert ExpectedDemand.objects.count() == 14
    assert not is_due()


def test_a_mini_program_in_a_zone_that_does_not_exist_counts_by_the_houses_clock(scene):
    MiniProgram.objects.update(time_zone="Mars/Olympus")

    assert not rollup.tick()

    assert set(days.zones().values()) == {ZoneInfo("Asia/Shanghai")}
    assert words() == {"planned", "sampled"}
    assert ExpectedDemand.objects.count() == 14


def test_the_next_tick_does_nothing_before_its_time(scene):
    rollup.tick()
    AskingTally.objects.all().delete()
    ExpectedDemand.objects.all().delete()

    rollup.tick()
    assert (AskingTally.objects.count(), ExpectedDemand.objects.count()) == (0, 0)

    pass_over("tallies")
    assert is_due()
    rollup.tick()
    assert words() == {"planned"}

    pass_over("forecast")
    rollup.tick()
    assert words() == {"planned", "sampled"}
    assert ExpectedDemand.objects.count() == 14


def test_a_turn_is_taken_once_until_its_time_has_passed():
    hour = timedelta(hours=1)
    assert [queue.take_turn("x", every=hour) for _ in range(3)] == [True, False, False]
    assert queue.take_turn("y", every=hour)

    pass_over("x")

    assert [queue.take_turn("x", every=hour) for _ in range(2)] == [True, False]


def test_a_turn_is_no_place_to_send_from():
    with queue.driver_place() as before:
        pass
    queue.take_turn("x", every=timedelta(hours=1))
    with queue.driver_place() as after:
        pass
    assert (before, after) == (True, True)


def test_the_task_takes_its_bell_down(scene):
    Bell.objects.create(name="insights", rung_at=timezone.now())

    tasks.refresh()

    assert not Bell.objects.filter(name="insights").exists()
    assert words() == {"planned", "sampled"}
