"""From a job to rows: everybody of the frozen audience ends in exactly one of them."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notify_platform.delivery import fanout
from notify_platform.delivery.models import Delivery, Reason, Skip
from notify_platform.jobs import variants
from notify_platform.jobs.models import SendJob
from subscriptions.grants import ledger
from subscriptions.models import Audience, AudienceMember, Subscriber, Subscription
from tests import factories

pytestmark = pytest.mark.django_db


def freeze(job, *, steps=100):
    for _ in range(steps):
        if not fanout.step(job):
            break
    job.refresh_from_db()


def names(rows):
    return sorted(rows.values_list("subscriber_id", flat=True))


def pks(people):
    return sorted(person.pk for person in people)


def test_people_with_consent_wait_and_the_others_are_skipped_with_the_reason(template):
    holders = factories.subscribers(template.mini_program, count=3)
    others = factories.subscribers(template.mini_program, count=2)
    factories.grants(template, to=holders)
    job = factories.a_running_job(template)

    freeze(job)

    assert names(Delivery.objects.filter(state=Delivery.State.WAITING)) == pks(holders)
    assert names(Skip.objects.filter(reason=Reason.NO_CONSENT)) == pks(others)
    assert job.audience_size == 5
    assert job.fanned_out_at is not None


def test_small_steps_reach_the_same_end(template, monkeypatch):
    monkeypatch.setattr(fanout, "STEP", 2)
    people = factories.subscribers(template.mini_program, count=5)
    factories.grants(template, to=people[::2])
    job = factories.a_running_job(template)

    assert [fanout.step(job), fanout.step(job), fanout.step(job)] == [True, True, False]

    job.refresh_from_db()
    assert (job.audience_size, Delivery.objects.count(), Skip.objects.count()) == (5, 3, 2)
    assert job.fanned_out_at is not None


def test_every_variant_goes_to_its_share_whatever_the_size_of_the_steps(template, monkeypatch):
    monkeypatch.setattr(fanout, "STEP", 7)
    people = factories.subscribers(template.mini_program, count=60)
    factories.grants(template, to=people)
    job = factories.a_running_job(template, variants={"B": {"thing1": "另一种水果"}})
    shares = dict(Subscriber.objects.annotate(of=variants.assigned(job)).values_list("pk", "of"))

    freeze(job)

    assert dict(Delivery.objects.values_list("subscriber", "variant")) == shares
    assert set(shares.values()) == set(job.variants.values_list("pk", flat=True))


def test_a_step_somebody_else_took_adds_nothing(template):
    factories.grants(template, to=factories.subscribers(template.mini_program, count=2))
    job = factories.a_running_job(template)
    slow = SendJob.objects.get(pk=job.pk)
    freeze(job)

    assert not fanout.step(slow)

    job.refresh_from_db()
    assert (job.audience_size, Delivery.objects.count()) == (2, 2)


def test_people_who_come_after_the_start_are_not_of_this_audience(template):
    factories.grants(template, to=factories.subscribers(template.mini_program, count=1))
    job = factories.a_running_job(template)
    factories.grants(template, to=factories.subscribers(template.mini_program, count=1))

    freeze(job)

    assert (job.audience_size, Delivery.objects.count()) == (1, 1)


def test_a_unit_in_use_still_counts_because_it_may_come_back(template):
    person = factories.subscribers(template.mini_program, count=1)[0]
    factories.grants(template, to=[person])
    ledger.reserve(template=template, subscriber_ids=[person.pk])
    job = factories.a_running_job(template)

    freeze(job)

    assert names(Delivery.objects.all()) == [person.pk]


def test_a_long_term_template_goes_by_the_standing_subscription(mini_program):
    template = factories.a_template(mini_program, kind="long_term")
    on, off, never = factories.subscribers(mini_program, count=3)
    factories.grants(template, to=[on, off])
    Subscription.objects.filter(subscriber=off).update(state=Subscription.State.OFF)
    job = factories.a_running_job(template)

    freeze(job)

    assert names(Delivery.objects.filter(is_counted=False)) == [on.pk]
    assert names(Skip.objects.all()) == pks([off, never])


def test_an_uploaded_list_is_the_audience(template):
    people = factories.subscribers(template.mini_program, count=4)
    factories.grants(template, to=people)
    listed = Audience.objects.create(mini_program=template.mini_program, name="List", kind=Audience.Kind.LIST)
    AudienceMember.objects.bulk_create(AudienceMember(audience=listed, subscriber=person) for person in people[:2])
    job = factories.a_running_job(template, audience=listed)

    freeze(job)

    assert names(Delivery.objects.all()) == pks(people[:2])
    assert job.audience_size == 2


def test_a_rule_is_the_audience(template):
    here = factories.subscribers(template.mini_program, count=2, region="浙江")
    elsewhere = factories.subscribers(template.mini_program, count=1, region="四川")
    factories.grants(template, to=[*here, *elsewhere])
    rule = Audience.objects.create(mini_program=template.mini_program, name="Zhejiang", rule={"regions": ["浙江"]})
    job = factories.a_running_job(template, audience=rule)

    freeze(job)

    assert names(Delivery.objects.all()) == pks(here)


def test_a_paused_job_is_not_fanned_out(template):
    factories.grants(template, to=factories.subscribers(template.mini_program, count=1))
    job = factories.a_running_job(template)
    SendJob.objects.update(state=SendJob.State.PAUSED)

    assert not fanout.step(job)
    assert (Delivery.objects.count(), Skip.objects.count()) == (0, 0)


def test_the_queries_of_a_step_do_not_grow_with_the_people(template):
    def count(people):
        factories.grants(template, to=factories.subscribers(template.mini_program, count=people))
        job = factories.a_running_job(template)
        with CaptureQueriesContext(connection) as queries:
            fanout.step(job)
        return len(queries)

    assert count(1) == count(200)
