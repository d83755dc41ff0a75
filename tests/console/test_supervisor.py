"""What the supervisor makes of the sign of life of its cluster."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from notify_platform.console import supervisor
from notify_platform.console.supervisor import Supervisor
from notify_platform.core.models import WorkerNode

pytestmark = pytest.mark.django_db


@pytest.fixture
def watching(monkeypatch):
    """A supervisor whose cluster has just been started, and has not answered."""
    monkeypatch.setattr(supervisor.subprocess, "Popen", lambda *_command, **_how: None)
    watching = Supervisor(stopping=lambda: False)
    silent_for(20)
    return watching


def silent_for(seconds: int) -> None:
    WorkerNode.objects.update(pulse_at=timezone.now() - timedelta(seconds=seconds))


def is_frozen(watching: Supervisor) -> bool:
    return watching._look()["frozen"]


def test_a_cluster_that_has_not_answered_yet_is_given_time(watching, monkeypatch):
    assert is_frozen(watching) is False
    monkeypatch.setattr(supervisor, "STARTING_SECONDS", 0.0)
    assert is_frozen(watching) is True


def test_one_that_has_answered_once_is_frozen_when_it_falls_silent(watching):
    assert is_frozen(watching) is False
    silent_for(1)
    assert is_frozen(watching) is False
    silent_for(10)
    assert is_frozen(watching) is True


def test_a_fresh_one_is_given_time_again(watching):
    assert is_frozen(watching) is False
    silent_for(10)
    assert is_frozen(watching) is True
    watching._start()
    assert is_frozen(watching) is False
