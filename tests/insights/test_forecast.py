"""The forecast equals a count unit by unit."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notify_platform.insights import forecast
from notify_platform.insights.projection import project, whole
from subscriptions.grants import ledger
from subscriptions.models import Drift, ExpectedDemand, Grant, Subscriber, Subscription
from templates_app.models import MessageTemplate
from tests import factories

pytestmark = pytest.mark.django_db

AHEAD = 14


def a_random_world(seed, *, zone="Asia/Shanghai", templates=3):
    """People with units of every state, some of whom no card reaches any more, and some demand."""
    random = Random(seed)
    program = factories.a_mini_program(time_zone=zone)
    people = factories.subscribers(program, count=12)
    for _ in range(templates):
        template = factories.a_template(program, validity_days=random.choice([None, 3, 10, 30]))
        for _round in range(4):
            some = random.sample(people, k=random.randint(0, 8))
            factories.grants(
                template, to=some, units=random.randint(1, 3), age=timedelta(hours=random.randrange(24 * 12))
            )
        taken = ledger.reserve(template=template, subscriber_ids=[person.pk for person in random.sample(people, k=4)])
        ledger.spend(list(taken.values())[:2])
        for state in ("banned", "suspended", "on"):
            relation = Subscription.objects.filter(template=template, subscriber=random.choice(people))
            relation.update(state=state, muted_at=timezone.now() if state == "on" else None)
        ledger.turn_off([ledger.TurnedOff(template.pk, random.choice(people).pk, timezone.now())])
        for ahead in random.sample(range(AHEAD), k=6):
            day = local_day(timezone.now(), program) + timedelta(days=ahead)
            ExpectedDemand.objects.create(template=template, day=day, messages=random.random() * 5, per_person=0)
    Subscriber.objects.filter(pk=people[0].pk).update(main_switch_off_at=timezone.now())
    Subscriber.objects.filter(pk=people[1].pk).update(invalid_at=timezone.now())
    return program


def local_day(moment, program):
    return moment.astimezone(ZoneInfo(program.time_zone)).date()


def is_reachable(unit):
    if unit.subscriber.main_switch_off_at or unit.subscriber.invalid_at:
        return False
    relation = Subscription.objects.get(template=unit.template, subscriber=unit.subscriber)
    return relation.state == "on" and relation.muted_at is None


def counted_by_hand(template, program):
    """What stands in the forecast, from each unit by itself."""
    today = local_day(timezone.now(), program)
    ends, suspended = Counter(), 0
    for unit in Grant.objects.filter(template=template, state="available").select_related("subscriber"):
        if unit.expires_at and unit.expires_at <= timezone.now():
            continue
        if is_reachable(unit):
            ahead = (local_day(unit.expires_at, program) - today).days if unit.expires_at else None
            ends[ahead if ahead is None or ahead < AHEAD else "later"] += 1
        else:
            suspended += 1
    demand = [0.0] * AHEAD
    for row in ExpectedDemand.objects.filter(template=template):
        demand[(row.day - today).days] = row.messages
    lapsing = [ends[ahead] for ahead in range(AHEAD)]
    projection = project(lapsing=lapsing, lasting=ends[None] + ends["later"], demand=whole(demand))
    return {
        "available": ends.total(),
        "suspended": suspended,
        "later": ends["later"],
        "endless": ends[None],
        "lapsing": lapsing,
        "days": [today + timedelta(days=ahead) for ahead in range(AHEAD)],
        "ahead": list(projection.days),
    }


def told(outlook):
    return {
        "available": outlook.available,
        "suspended": outlook.suspended,
        "later": outlook.later,
        "endless": outlook.endless,
        "lapsing": [day.lapsing for day in outlook.days],
        "days": [day.day for day in outlook.days],
        "ahead": [day.ahead for day in outlook.days],
    }


@pytest.mark.parametrize(("seed", "zone"), [(1, "Asia/Shanghai"), (2, "America/New_York"), (3, "Pacific/Auckland")])
def test_the_forecast_equals_a_count_unit_by_unit(seed, zone):
    program = a_random_world(seed, zone=zone)
    a_random_world(seed + 10)

    found = {outlook.template.pk: told(outlook) for outlook in forecast.of_mini_program(program)}

    by_hand = {template.pk: counted_by_hand(template, program) for template in program.templates.all()}
    assert found == by_hand
    assert sum(each["suspended"] for each in found.values()) > 0
    assert sum(each["available"] for each in found.values()) > 10


def test_units_belong_to_the_local_day_they_end_on(time_machine):
    """At 23:30 in Shanghai a unit that ends at 23:59 ends today, and one that ends at midnight ends tomorrow."""
    time_machine.move_to(datetime(2026, 11, 25, 15, 30, tzinfo=UTC), tick=False)
    program = factories.a_mini_program()
    template = factories.a_template(program, validity_days=1)
    people = factories.subscribers(program, count=3)
    for person, minutes in zip(people, (29, 30, 30 + 24 * 60), strict=True):
        factories.grants(template, to=[person], age=timedelta(days=1) - timedelta(minutes=minutes))

    (outlook,) = forecast.of_mini_program(program)

    assert outlook.days[0].day == date(2026, 11, 25)
    assert [day.lapsing for day in outlook.days[:4]] == [1, 1, 1, 0]


def test_a_day_with_25_hours_is_one_day(time_machine):
    """New York, the first of November 2026: 24 hours and 30 minutes after its midnight it is still the same day."""
    time_machine.move_to(datetime(2026, 11, 1, 4, 30, tzinfo=UTC), tick=False)
    program = factories.a_mini_program(time_zone="America/New_York")
    template = factories.a_template(program, validity_days=1)
    factories.grants(template, to=factories.subscribers(program, count=1))

    (outlook,) = forecast.of_mini_program(program)

    assert [day.lapsing for day in outlook.days[:2]] == [1, 0]


def test_the_first_short_day_and_what_is_lost_before():
    program = factories.a_mini_program()
    template = factories.a_template(program, validity_days=3)
    factories.grants(template, to=factories.subscribers(program, count=4))
    today = local_day(timezone.now(), program)
    ExpectedDemand.objects.create(template=template, day=today + timedelta(days=1), messages=1, per_person=1)
    ExpectedDemand.objects.create(template=template, day=today + timedelta(days=5), messages=2, per_person=1)

    (outlook,) = forecast.of_mini_program(program)

    assert (outlook.short_on, outlook.use_or_lose, outlook.expected) == (today + timedelta(days=5), 3, 3)


def test_long_term_templates_need_no_units_and_are_left_out():
    program = factories.a_mini_program()
    factories.a_template(program, kind=MessageTemplate.Kind.LONG_TERM)
    assert forecast.of_mini_program(program) == []


def test_drift_of_the_last_seven_days_is_summed_by_template():
    program = factories.a_mini_program()
    template = factories.a_template(program)
    (person,) = factories.subscribers(program, count=1)
    for units, ago in ((2, 1), (3, 6), (7, 8)):
        Drift.objects.create(subscriber=person, template=template, units=units, at=timezone.now() - timedelta(days=ago))

    (outlook,) = forecast.of_mini_program(program)

    assert outlook.drift == 5


def test_a_forecast_takes_the_same_queries_for_one_template_as_for_many():
    def queries(program):
        with CaptureQueriesContext(connection) as captured:
            forecast.of_mini_program(program)
        return len(captured)

    assert queries(a_random_world(5, templates=1)) == queries(a_random_world(6, templates=7)) == 6
