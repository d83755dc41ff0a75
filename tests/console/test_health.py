"""Is the process alive, and can it do its work?"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from notify_platform.core.models import Bell, WorkerNode

pytestmark = pytest.mark.django_db


@pytest.fixture
def worker():
    now = timezone.now()
    return WorkerNode.objects.create(name="host:1", started_at=now, beat_at=now, pulse_at=now)


def test_a_process_that_answers_is_alive(client):
    answer = client.get("/healthz")

    assert (answer.status_code, answer.content) == (200, b"ok")


def test_with_a_worker_and_an_empty_queue_it_is_ready(client, worker):
    answer = client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {
        "ready": True,
        "database": "ok",
        "queue": "ok",
        "worker": "ok",
        "token": "none is valid; the next message fetches one",
    }


def test_without_a_worker_it_is_not_ready_and_says_why(client):
    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["worker"] == "no worker has beaten for 15 s"


def test_a_silent_worker_is_none(client, worker):
    WorkerNode.objects.update(beat_at=timezone.now() - timedelta(seconds=16))

    assert client.get("/readyz").status_code == 503


def test_a_bell_nobody_answers_is_no_good_sign(client, worker):
    Bell.objects.create(name="upkeep", rung_at=timezone.now() - timedelta(seconds=61))

    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["queue"] == "a task has waited for more than a minute"


def test_nothing_is_changed_by_asking_with_post(client):
    assert client.post("/readyz").status_code == 405
