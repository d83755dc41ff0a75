"""What Prometheus is told, and what it costs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.db.utils import OperationalError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from notify_platform.alerts import alerts
from notify_platform.alerts.models import Alert
from notify_platform.callbacks.models import CallbackEvent
from notify_platform.console import figures
from notify_platform.core import queue
from notify_platform.core.models import Bell, WorkerNode
from notify_platform.delivery import claims, fanout, pacing, speed
from notify_platform.delivery.models import Delivery
from notify_platform.insights import sending, stock
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob
from subscriptions.models import Drift
from templates_app.models import AccessToken
from tests import factories

pytestmark = pytest.mark.django_db
TOKEN = "scrape-me-9f2c"


@pytest.fixture(autouse=True)
def token(settings):
    settings.METRICS_TOKEN = TOKEN


@pytest.fixture
def scrape(client):
    """Return what the page says: (name, the values of its labels) → figure."""

    def scrape():
        answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200
        families = list(text_string_to_metric_families(answer.content.decode()))
        assert all(family.documentation for family in families)
        return {
            (sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples
        }

    return scrape


@pytest.fixture
def job():
    """Three people with one consent each, of a job that runs."""
    template = factories.a_template(factories.a_mini_program())
    people = factories.subscribers(template.mini_program, count=3)
    factories.grants(template, to=people)
    job = factories.a_running_job(template)
    fanout.step(job)
    return job


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer ä"])
def test_without_the_token_nothing_is_told(client, header):
    answer = client.get("/metrics", headers={"Authorization": header})

    assert (answer.status_code, answer.content) == (401, b"")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["", "Bearer ", f"Bearer {TOKEN}"])
def test_where_no_token_is_set_there_is_no_such_page(client, settings, header):
    settings.METRICS_TOKEN = ""

    assert client.get("/metrics", headers={"Authorization": header}).status_code == 404


def test_a_database_that_is_away_is_said(client, monkeypatch):
    def away(scrape):
        raise OperationalError

    monkeypatch.setattr(figures, "_QUESTIONS", (away,))
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})

    assert answer.status_code == 503


def test_an_empty_installation_has_its_figures(scrape):
    told = scrape()

    assert told["notify_workers",] == 0
    assert [name for name, *_labels in told if name == "notify_build_info"] == ["notify_build_info"]


def test_messages_of_a_running_job(scrape, job):
    app = job.mini_program.app_id
    claims.claim(job, limit=1, wordings=claims.Wordings())
    Delivery.objects.filter(state="waiting").update(due_at=timezone.now() - timedelta(seconds=90))
    speed.note({job.pk: 30})

    told = scrape()

    assert told["notify_deliveries_due", app] == 2
    assert 90 <= told["notify_deliveries_due_oldest_seconds", app] < 600
    assert told["notify_deliveries_per_second", app] > 0
    assert told["notify_deliveries_in_flight", app, "claimed"] == 1
    assert told["notify_deliveries_in_flight", app, "sending"] == 0
    assert told["notify_leases_lapsed", app] == 0
    Delivery.objects.filter(state="claimed").update(lease_until=timezone.now() - timedelta(seconds=1))
    assert scrape()["notify_leases_lapsed", app] == 1


def test_what_waits_for_its_moment_or_for_a_person_is_not_due(scrape, job):
    app = job.mini_program.app_id
    Delivery.objects.update(due_at=timezone.now() + timedelta(hours=1))
    assert scrape()["notify_deliveries_due", app] == 0
    Delivery.objects.update(due_at=timezone.now())
    jobs.pause(job, by=factories.a_user())

    told = scrape()

    assert told["notify_deliveries_due", app] == 0
    assert told["notify_deliveries_due_oldest_seconds", app] == 0
    assert told["notify_jobs", app, "paused"] == 1
    assert told["notify_jobs", app, "running"] == 0
    assert told["notify_jobs_paused", app, "operator"] == 1
    assert told["notify_jobs_paused", app, "account"] == 0


def test_a_long_queue_is_counted_up_to_a_limit(scrape, job, monkeypatch):
    monkeypatch.setattr(figures, "MOST", 2)

    assert scrape()["notify_deliveries_due", job.mini_program.app_id] == 2


def test_unknown_results(scrape, job):
    claim = claims.claim(job, limit=1, wordings=claims.Wordings())
    claims.arm(claim.token, delivery_ids=[message.delivery_id for message in claim.messages])
    hour = timezone.now() - timedelta(hours=1)
    Delivery.objects.filter(state="sending").update(state="unknown", armed_at=hour, lease_until=None)

    told = scrape()

    assert told["notify_deliveries_unknown", job.mini_program.app_id] == 1
    assert told["notify_deliveries_unknown_oldest_seconds", job.mini_program.app_id] >= 3600


def test_outcomes_and_refusals_come_from_the_tallies(scrape, job):
    app, now = job.mini_program.app_id, timezone.now()
    first, second, _third = Delivery.objects.order_by("pk").values_list("pk", flat=True)
    Delivery.objects.filter(pk=first).update(state="failed", error_code=43101, armed_at=now, settled_at=now)
    Delivery.objects.filter(pk=second).update(state="failed", error_code=99999, armed_at=now, settled_at=now)
    assert ("notify_messages_total", app, "left") not in scrape()
    sending.tally_lately()

    told = scrape()

    assert told["notify_messages_total", app, "left"] == 2
    assert told["notify_messages_total", app, "failed"] == 2
    assert told["notify_refusals_total", app, "43101", "not_subscribed"] == 1
    assert told["notify_refusals_total", app, "99999", "other"] == 1


def test_consent_comes_from_its_tally(scrape, job):
    app = job.mini_program.app_id
    person = Delivery.objects.order_by("pk").first().subscriber
    factories.grants(job.template, to=[person], age=timedelta(days=6, hours=1))
    stock.tally()
    Drift.objects.create(subscriber=person, template=job.template, units=2, at=timezone.now())

    told = scrape()

    assert told["notify_consent_available", app] == 4
    assert told["notify_consent_lapsing", app] == 1
    assert told["notify_consent_drift", app] == 2


def test_callbacks(scrape, job):
    app, now = job.mini_program.app_id, timezone.now()
    CallbackEvent.objects.create(mini_program=job.mini_program, identity="1", due_at=now)
    CallbackEvent.objects.create(mini_program=job.mini_program, identity="2", due_at=now, state="failed")
    CallbackEvent.objects.update(received_at=now - timedelta(minutes=5))

    told = scrape()

    assert told["notify_callbacks_pending", app] == 1
    assert told["notify_callbacks_pending_oldest_seconds", app] >= 300
    assert told["notify_callbacks_failed", app] == 1
    assert told["notify_callback_last_seconds",] >= 300


def test_alerts_tokens_pace_and_series(scrape, job):
    app, now = job.mini_program, timezone.now()
    alerts.raise_alert(app, kind=Alert.Kind.APP_BANNED, detail="x")
    AccessToken.objects.create(
        mini_program=app, token="t", fetched_at=now - timedelta(hours=1), expires_at=now + timedelta(hours=1)
    )
    pacing.hold(pacing.pace_of(app), seconds=60)
    pacing.book(pacing.pace_of(app), count=3, per_second=1000)

    told = scrape()

    assert told["notify_alerts_open", app.app_id, "app_banned"] == 1
    assert told["notify_alerts_open", app.app_id, "strange_code"] == 0
    assert 3600 <= told["notify_token_age_seconds", app.app_id] < 3700
    assert 3500 < told["notify_token_left_seconds", app.app_id] <= 3600
    assert 50 < told["notify_pace_held_seconds", app.app_id] <= 60
    assert told["notify_budget_left", app.app_id] == app.daily_budget - 3
    assert told["notify_series_late_seconds", app.app_id] == 0


def test_workers_and_the_queue(scrape, job):
    now = timezone.now()
    WorkerNode.objects.create(name="a:1", started_at=now, beat_at=now, pulse_at=now - timedelta(seconds=8))
    WorkerNode.objects.create(name="b:2", started_at=now, beat_at=now - timedelta(minutes=1), pulse_at=now)
    Bell.objects.create(name="upkeep", rung_at=now - timedelta(seconds=30))
    queue.take_turn("tallies", every=timedelta(seconds=-10))

    told = scrape()

    assert told["notify_workers",] == 1
    assert told["notify_worker_beat_age_seconds",] < 10
    assert 8 <= told["notify_worker_pulse_age_seconds",] < 30
    assert told["notify_queue_oldest_bell_seconds",] >= 30
    assert told["notify_queue_tasks",] == 0
    assert told["notify_turn_overdue_seconds", "tallies"] >= 10


def test_the_number_of_questions_does_not_grow(scrape, job):
    def questions() -> int:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            scrape()
        return len(asked)

    pacing.pace_of(job.mini_program)
    few = questions()
    for _ in range(3):
        template = factories.a_template(factories.a_mini_program())
        factories.grants(template, to=factories.subscribers(template.mini_program, count=2))
        for _ in range(2):
            fanout.step(factories.a_running_job(template))
    sending.tally_lately()
    stock.tally()

    assert questions() == few
    assert few <= 28
    assert SendJob.objects.filter(state="running").count() == 7


def test_nothing_of_people_and_no_secret_is_told(client, job):
    AccessToken.objects.create(mini_program=job.mini_program, token="68_secret", fetched_at=timezone.now())
    text = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).content.decode()

    people = Delivery.objects.values_list("subscriber__openid", flat=True)
    hidden = [*people, "68_secret", job.mini_program.app_secret, job.mini_program.callback_token, TOKEN, job.name]
    assert [each for each in hidden if each in text] == []
