"""The doctor finds each thing that can go wrong with an installation, and nothing in a healthy one."""

from __future__ import annotations

import json
from datetime import time, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.utils import OperationalError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.tasks import async_task

from notify_platform.callbacks.models import CallbackEvent
from notify_platform.console.doctor import database, examination, work
from notify_platform.core.clock import database_now
from notify_platform.core.models import Bell, DriverLease, WorkerNode
from notify_platform.delivery import fanout
from notify_platform.delivery.models import Delivery
from notify_platform.insights import days, sending
from notify_platform.insights.models import SendingTally
from notify_platform.jobs import jobs, series
from notify_platform.jobs.models import SendJob, Series
from templates_app.models import AccessToken, MiniProgram
from tests import factories

pytestmark = pytest.mark.django_db
ANOTHER_KEY = "YW5vdGhlci1rZXktb2YtMzItYnl0ZXMtbG9uZyEhISE="


def found(**how):
    return [(one.check, one.count) for one in examination.examine(**how)]


def checks():
    return [check for check, _count in found()]


@pytest.fixture
def worker():
    now = timezone.now()
    return WorkerNode.objects.create(name="host:1", started_at=now, beat_at=now, pulse_at=now)


@pytest.fixture
def job():
    """A job that has just started, with one message due."""
    template = factories.a_template(factories.a_mini_program())
    factories.grants(template, to=factories.subscribers(template.mini_program, count=1))
    job = factories.a_running_job(template)
    fanout.step(job)
    return job


@pytest.fixture
def stalled(job):
    """The same, ten minutes ago, and nobody has sent it."""
    ago = timezone.now() - timedelta(minutes=10)
    SendJob.objects.update(started_at=ago)
    Delivery.objects.update(due_at=ago)
    return job


@pytest.fixture
def token(job):
    now = timezone.now()
    return AccessToken.objects.create(
        mini_program=job.mini_program, token="t", fetched_at=now, expires_at=now + timedelta(hours=2)
    )


@pytest.mark.parametrize("deep", [False, True])
def test_in_an_empty_installation_nothing_is_found(deep):
    assert found(deep=deep) == []


@pytest.mark.parametrize("deep", [False, True])
def test_in_one_that_works_nothing_is_found(deep, job, worker, token):
    assert found(deep=deep) == []


def test_every_finding_says_what_to_do(stalled, token):
    AccessToken.objects.update(expires_at=timezone.now() + timedelta(days=1))
    Bell.objects.create(name="upkeep", rung_at=timezone.now() - timedelta(minutes=2))

    findings = list(examination.examine())

    assert len(findings) == 4
    assert [one for one in findings if not one.sentence or not one.cure or one.count < 1] == []


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_says_nothing_was_found_with_status_0(capsys):
    call_command("doctor")

    assert capsys.readouterr().out.startswith("✓")


def test_the_command_tells_what_was_found_with_status_1(job, capsys):
    SendJob.objects.update(audience_size=4)

    with pytest.raises(CommandError, match="1 finding"):
        call_command("doctor")
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("✗ 7 everybody is accounted for: ")
    assert said[1].startswith("  → ")


def test_the_command_tells_it_as_json(job, capsys):
    call_command("doctor", json=True)
    assert json.loads(capsys.readouterr().out) == []
    SendJob.objects.update(audience_size=4)

    with pytest.raises(CommandError):
        call_command("doctor", json=True)

    (finding,) = json.loads(capsys.readouterr().out)
    assert (finding["check"], finding["count"]) == ("7 everybody is accounted for", 1)
    assert sorted(finding) == ["check", "count", "cure", "sentence"]


def test_nothing_is_written(stalled, worker, token):
    with CaptureQueriesContext(connection) as asked:
        assert checks() != []
    writing = [one["sql"] for one in asked if one["sql"].split()[0] in {"INSERT", "UPDATE", "DELETE"}]
    assert writing == []


# --- the ground ------------------------------------------------------------------------------------------------------


def test_a_database_that_is_away_is_the_only_finding(monkeypatch):
    def away():
        raise OperationalError("connection refused")

    monkeypatch.setattr(connection, "ensure_connection", away)
    assert checks() == ["database"]


def test_a_check_the_database_cannot_answer_keeps_no_other_back(monkeypatch, job):
    def broken():
        raise OperationalError("disk I/O error")

    monkeypatch.setattr(examination, "_CHECKS", (broken,))
    SendJob.objects.update(audience_size=4)
    assert found() == [("database", 1), ("7 everybody is accounted for", 1)]


def test_migrations_that_were_not_applied_are_found_and_nothing_else_is_asked(job):
    SendJob.objects.update(audience_size=4)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'delivery' AND name LIKE '0011%'")

    assert found() == [("migrations", 1)]


def test_wrong_settings_are_found(settings):
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "retry": 60}

    assert found() == [("settings console.E004", 1)]


def test_a_constraint_that_is_gone_is_found():
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX delivery_grant_used_once")

    assert found() == [("constraints", 1)]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite's modes")
@pytest.mark.parametrize(("name", "value", "usual"), [("busy_timeout", 100, 20000)])
def test_sqlites_modes_are_found(name, value, usual):
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {name} = {value}")
        try:
            assert found() == [("database modes", 1)]
        finally:
            cursor.execute(f"PRAGMA {name} = {usual}")


@pytest.mark.parametrize(
    ("vendor", "answers", "number"),
    [
        ("sqlite", {"PRAGMA journal_mode": "delete", "PRAGMA synchronous": "1", "PRAGMA busy_timeout": "0"}, 3),
        ("sqlite", {"PRAGMA journal_mode": "wal", "PRAGMA synchronous": "2", "PRAGMA busy_timeout": "20000"}, 0),
        ("postgresql", {"SHOW fsync": "on", "SHOW full_page_writes": "on", "SHOW synchronous_commit": "off"}, 1),
        ("postgresql", {"SHOW fsync": "off", "SHOW full_page_writes": "off", "SHOW synchronous_commit": "local"}, 2),
    ],
)
def test_what_does_not_survive_a_power_cut_is_found(monkeypatch, vendor, answers, number):
    monkeypatch.setattr(database, "_asked", answers.__getitem__)
    monkeypatch.setattr(connection, "vendor", vendor)

    assert len(list(database.modes())) == number


def test_clocks_that_differ_are_found(monkeypatch):
    monkeypatch.setattr(database, "database_now", lambda: database_now() - timedelta(seconds=5))

    assert [one.check for one in database.clock()] == ["clock"]


def test_a_clock_that_was_set_back_is_found(job, worker, token):
    Delivery.objects.update(created_at=timezone.now() + timedelta(hours=1))

    assert found() == [("clock", 1)]


def test_a_time_zone_nobody_knows_is_found(job, worker, token):
    MiniProgram.objects.update(time_zone="Mars/Olympus")

    assert found() == [("time zone", 1)]


# --- between us and WeChat -------------------------------------------------------------------------------------------


def test_secrets_no_key_opens_are_found(job, worker, token, settings):
    old = settings.CREDENTIALS_KEYS
    settings.CREDENTIALS_KEYS = [ANOTHER_KEY]
    assert checks() == ["secrets"] * 4, "the app secret, both callback keys, the access token"
    settings.CREDENTIALS_KEYS = [ANOTHER_KEY, *old]
    assert checks() == []


def test_messages_due_without_a_token_are_found(stalled, worker):
    assert found() == [("token", 1), ("jobs", 1)]


def test_with_nothing_due_an_old_token_is_no_finding(job, worker, token):
    AccessToken.objects.update(expires_at=timezone.now() - timedelta(days=1))

    assert found() == []


def test_a_token_from_a_clock_that_jumped_is_found(job, worker, token):
    AccessToken.objects.update(expires_at=timezone.now() + timedelta(hours=3))

    assert found() == [("token", 1)]


def a_push(job, **values):
    push = CallbackEvent.objects.create(
        mini_program=job.mini_program, identity=str(CallbackEvent.objects.count()), due_at=timezone.now(), **values
    )
    return CallbackEvent.objects.filter(pk=push.pk)


def test_pushes_that_failed_or_wait_are_found(job, worker, token):
    a_push(job, state="failed")
    a_push(job, state="failed").update(received_at=timezone.now() - timedelta(days=2))
    a_push(job)
    assert found() == [("callbacks", 1)]
    a_push(job).update(due_at=timezone.now() - timedelta(minutes=6))
    assert found() == [("callbacks", 1), ("callbacks", 1)]


def test_messages_accepted_without_a_single_push_are_found(job, worker, token):
    today = days.day_of(timezone.now(), zone=days.zones()[job.mini_program_id])
    tally = SendingTally.objects.create(job=job, day=today, left=30, accepted=30, counted_at=timezone.now())
    assert found() == [("callbacks", 30)]
    SendingTally.objects.filter(pk=tally.pk).update(undelivered=1)
    assert found() == []


# --- the work --------------------------------------------------------------------------------------------------------


def test_no_worker_is_found_when_work_is_left_undone(stalled, token):
    assert found() == [("worker", 1), ("jobs", 1)]


def test_without_work_there_need_be_no_worker(job, token):
    jobs.pause(job, by=factories.a_user())
    Delivery.objects.update(due_at=timezone.now() - timedelta(hours=1))

    assert found() == []


def test_a_worker_whose_queue_is_frozen_is_found(job, worker, token):
    WorkerNode.objects.update(pulse_at=timezone.now() - timedelta(minutes=2))

    assert found() == [("worker", 1)]


def test_bells_nobody_answers_and_a_long_queue_are_found(job, worker, token, monkeypatch):
    Bell.objects.create(name="upkeep", rung_at=timezone.now() - timedelta(minutes=2))
    Bell.objects.create(name="callbacks", rung_at=timezone.now())
    assert found() == [("queue", 1)]
    monkeypatch.setattr(work, "LONGEST_QUEUE", 1)
    for _ in range(2):
        async_task("notify_platform.core.queue.answer_pulse", save=False)
    assert found() == [("queue", 1), ("queue", 2)]


def test_a_job_that_stands_still_is_found_with_its_cause(stalled, worker, token):
    (finding,) = examination.examine()

    assert (finding.check, finding.count) == ("jobs", 1)
    assert str(stalled.pk) in finding.sentence
    assert "log" in finding.cure


@pytest.fixture
def weekly(job, worker, token):
    """A series of every day at noon, agreed to."""
    pattern = factories.a_job(job.template)
    rule = {"weekdays": range(1, 8), "at_time": time(12), "within_hours": 2, "ends_on": None}
    made = series.schedule(pattern, by=factories.a_user(), starts_on=timezone.localdate(), **rule)
    jobs.submit(pattern, by=factories.a_user())
    return made


def test_a_series_that_waits_for_its_day_is_no_finding(weekly):
    assert found() == []


@pytest.mark.parametrize("days_off", [None, 2, -2], ids=["forgotten", "passed over", "not made"])
def test_a_series_whose_occurrence_is_missing_is_found(weekly, days_off):
    next_at = weekly.next_at + timedelta(days=days_off) if days_off else None
    Series.objects.update(next_at=next_at)

    assert found() == [("series", 1)]


def test_a_series_that_is_paused_is_no_finding(weekly):
    series.pause(weekly, by=factories.a_user())
    Series.objects.update(next_at=None)

    assert found() == []


def test_tallies_nobody_counts_are_found(job, worker, token):
    DriverLease.objects.create(name="turn/tallies", until=timezone.now() - timedelta(hours=2))

    assert found() == [("tallies", 1)]


def test_tallies_that_are_wrong_are_found_and_counted_again(job, worker, token, capsys):
    yesterday = timezone.now() - timedelta(days=1)
    SendJob.objects.update(state="finished", started_at=yesterday, ended_at=yesterday)
    Delivery.objects.update(state="failed", error_code=43101, armed_at=yesterday, settled_at=yesterday)
    sending.tally_lately()
    assert found() == []
    SendingTally.objects.update(failed=7)
    assert found() == [("tallies", 1)]

    call_command("doctor", recount=True)

    assert found() == []
