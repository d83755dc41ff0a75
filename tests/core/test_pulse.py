"""The pulse of one worker among several: all of them fetch their tasks from one queue."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from notify_platform.core import queue
from notify_platform.core.models import Bell, WorkerNode

pytestmark = pytest.mark.django_db
LONG_AGO = timedelta(hours=1)


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """This process belongs to the cluster of one of two workers."""
    monkeypatch.setattr(queue._here, "node", "here:1")
    return a_node("here:1")


def a_node(name, *, beat=timedelta()):
    now = timezone.now()
    return WorkerNode.objects.create(name=name, started_at=now, beat_at=now - beat, pulse_at=now - LONG_AGO)


def waiting():
    """Whose pulses lie in the queue."""
    return [each.task["args"] for each in OrmQ.objects.order_by("pk")]


def has_answered(name):
    return WorkerNode.objects.get(pk=name).pulse_at > timezone.now() - LONG_AGO / 2


def test_each_worker_has_a_bell_of_its_own():
    a_node("there:2")

    assert [queue.ring("pulse", "here:1"), queue.ring("pulse", "there:2")] == [True, True]

    assert waiting() == [("here:1",), ("there:2",)]


def test_a_cluster_answers_the_pulse_of_its_own_worker():
    queue.ring("pulse", "here:1")

    queue.answer_pulse("here:1")

    assert has_answered("here:1")
    assert not Bell.objects.exists()


def test_a_cluster_hands_the_pulse_of_another_worker_on_and_answers_for_nobody():
    a_node("there:2")
    queue.ring("pulse", "there:2")
    OrmQ.objects.all().delete()

    queue.answer_pulse("there:2")

    assert waiting() == [("there:2",)]
    assert Bell.objects.filter(name="pulse:there:2").exists()
    assert not has_answered("here:1")
    assert not has_answered("there:2")


def test_the_pulse_of_a_worker_that_is_gone_goes_round_no_more():
    a_node("there:2", beat=LONG_AGO)
    queue.ring("pulse", "there:2")
    OrmQ.objects.all().delete()

    queue.answer_pulse("there:2")

    assert waiting() == []
    assert not Bell.objects.exists()


def test_a_pulse_rung_before_an_upgrade_is_answered():
    queue.answer_pulse()

    assert has_answered("here:1")
