"""What to ask now, and why not the rest."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notify_platform.core.errors import Refused
from subscriptions.grants import ledger
from subscriptions.grants.ledger import NewAnswer
from subscriptions.models import (
    AskingTally,
    ExpectedDemand,
    Scene,
    SceneTemplate,
    Source,
    Subscriber,
    Subscription,
)
from subscriptions.prompts import planner, reasons
from subscriptions.prompts.ranking import Rank
from subscriptions.prompts.reasons import Reason
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


def test_where_nothing_is_known_the_templates_are_asked_for_in_the_order_of_the_scene(person, scene, bound):
    first, second = bound({}, {})
    scene.asks.filter(template=first).update(position=9)

    plan = planner.plan(person, scene=scene)

    fresh = Rank(need=1.0, chance=0.5, worth=1)
    assert plan == planner.Plan(
        template_ids=[second.wechat_id, first.wechat_id],
        words="May we?",
        silent_top_up=False,
        reasons=[],
        ranks={second.wechat_id: fresh, first.wechat_id: fresh},
    )


@pytest.mark.parametrize(("most", "room"), [(3, 3), (1, 1), (5, 5), (9, 5), (0, 1)])
def test_the_popup_has_room_for_as_many_as_the_mini_program_says_and_wechat_takes(person, scene, bound, most, room):
    scene.mini_program.most_templates = most
    ids = [template.wechat_id for template in bound(*({} for _ in range(7)))]

    assert asked(person, scene) == ids[:room]
    assert left_out(person, scene) == [(wechat_id, "enough") for wechat_id in ids[room:]]


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
    assert plan.reasons == [Reason(template_id=out.wechat_id, code=code, message=sentence)]


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
def test_two_of_one_kind_are_worth_more_than_one_of_another(person, scene, bound, kind):
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
        ([("ban", timedelta(days=2)), ("accept", timedelta(days=1))], True),
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
        reasons=[Reason(None, "scene_empty", "No template is bound to this scene.")],
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
        ([""], False),
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


@pytest.mark.parametrize("count", [1, 50])
def test_the_number_of_queries_does_not_grow_with_the_templates(person, scene, bound, count, django_assert_num_queries):
    templates = bound(*({} for _ in range(count)))
    for template in templates:
        answers(person, template, ("accept", timedelta(days=1)), ("reject", timedelta(days=9)))

    # Templates with the newest answers' keys, tallies here and elsewhere, relations, answers, stock, demand, popups.
    with django_assert_num_queries(8):
        planner.plan(person, scene=scene)


def test_planning_only_reads(person, scene, bound):
    answers(person, bound({}, {})[0], ("accept", timedelta(days=1)))
    with CaptureQueriesContext(connection) as captured:
        planner.plan(person, scene=scene)

    assert {query["sql"].split()[0] for query in captured} == {"SELECT"}


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL reads a small table whole")
def test_the_newest_answers_are_read_from_the_end_of_an_index(person, scene, bound):
    bound({})
    with CaptureQueriesContext(connection) as captured:
        planner.plan(person, scene=scene)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {captured[0]['sql']}")
        steps = [step[-1] for step in cursor.fetchall()]

    wanted = "SEARCH U0 USING INDEX answer_pairing (subscriber_id=? AND template_id=?)"
    assert [step for step in steps if " U0 " in step] == [wanted] * 4


def test_every_reason_has_its_sentence():
    codes = {f"template_{state}" for state in MessageTemplate.State if state != MessageTemplate.State.LIVE}
    codes |= {"subscription_banned", "subscription_suspended"}

    assert codes - set(reasons.REASONS) == set()


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


def test_silent_and_asking_templates_are_never_mixed(person, scene, bound):
    kept, one, two = bound({"worth": 2}, {"worth": 2}, {"worth": 3})
    subscribe(person, kept, always_keep="accept")

    assert planner.plan(person, scene=scene).silent_top_up is False
    assert asked(person, scene) == [two.wechat_id, one.wechat_id]
    assert left_out(person, scene) == [(kept.wechat_id, "kept_apart")]


def test_a_silent_top_up_that_is_worth_more_goes_first(person, scene, bound):
    kept, other = bound({"worth": 2}, {"worth": 3})
    subscribe(person, kept, always_keep="accept")

    assert planner.plan(person, scene=scene).silent_top_up is True
    assert asked(person, scene) == [kept.wechat_id]
    assert left_out(person, scene) == [(other.wechat_id, "kept_apart")]


def demand(template, *per_day):
    today = timezone.localdate()
    ExpectedDemand.objects.bulk_create(
        ExpectedDemand(template=template, day=today + timedelta(days=day), messages=messages, per_person=messages)
        for day, messages in enumerate(per_day)
    )


def test_what_is_needed_most_is_asked_for_first(person, scene, bound):
    unknown, little, much, none = bound({}, {}, {}, {})
    demand(little, 0.5)
    demand(much, 0.75, 0.75)
    demand(none, 0)

    assert asked(person, scene) == [much.wechat_id, unknown.wechat_id, little.wechat_id]
    assert left_out(person, scene) == [(none.wechat_id, "enough")]


def test_demand_counts_as_far_as_a_yes_of_today_reaches(person, scene, bound):
    short, long, standing = bound({"validity_days": 1}, {"validity_days": 30}, {"validity_days": None})
    for template in (short, long, standing):
        demand(template, *[0.25] * 40)

    ranks = planner.plan(person, scene=scene).ranks

    needs = [ranks[template.wechat_id].need for template in (short, long, standing)]
    assert needs == pytest.approx([0.25, 7.5, 3.5])


def test_yesterdays_demand_is_over(person, scene, bound):
    (template,) = bound({})
    ExpectedDemand.objects.create(
        template=template, day=timezone.localdate() - timedelta(days=1), messages=9, per_person=9
    )

    assert planner.plan(person, scene=scene).ranks[template.wechat_id].need == 1.0


def test_what_the_person_holds_is_needed_less(person, scene, bound):
    held, other = bound({}, {})
    factories.grants(held, to=[person])
    factories.grants(other, to=factories.subscribers(scene.mini_program, count=1), units=5)

    plan = planner.plan(person, scene=scene)

    assert plan.template_ids == [other.wechat_id, held.wechat_id]
    assert plan.ranks[held.wechat_id].need == pytest.approx(0.05)


def test_a_unit_that_lapses_before_the_demand_comes_covers_nothing(person, scene, bound):
    (template,) = bound({"validity_days": 7})
    demand(template, 0, 0, 0, 0, 1)
    factories.grants(template, to=[person], age=timedelta(days=5))

    assert planner.plan(person, scene=scene).ranks[template.wechat_id].need == 1.0


@pytest.mark.parametrize(
    ("units", "forecast", "is_asked"),
    [(3, [], False), (2, [], True), (3, [3.0], False), (3, [3.5], True), (9, [3.5], False), (2, [0.0], True)],
)
def test_who_holds_plenty_is_not_asked_for_more(person, scene, bound, units, forecast, is_asked):
    (template,) = bound({})
    demand(template, *[0.0] * bool(forecast), *forecast)
    factories.grants(template, to=[person], units=units)

    assert left_out(person, scene) == ([] if is_asked else [(template.wechat_id, "enough_in_stock")])


def test_lapsed_units_are_no_stock(person, scene, bound):
    (template,) = bound({})
    factories.grants(template, to=[person], units=3, age=timedelta(days=8))

    assert asked(person, scene) == [template.wechat_id]


def test_also_a_silent_top_up_stops_when_there_is_enough(person, scene, bound):
    (template,) = bound({})
    subscribe(person, template, always_keep="accept")
    factories.grants(template, to=[person], units=3)

    assert left_out(person, scene) == [(template.wechat_id, "enough_in_stock")]


def tally(scene, template, *, days_ago=1, **times):
    day = timezone.localdate() - timedelta(days=days_ago)
    for word, count in times.items():
        AskingTally.objects.create(scene=scene, template=template, day=day, word=word, times=count)


def chances(person, scene):
    return {key: rank.chance for key, rank in planner.plan(person, scene=scene).ranks.items()}


def test_what_others_agree_to_is_asked_for_first(person, scene, bound):
    disliked, liked = bound({}, {})
    tally(scene, disliked, accept=10, reject=90)
    tally(scene, liked, accept=80, acceptWithAlert=10, reject=10)

    assert asked(person, scene) == [liked.wechat_id, disliked.wechat_id]
    # The scene: (100 + 20 × 0.5) / (200 + 20) = 0.5; the template: (90 + 20 × 0.5) / (100 + 20).
    assert chances(person, scene) == pytest.approx({disliked.wechat_id: 20 / 120, liked.wechat_id: 100 / 120})


def test_words_that_are_no_answer_do_not_count(person, scene, bound):
    (template,) = bound({})
    tally(scene, template, planned=900, filter=90, ban=9)
    tally(scene, template, days_ago=29, reject=99)
    AskingTally.objects.create(scene=scene, day=timezone.localdate(), word="10005", times=50)

    assert chances(person, scene) == {template.wechat_id: 0.5}


def test_a_template_nobody_answered_yet_borrows_from_its_scene_and_the_scene_from_the_others(person, scene, bound):
    new, old = bound({}, {})
    tally(scene, old, reject=20)
    elsewhere = Scene.objects.create(mini_program=scene.mini_program, code="home", name="Home")
    tally(elsewhere, old, accept=60)
    tally(elsewhere, old, days_ago=8, reject=999)
    foreign = Scene.objects.create(mini_program=factories.a_mini_program(), code="home", name="Home")
    tally(foreign, factories.a_template(foreign.mini_program), reject=999)

    # Elsewhere: (60 + 20 × 0.5) / 80 = 0.875; here: (0 + 20 × 0.875) / 40 = 0.4375.
    assert chances(person, scene)[new.wechat_id] == pytest.approx(0.4375)


def test_a_scene_with_answers_enough_does_not_look_elsewhere(person, scene, bound, django_assert_num_queries):
    (template,) = bound({})
    tally(scene, template, accept=200)

    with django_assert_num_queries(6):
        planner.plan(person, scene=scene)


def test_the_persons_own_answers_weigh_more_than_everybodys(person, scene, bound):
    refused, agreed = bound({}, {})
    answers(person, refused, *[("reject", timedelta(days=100 + number)) for number in range(9)])
    answers(person, agreed, ("accept", timedelta(days=100)))

    assert asked(person, scene) == [agreed.wechat_id, refused.wechat_id]
    # Of the nine refusals the newest four count: (0 + 2 × 0.5) / (4 + 2).
    assert chances(person, scene) == pytest.approx({refused.wechat_id: 1 / 6, agreed.wechat_id: 2 / 3})


def test_a_worthier_message_is_asked_for_first(person, scene, bound):
    plain, dear = bound({"worth": 1}, {"worth": 10})

    assert asked(person, scene) == [dear.wechat_id, plain.wechat_id]


def test_a_scene_refuses_words_that_buy_a_yes(scene):
    scene.words = "订阅送红包"

    with pytest.raises(ValidationError) as refused:
        scene.full_clean()
    assert list(refused.value.message_dict) == ["words"]
    assert "送红包" in refused.value.message_dict["words"][0]


def test_a_template_of_another_mini_program_cannot_be_bound(scene, bound):
    (mine,) = bound({})
    mine_bound = SceneTemplate.objects.get(template=mine)
    foreign = SceneTemplate(scene=scene, template=factories.a_template(factories.a_mini_program()))

    mine_bound.full_clean()
    with pytest.raises(ValidationError) as refused:
        foreign.full_clean()
    assert refused.value.message_dict == {"template": ["This template is of another mini-program than the scene."]}
