"""The books find what should be impossible, once somebody has made it possible."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from notify_platform.delivery import claims, fanout
from notify_platform.delivery.models import Delivery, Skip
from notify_platform.insights import books, funnels
from notify_platform.jobs.models import SendJob
from subscriptions.models import Grant, Subscription
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def job():
    """Three people, two with consent; one message is claimed."""
    template = factories.a_template(factories.a_mini_program())
    people = factories.subscribers(template.mini_program, count=3)
    factories.grants(template, to=people[:2], units=2)
    job = factories.a_running_job(template)
    fanout.step(job)
    claims.claim(job, limit=1, wordings=claims.Wordings())
    return job


def breaches():
    return {breach.invariant: breach.count for breach in books.check()}


def test_books_in_order_have_no_breach(job):
    assert breaches() == {}


def test_a_lost_person_is_found(job):
    Skip.objects.all().delete()

    assert breaches() == {"7 everybody is accounted for": 1}


def test_an_invented_person_is_found(job):
    SendJob.objects.update(audience_size=4)

    assert breaches() == {"7 everybody is accounted for": 1}


def test_a_consent_reserved_for_nobody_is_found(job):
    Grant.objects.filter(state=Grant.State.AVAILABLE).update(state=Grant.State.RESERVED)

    assert breaches() == {"1 a reserved grant has its message": 3}


def test_a_message_whose_consent_is_free_again_is_found(job):
    Grant.objects.update(state=Grant.State.AVAILABLE)

    assert breaches() == {"1 grant and message agree": 1}


def test_the_consent_of_another_template_is_found(job):
    other = factories.a_template(job.mini_program)
    Grant.objects.filter(state=Grant.State.RESERVED).update(template=other)

    assert breaches() == {"6 consent fits its message": 1}


def test_a_consent_used_after_its_end_is_found(job):
    now = timezone.now()
    Delivery.objects.filter(state="claimed").update(state="sending", armed_at=now)
    Grant.objects.filter(state=Grant.State.RESERVED).update(expires_at=now - timedelta(hours=1))

    assert breaches() == {"6 consent is used in time": 1}


def test_a_void_consent_in_stock_is_found(job):
    Subscription.objects.update(turned_off_at=timezone.now())

    assert breaches() == {"6 a void consent is not in stock": 3}


def test_a_job_that_ended_too_early_is_found(job):
    SendJob.objects.update(state=SendJob.State.FINISHED)

    assert breaches() == {"9 finished means finished": 1}


def test_a_lease_nobody_reaps_is_found(job):
    Delivery.objects.filter(state="claimed").update(lease_until=timezone.now() - timedelta(hours=1))

    assert breaches() == {"4 leases lapse": 1}


def test_the_doctor_says_so_with_its_exit_status(job, capsys):
    call_command("doctor")
    assert "✓" in capsys.readouterr().out

    SendJob.objects.update(audience_size=4)
    with pytest.raises(CommandError, match="1 of 11"):
        call_command("doctor")
    with pytest.raises(CommandError):
        call_command("doctor", json=True)
    findings = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [(found["invariant"], found["count"]) for found in findings] == [("7 everybody is accounted for", 1)]


def test_a_funnel_counts_everybody_once_in_three_queries(job, django_assert_num_queries):
    with django_assert_num_queries(3):
        funnel = funnels.of_job(job)

    assert funnel.audience == 3
    assert funnel.by_state == {"claimed": 1, "waiting": 1}
    assert funnel.not_sent == {"no_consent": 1}
    assert (funnel.left, funnel.accepted, funnel.is_balanced) == (2, 0, True)
