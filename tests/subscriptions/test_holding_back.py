"""Politeness: how often a person is asked, and when not at all."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from subscriptions.models import Answer, PromptReport, Scene, SceneTemplate, Subscription
from subscriptions.prompts import planner
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def mini_program():
    return factories.a_mini_program()


@pytest.fixture
def person(mini_program):
    return factories.subscribers(mini_program, count=1)[0]


@pytest.fixture
def template(mini_program):
    return factories.a_template(mini_program)


@pytest.fixture
def scene(mini_program, template):
    scene = Scene.objects.create(mini_program=mini_program, code="order-paid", name="Paid")
    SceneTemplate.objects.create(scene=scene, template=template)
    return scene


def codes(person, scene):
    return [reason.code for reason in planner.plan(person, scene=scene).reasons]


def answered(person, template, word, *, ago, **values):
    number = Answer.objects.count()
    return Answer.objects.create(
        subscriber=person,
        template=template,
        answer=word,
        source=values.pop("source", "client"),
        request_key=f"r{number}",
        answered_at=timezone.now() - ago,
        **values,
    )


def reports(person, *, count=1, ago=timedelta(hours=1), **values):
    start = PromptReport.objects.count()
    PromptReport.objects.bulk_create(
        PromptReport(subscriber=person, request_key=f"r{start + number}", answered_at=timezone.now() - ago, **values)
        for number in range(count)
    )


# --- everything ----------------------------------------------------------------------------------------------------


def test_a_banned_mini_program_asks_nobody(person, scene):
    scene.mini_program.banned_at = timezone.now()

    plan = planner.plan(person, scene=scene)

    assert plan.template_ids == []
    assert [(reason.template_id, reason.code) for reason in plan.reasons] == [(None, "mini_program_banned")]


def test_who_paused_everything_is_not_asked_until_then(person, scene, template):
    person.paused_until = timezone.now() + timedelta(days=2)
    Subscription.objects.create(subscriber=person, template=template, always_keep="accept")

    (reason,) = planner.plan(person, scene=scene).reasons

    assert (reason.template_id, reason.code) == (None, "paused")
    until = timezone.localtime(person.paused_until)
    assert reason.message.startswith("The person wants no card until ")
    assert f"{until.year}" in reason.message


def test_a_pause_that_is_over_holds_nothing_back(person, scene):
    person.paused_until = timezone.now() - timedelta(seconds=1)

    assert codes(person, scene) == []


# --- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("refusals", "days"), [(1, 7), (2, 14), (3, 28), (4, 56), (9, 56)])
def test_each_refusal_in_a_row_doubles_the_rest_up_to_eight_times(person, scene, template, refusals, days):
    for number in range(refusals):
        answered(person, template, "reject", ago=timedelta(days=days - 1 + number))
    assert codes(person, scene) == ["rejected_recently"]

    Answer.objects.all().delete()
    for number in range(refusals):
        answered(person, template, "reject", ago=timedelta(days=days + number, seconds=5))
    assert codes(person, scene) == []


def test_a_yes_forgives_the_refusals_before_it(person, scene, template):
    for days in (30, 29, 28):
        answered(person, template, "reject", ago=timedelta(days=days))
    answered(person, template, "acceptWithAlert", ago=timedelta(days=20))
    answered(person, template, "reject", ago=timedelta(days=8))

    assert codes(person, scene) == []


def test_a_word_nobody_knows_is_a_refusal(person, scene, template):
    answered(person, template, "dismissed", ago=timedelta(days=1))

    assert codes(person, scene) == ["rejected_recently"]


def test_one_popup_told_by_two_witnesses_is_one_refusal(person, scene, template):
    claim = answered(person, template, "reject", ago=timedelta(days=8))
    answered(person, template, "reject", ago=timedelta(days=8), source="callback", pair=claim)

    assert codes(person, scene) == []


def test_a_silent_no_is_no_refusal_of_a_popup(person, scene, template):
    answered(person, template, "reject", ago=timedelta(days=1), is_silent=True)

    assert codes(person, scene) == []


def test_turning_the_template_off_is_a_refusal(person, scene, template):
    relation = Subscription.objects.create(
        subscriber=person, template=template, state="off", turned_off_at=timezone.now() - timedelta(days=6)
    )
    assert codes(person, scene) == ["rejected_recently"]

    Subscription.objects.filter(pk=relation.pk).update(turned_off_at=timezone.now() - timedelta(days=8))
    assert codes(person, scene) == []


def test_what_was_turned_on_again_is_forgiven(person, scene, template):
    Subscription.objects.create(
        subscriber=person, template=template, state="on", turned_off_at=timezone.now() - timedelta(days=1)
    )

    assert codes(person, scene) == []


@pytest.mark.parametrize(("days", "expected"), [(0, []), (3, ["rejected_recently"])])
def test_the_rest_is_a_setting_of_the_mini_program(person, scene, template, days, expected):
    scene.mini_program.cool_down_days = days
    answered(person, template, "reject", ago=timedelta(days=2))

    assert codes(person, scene) == expected


def test_the_reason_says_until_when(person, scene, template):
    refusal = answered(person, template, "reject", ago=timedelta(days=1))

    (reason,) = planner.plan(person, scene=scene).reasons

    until = timezone.localtime(refusal.answered_at + timedelta(days=7))
    assert reason.message.startswith("The person refused lately: to be asked again after ")
    assert f"{until.day}" in reason.message


# --- caps ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "expected"), [(4, []), (5, ["asked_enough_today"]), (6, ["asked_enough_today"])])
def test_a_person_sees_so_many_popups_in_24_hours(person, scene, count, expected):
    reports(person, count=count, ago=timedelta(hours=23, minutes=59))
    reports(person, count=3, ago=timedelta(hours=24, seconds=5))
    reports(factories.subscribers(scene.mini_program, count=1)[0], count=9)

    assert codes(person, scene) == expected


@pytest.mark.parametrize(("count", "expected"), [(14, []), (15, ["asked_enough_this_week"])])
def test_a_person_sees_so_many_popups_in_7_days(person, scene, count, expected):
    reports(person, count=count, ago=timedelta(days=6, hours=23))
    reports(person, count=3, ago=timedelta(days=7, seconds=5))

    assert codes(person, scene) == expected


def test_without_caps_nothing_is_counted(person, scene):
    scene.mini_program.asks_per_day = scene.mini_program.asks_per_week = None
    reports(person, count=99)

    assert codes(person, scene) == []


@pytest.mark.parametrize(
    ("err_code", "is_seen"), [(None, True), (0, True), (10003, True), (10001, False), (10005, False), (20004, False)]
)
def test_a_call_that_showed_nothing_is_no_popup(person, scene, err_code, is_seen):
    scene.mini_program.asks_per_day = 1
    reports(person, err_code=err_code)

    assert codes(person, scene) == (["asked_enough_today"] if is_seen else [])


def test_silent_top_ups_are_no_popups(person, scene):
    reports(person, count=99, is_silent=True)

    assert codes(person, scene) == []


def test_caps_and_refusals_do_not_hold_a_silent_top_up_back(person, scene, template):
    other = factories.a_template(scene.mini_program)
    SceneTemplate.objects.create(scene=scene, template=other, position=2)
    Subscription.objects.create(subscriber=person, template=template, always_keep="accept")
    answered(person, template, "reject", ago=timedelta(days=1))
    reports(person, count=5)

    plan = planner.plan(person, scene=scene)

    assert (plan.template_ids, plan.silent_top_up) == ([template.wechat_id], True)
    assert [(reason.template_id, reason.code) for reason in plan.reasons] == [(other.wechat_id, "asked_enough_today")]
