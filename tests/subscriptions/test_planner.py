"""What to ask now, and why not the rest."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from notify_platform.core.errors import Refused
from subscriptions.grants import ledger
from subscriptions.grants.ledger import NewAnswer
from subscriptions.models import Answer, Scene, SceneTemplate, Source, Subscriber, Subscription
from subscriptions.prompts import planner
from templates_app.models import MessageTemplate
from tests import factories

pytestmark = pytest.mark.django_db
Kind = MessageTemplate.Kind


@pytest.fixture
def mini_program():
    return factories.a_mini_program()


@pytest.fixture
def person(mini_program):
    return factories.subscribers(mini_program, count=1)[0]


@pytest.fixture
def scene(mini_program):
    return Scene.objects.create(mini_program=mini_program, code="order-paid", name="Paid", words="May we?")


@pytest.fixture
def bound(scene):
    """Bind new templates to the scene, in this order."""

    def bound(*changes):
        start = scene.asks.count()
        templates = [factories.a_template(scene.mini_program, **each) for each in changes]
        SceneTemplate.objects.bulk_create(
            SceneTemplate(scene=scene, template=template, position=start + number)
            for number, template in enumerate(templates)
        )
        return templates

    return bound


def subscribe(person, template, **values):
    Subscription.objects.create(subscriber=person, template=template, **values)


def answers(person, template, *words):
    """The person's answers: (word, age)."""
    now = timezone.now()
    for number, (word, age) in enumerate(words):
        ledger.record(
            [
                NewAnswer(
                    subscriber_id=person.pk,
                    template=template,
                    answer=word,
                    source=Source.CLIENT,
                    answered_at=now - age,
                    request_key=f"r{number}",
                )
            ]
        )


def asked(person, scene):
    return planner.plan(Subscriber.objects.get(pk=person.pk), scene=scene).template_ids


def left_out(person, scene):
    reasons = planner.plan(Subscriber.objects.get(pk=person.pk), scene=scene).reasons
    return [(reason.template_id, reason.code) for reason in reasons]


def test_the_templates_of_the_scene_are_asked_for_in_its_order(person, scene, bound):
    first, second = bound({}, {})
    scene.asks.filter(template=first).update(position=9)

    plan = planner.plan(person, scene=scene)

    assert plan == planner.Plan(
        template_ids=[second.wechat_id, first.wechat_id], words="May we?", silent_top_up=False, reasons=[]
    )


def test_the_popup_has_room_for_three(person, scene, bound):
    ids = [template.wechat_id for template in bound({}, {}, {}, {}, {})]

    assert asked(person, scene) == ids[:3]
    assert left_out(person, scene) == [(ids[3], "enough"), (ids[4], "enough")]


@pytest.mark.parametrize(
    ("changes", "code", "sentence"),
    [
        ({"state": "banned"}, "template_banned", "WeChat has banned the template."),
        ({"state": "missing"}, "template_missing", "The template is gone at WeChat."),
        ({"kind": Kind.SERVICE_CARD}, "service_card", "Service cards are not asked for by this popup."),
    ],
)
def test_a_template_nobody_can_agree_to_is_left_out(person, scene, bound, changes, code, sentence):
    out, good = bound(changes, {})

    plan = planner.plan(person, scene=scene)

    assert plan.template_ids == [good.wechat_id]
    assert plan.reasons == [planner.Reason(template_id=out.wechat_id, code=code, message=sentence)]


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"state": "banned"}, "subscription_banned"),
        ({"state": "suspended"}, "subscription_suspended"),
        ({"muted_at": timezone.now()}, "muted"),
        ({"always_keep": "reject"}, "always_refused"),
        ({"always_keep": "ban"}, "always_refused"),
    ],
)
def test_a_template_this_person_does_not_want_is_left_out(person, scene, bound, values, code):
    out, good = bound({}, {})
    subscribe(person, out, **values)
    other = factories.subscribers(scene.mini_program, count=1)[0]

    assert asked(person, scene) == [good.wechat_id]
    assert left_out(person, scene) == [(out.wechat_id, code)]
    assert asked(other, scene) == [out.wechat_id, good.wechat_id]


@pytest.mark.parametrize("values", [{"state": "on"}, {"state": "off"}, {"always_keep": "accept"}])
def test_one_more_one_time_consent_may_always_be_asked_for(person, scene, bound, values):
    (template,) = bound({})
    subscribe(person, template, **values)

    assert asked(person, scene) == [template.wechat_id]


@pytest.mark.parametrize("kind", [Kind.LONG_TERM, Kind.LONG_TERM_CAPPED])
def test_who_is_subscribed_for_good_is_not_asked_again(person, scene, bound, kind):
    on, off = bound({"kind": kind}, {"kind": kind})
    subscribe(person, on, state="on")
    subscribe(person, off, state="off")

    assert asked(person, scene) == [off.wechat_id]
    assert left_out(person, scene) == [(on.wechat_id, "already_on")]


@pytest.mark.parametrize("kind", [Kind.LONG_TERM, Kind.LONG_TERM_CAPPED])
def test_the_first_that_can_be_asked_decides_the_kind(person, scene, bound, kind):
    banned, long, one, other = bound({"state": "banned"}, {"kind": kind}, {}, {"kind": kind})

    assert asked(person, scene) == [long.wechat_id, other.wechat_id]
    assert left_out(person, scene) == [(banned.wechat_id, "template_banned"), (one.wechat_id, "other_kind")]


def test_of_two_templates_with_one_title_the_first_is_asked_for(person, scene, bound):
    first, second = bound({"title": "发货通知"}, {"title": "发货通知"})

    assert asked(person, scene) == [first.wechat_id]
    assert left_out(person, scene) == [(second.wechat_id, "same_title")]


@pytest.mark.parametrize(
    ("history", "is_asked"),
    [
        ([], True),
        ([("reject", timedelta(days=6, hours=23))], False),
        ([("reject", timedelta(days=7, seconds=5))], True),
        ([("reject", timedelta(days=2)), ("accept", timedelta(days=1))], True),
        ([("accept", timedelta(days=2)), ("reject", timedelta(days=1))], False),
        ([("reject", timedelta(days=1)), ("accept", timedelta(days=2))], False),
        ([("reject", timedelta(days=2)), ("filter", timedelta(days=1))], False),
        ([("filter", timedelta(days=1))], True),
    ],
)
def test_after_a_no_the_template_rests_for_a_week(person, scene, bound, history, is_asked):
    (template,) = bound({})
    answers(person, template, *history)

    assert asked(person, scene) == ([template.wechat_id] if is_asked else [])
    assert left_out(person, scene) == ([] if is_asked else [(template.wechat_id, "rejected_recently")])


def test_somebody_elses_no_changes_nothing(person, scene, bound):
    (template,) = bound({})
    answers(factories.subscribers(scene.mini_program, count=1)[0], template, ("reject", timedelta()))

    assert asked(person, scene) == [template.wechat_id]


def test_with_the_main_switch_off_nothing_is_asked(person, scene, bound):
    bound({})
    Subscriber.objects.update(main_switch_off_at=timezone.now())

    assert asked(person, scene) == []
    assert left_out(person, scene) == [(None, "main_switch_off")]


def test_a_scene_that_is_switched_off_asks_nothing(person, scene, bound):
    bound({})
    scene.is_active = False

    assert left_out(person, scene) == [(None, "scene_off")]


def test_a_scene_without_templates_says_so(person, scene):
    plan = planner.plan(person, scene=scene)

    assert plan == planner.Plan(
        template_ids=[],
        words="May we?",
        silent_top_up=False,
        reasons=[planner.Reason(None, "scene_empty", "No template is bound to this scene.")],
    )


def test_a_template_of_another_mini_program_bound_by_mistake_is_no_template_of_the_scene(person, scene):
    foreign = factories.a_template(factories.a_mini_program())
    SceneTemplate.objects.create(scene=scene, template=foreign)

    assert left_out(person, scene) == [(None, "scene_empty")]


@pytest.mark.parametrize(
    ("kept", "silent"),
    [
        (["accept", "accept"], True),
        (["accept", "acceptWithAlert"], True),
        (["accept", ""], False),
        (["accept", None], False),
        ([None], False),
    ],
)
def test_asking_is_silent_when_every_chosen_template_is_known_to_be_kept(person, scene, bound, kept, silent):
    for template, word in zip(bound(*({} for _ in kept)), kept, strict=True):
        if word is not None:
            subscribe(person, template, always_keep=word)

    assert planner.plan(person, scene=scene).silent_top_up is silent


def test_asking_for_nothing_is_not_silent(person, scene, bound):
    (template,) = bound({})
    subscribe(person, template, always_keep="accept", muted_at=timezone.now())

    assert planner.plan(person, scene=scene).silent_top_up is False


def test_a_template_that_is_left_out_does_not_break_the_silence(person, scene, bound):
    kept, _muted = bound({}, {})
    subscribe(person, kept, always_keep="accept")
    subscribe(person, _muted, muted_at=timezone.now())

    plan = planner.plan(person, scene=scene)

    assert (plan.template_ids, plan.silent_top_up) == ([kept.wechat_id], True)


@pytest.mark.parametrize("count", [1, 3, 6])
def test_the_number_of_queries_does_not_grow_with_the_templates(person, scene, bound, count, django_assert_num_queries):
    for template in bound(*({} for _ in range(count))):
        answers(person, template, ("accept", timedelta(days=1)), ("reject", timedelta(days=9)))

    with django_assert_num_queries(3):
        planner.plan(person, scene=scene)


def test_planning_writes_nothing(person, scene, bound):
    bound({}, {})
    planner.plan(person, scene=scene)

    assert (Answer.objects.count(), Subscription.objects.count()) == (0, 0)


def test_every_reason_has_its_sentence(person, scene, bound):
    codes = {f"template_{state}" for state in MessageTemplate.State if state != MessageTemplate.State.LIVE}
    codes |= {"subscription_banned", "subscription_suspended"}

    assert codes - set(planner.REASONS) == set()


def test_a_scene_is_found_by_its_code_in_its_own_mini_program(person, scene):
    assert planner.scene_of(person, code="order-paid") == scene

    stranger = factories.subscribers(factories.a_mini_program(), count=1)[0]
    with pytest.raises(Refused) as refused:
        planner.scene_of(stranger, code="order-paid")
    assert refused.value.code == "unknown_scene"


def test_a_scene_of_another_mini_program_is_not_planned(scene):
    stranger = factories.subscribers(factories.a_mini_program(), count=1)[0]

    with pytest.raises(Refused) as refused:
        planner.plan(stranger, scene=scene)
    assert refused.value.code == "unknown_scene"
