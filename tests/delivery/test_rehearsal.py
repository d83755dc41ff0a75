"""The dry run: what it says a job would do is what the engine then does."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, time, timedelta

import pytest
from django.db import connection, transaction
from django.db.models import Count, Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notify_platform.delivery import claims, fanout, rehearsal
from notify_platform.delivery.claims import Wordings
from notify_platform.delivery.dry_runs import Rehearsal
from notify_platform.delivery.models import Delivery, Reason, Skip
from notify_platform.delivery.rehearsal import rehearse
from notify_platform.jobs import jobs, variants
from notify_platform.jobs.models import SendJob
from subscriptions.models import Audience, Grant, Subscriber, Subscription
from templates_app.models import MessageTemplate, MiniProgram
from tests import factories

pytestmark = pytest.mark.django_db


def run(job):
    """Start a draft and take everything through the gates; return people by reason ("" for those who get it)."""
    jobs.submit(job, by=None)
    if job.state == SendJob.State.SUBMITTED:
        jobs.approve(job, by=factories.a_user())
    jobs.start(job)
    while fanout.step(job):
        pass
    job = SendJob.objects.get(pk=job.pk)
    wordings = Wordings()
    while claims.claim(job, limit=100, wordings=wordings).looked_at:
        pass
    became = Counter(Skip.objects.filter(job=job).values_list("reason", flat=True))
    became.update(Delivery.objects.filter(job=job).values_list("reason", flat=True))
    return dict(became)


def expected(found: Rehearsal):
    """The same of a dry run."""
    became = Counter({loss.reason: loss.people for loss in found.losses})
    became.update({wait.reason: wait.people for wait in found.waits})
    became[""] += found.now
    return {reason: people for reason, people in became.items() if people}


def relate(person, template, **values):
    Subscription.objects.update_or_create(subscriber=person, template=template, defaults=values)


def a_crowd(template):
    """People with every reason there is, and some with two."""
    now = timezone.now()
    people = factories.subscribers(template.mini_program, count=16)
    factories.grants(template, to=people[2:], units=2)
    change = {
        2: {"invalid_at": now},
        3: {"main_switch_off_at": now},
        4: {"paused_until": now + timedelta(days=2)},
        5: {"paused_until": now + timedelta(days=40)},
        6: {"quiet_from": (now - timedelta(hours=2)).time(), "quiet_until": (now + timedelta(hours=2)).time(),
            "time_zone": "UTC"},
        7: {"nickname": ""},
        8: {"invalid_at": now, "main_switch_off_at": now},
        9: {"time_zone": "Mars/Olympus"},
        10: {"paused_until": now - timedelta(days=1)},
    }  # fmt: skip
    for number, values in change.items():
        Subscriber.objects.filter(pk=people[number].pk).update(**values)
    relate(people[11], template, muted_at=now)
    relate(people[12], template, state="off")
    relate(people[13], template, state="suspended", muted_at=now)
    Grant.objects.filter(subscriber=people[14]).update(expires_at=now - timedelta(minutes=5))
    return people


def an_audience(mini_program, *, kind):
    """Everybody, by the empty rule, by one that fits them all, or by name."""
    if kind == "everybody":
        return factories.everybody(mini_program)
    Subscriber.objects.update(region="浙江")
    if kind == "rule":
        return Audience.objects.create(mini_program=mini_program, name="Rule", rule={"regions": ["浙江"]})
    audience = Audience.objects.create(mini_program=mini_program, name="List", kind=Audience.Kind.LIST)
    audience.members.set(Subscriber.objects.all())
    return audience


@pytest.mark.parametrize("kind", ["everybody", "rule", "list"])
def test_it_says_what_the_engine_then_does(mini_program, kind):
    template = factories.a_template(mini_program)
    people = a_crowd(template)
    audience = an_audience(mini_program, kind=kind)
    job = factories.a_job(template, audience=audience, texts={"thing1": "{{ nickname }}的订单"})
    capped = factories.a_running_job(factories.a_template(mini_program, kind="long_term"))
    Delivery.objects.create(
        mini_program=mini_program, job=capped, variant=capped.variants.get(), template=capped.template,
        subscriber=people[15], is_counted=False, state="accepted", due_at=timezone.now(), armed_at=timezone.now(),
    )  # fmt: skip
    MiniProgram.objects.filter(pk=mini_program.pk).update(cap_per_day=1)
    job = SendJob.objects.get(pk=job.pk)

    found = rehearse(job)

    assert expected(found) == {
        "": 2,
        Reason.NO_CONSENT: 3,
        Reason.UNREACHABLE: 2,
        Reason.SWITCHED_OFF: 3,
        Reason.MUTED: 1,
        Reason.PERSON_PAUSED: 2,
        Reason.CAP: 1,
        Reason.QUIET_HOURS: 1,
        Reason.CONTENT: 1,
    }
    assert expected(found) == run(job)
    assert found.audience == 16 == sum(expected(found).values())


def test_each_of_several_variants_is_written_for_those_who_get_it(mini_program):
    template = factories.a_template(mini_program)
    factories.grants(template, to=factories.subscribers(mini_program, count=60, nickname=""))
    job = factories.a_job(template, variants={"B": {"thing1": "{{ nickname }}的订单"}})
    of_b = Count("pk", filter=Q(of=job.variants.get(name="B").pk))
    nobody_for_b = Subscriber.objects.annotate(of=variants.assigned(job)).aggregate(of_b=of_b)["of_b"]

    found = rehearse(job)

    assert 0 < nobody_for_b < 60
    assert expected(found) == {"": 60 - nobody_for_b, Reason.CONTENT: nobody_for_b}
    assert expected(found) == run(job)


def test_a_long_term_template_goes_by_the_standing_subscription_and_costs_nothing(mini_program):
    template = factories.a_template(mini_program, kind="long_term")
    on, off, _never = factories.subscribers(mini_program, count=3)
    factories.grants(template, to=[on, off])
    relate(off, template, state="off")
    job = factories.a_job(template)

    found = rehearse(job)

    assert (found.units, found.stock, found.lapsing) == (0, 0, 0)
    assert expected(found) == {"": 1, Reason.NO_CONSENT: 2} == run(job)


def test_it_tells_the_cost_and_what_is_left_and_what_of_that_ends_soon(mini_program):
    template = factories.a_template(mini_program, validity_days=30)
    people = factories.subscribers(mini_program, count=3)
    factories.grants(template, to=people, units=2)
    factories.grants(template, to=people[:1], age=timedelta(days=25))
    elsewhere = factories.subscribers(mini_program, count=1)
    factories.grants(template, to=elsewhere, age=timedelta(days=24))
    audience = factories.everybody(mini_program)
    audience.rule = {"regions": ["浙江"]}
    audience.save()
    Subscriber.objects.filter(pk__in=[person.pk for person in people]).update(region="浙江")

    found = rehearse(factories.a_job(template))

    # Eight units; three go, the one that ends in five days among them.
    assert (found.audience, found.units, found.stock, found.lapsing) == (3, 3, 5, 1)


def test_a_unit_has_to_last_until_its_person_may_be_written_to(mini_program):
    template = factories.a_template(mini_program, validity_days=1)
    short, long = factories.subscribers(mini_program, count=2, paused_until=timezone.now() + timedelta(hours=6))
    factories.grants(template, to=[short], age=timedelta(hours=20))
    factories.grants(template, to=[long])

    found = rehearse(factories.a_job(template))

    assert expected(found) == {Reason.NO_CONSENT: 1, Reason.PERSON_PAUSED: 1}
    assert [wait.samples for wait in found.waits] == [(long.pk,)]


def test_it_looks_at_the_moment_the_job_starts(mini_program, monkeypatch):
    monkeypatch.setattr(rehearsal, "database_now", lambda: datetime(2026, 11, 23, 4, tzinfo=UTC))
    MiniProgram.objects.update(quiet_from=time(22), quiet_until=time(8))
    template = factories.a_template(MiniProgram.objects.get(), validity_days=None)
    people = factories.subscribers(mini_program, count=2)
    factories.grants(template, to=people)

    noon = rehearse(factories.a_job(template))
    night = rehearse(factories.a_job(template, starts_at=datetime(2026, 11, 23, 15, tzinfo=UTC)))

    assert (noon.now, noon.waits) == (2, ())
    assert (night.now, night.later, night.at) == (0, 2, datetime(2026, 11, 23, 15, tzinfo=UTC))
    assert night.until == datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def night(mini_program, monkeypatch):
    """Eleven in the evening, an hour into the mini-program's quiet hours."""
    monkeypatch.setattr(rehearsal, "database_now", lambda: datetime(2026, 11, 23, 15, tzinfo=UTC))
    MiniProgram.objects.update(quiet_from=time(22), quiet_until=time(8))
    return MiniProgram.objects.get()


def test_of_those_who_wait_alike_the_unit_of_each_has_to_last_until_the_morning(night):
    template = factories.a_template(night)
    short, both, long, endless = factories.subscribers(night, count=4)
    factories.grants(template, to=[short, both])
    Grant.objects.update(expires_at=datetime(2026, 11, 23, 22, tzinfo=UTC))
    factories.grants(template, to=[short, both, long, endless])
    Grant.objects.filter(subscriber__in=[both, long]).exclude(expires_at__day=23).update(
        expires_at=datetime(2026, 12, 25, tzinfo=UTC)
    )
    Grant.objects.filter(subscriber=short).update(expires_at=datetime(2026, 11, 23, 22, tzinfo=UTC))
    Grant.objects.filter(subscriber=endless).update(expires_at=None)

    found = rehearse(factories.a_job(template))

    assert expected(found) == {Reason.NO_CONSENT: 1, Reason.QUIET_HOURS: 3}
    assert found.losses[0].samples == (short.pk,)
    assert {*found.waits[0].samples} <= {both.pk, long.pk, endless.pk}
    # What is left: both units of the one who gets nothing, and the later one of the one who has two.
    assert (found.units, found.stock, found.lapsing) == (3, 3, 2)


def test_the_zone_of_the_mini_program_is_no_wish_and_another_one_is(night):
    template = factories.a_template(night)
    for zone, count in (("", 2), (night.time_zone, 3), ("Europe/London", 1)):
        factories.grants(template, to=factories.subscribers(night, count=count, time_zone=zone))

    assert expected(rehearse(factories.a_job(template))) == {Reason.QUIET_HOURS: 5, "": 1}


def test_who_is_forgotten_and_holds_a_unit_still_is_not_counted(mini_program):
    template = factories.a_template(mini_program)
    gone, _there = people = factories.subscribers(mini_program, count=2)
    factories.grants(template, to=people)
    Subscriber.objects.filter(pk=gone.pk).update(forgotten_at=timezone.now())

    found = rehearse(factories.a_job(template))

    assert (found.audience, expected(found)) == (1, {"": 1})


def test_after_the_deadline_nobody_gets_it(mini_program):
    template = factories.a_template(mini_program)
    people = factories.subscribers(mini_program, count=2)
    factories.grants(template, to=people)
    Subscriber.objects.filter(pk=people[0].pk).update(time_zone="Europe/London")

    found = rehearse(factories.a_job(template, not_after=timezone.now() - timedelta(days=1)))

    assert expected(found) == {Reason.TOO_LATE: 2}
    assert found.losses[1].samples == tuple(person.pk for person in people)


def test_who_cannot_get_it_before_the_deadline_is_lost(mini_program):
    template = factories.a_template(mini_program)
    factories.grants(
        template, to=factories.subscribers(mini_program, count=1, paused_until=timezone.now() + timedelta(days=2))
    )

    found = rehearse(factories.a_job(template, not_after=timezone.now() + timedelta(days=1)))

    assert (found.by_reason[Reason.PERSON_PAUSED], found.sent) == (1, 0)


def test_the_pace_of_the_job_says_how_long_it_takes(mini_program):
    template = factories.a_template(mini_program)
    factories.grants(template, to=factories.subscribers(mini_program, count=21))

    assert rehearse(factories.a_job(template)).seconds == 1
    assert rehearse(factories.a_job(template, pace_per_second=2)).seconds == 11


def test_words_for_many_are_written_for_some_and_reckoned_for_all(mini_program, monkeypatch):
    monkeypatch.setattr(rehearsal, "WRITTEN_FOR", 10)
    template = factories.a_template(mini_program)
    people = factories.subscribers(mini_program, count=40)
    nameless = factories.subscribers(mini_program, count=40, nickname="")
    factories.grants(template, to=[*people, *nameless])

    found = rehearse(factories.a_job(template, texts={"thing1": "{{ nickname }}"}))

    assert found.is_estimate
    assert (found.by_reason[Reason.CONTENT], found.now) == (40, 40)


def test_five_of_each_kind_are_named(mini_program):
    template = factories.a_template(mini_program)
    without = factories.subscribers(mini_program, count=7)

    found = rehearse(factories.a_job(template))

    assert found.losses[0].samples == tuple(person.pk for person in without[:5])


def test_unfinished_words_and_a_template_that_is_gone_are_no_reason_not_to_count(mini_program):
    template = factories.a_template(mini_program)
    factories.grants(template, to=factories.subscribers(mini_program, count=1))
    job = factories.a_job(template, texts={"thing1": "{{ nick"})

    assert (rehearse(job).now, rehearse(job).trouble) == (1, "")

    MessageTemplate.objects.update(state="missing")
    job = SendJob.objects.get()
    assert rehearse(job).trouble == "WeChat does not take messages with this template any more."


def test_it_works_on_a_job_that_is_taken_back_and_writes_nothing(mini_program):
    template = factories.a_template(mini_program)
    factories.grants(template, to=factories.subscribers(mini_program, count=1))

    with transaction.atomic():
        found = rehearse(factories.a_job(template))
        transaction.set_rollback(True)

    assert found.now == 1
    assert (SendJob.objects.count(), Delivery.objects.count(), Skip.objects.count()) == (0, 0, 0)


def test_it_can_be_kept_as_json(mini_program):
    template = factories.a_template(mini_program)
    a_crowd(template)
    found = rehearse(factories.a_job(template, texts={"thing1": "{{ nickname }}"}))

    assert Rehearsal.from_json(json.loads(json.dumps(found.as_json()))) == found


def test_the_statements_do_not_grow_with_the_people(mini_program):
    template = factories.a_template(mini_program)

    def count(people):
        factories.grants(template, to=factories.subscribers(mini_program, count=people))
        factories.subscribers(mini_program, count=people)
        job = factories.a_job(template, texts={"thing1": "{{ nickname }}"})
        with CaptureQueriesContext(connection) as queries:
            rehearse(job)
        return len(queries)

    assert count(3) == count(300)
