"""What to ask now, over HTTP."""

from __future__ import annotations

import pytest
from django.core import signing
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notify_platform.api import prompt_ids
from notify_platform.core.errors import Refused
from subscriptions.models import Scene, SceneTemplate, Subscription
from subscriptions.prompts import planner
from templates_app.models import MessageTemplate
from tests import factories
from tests.api.conftest import invalid, problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene(mini_program):
    return Scene.objects.create(mini_program=mini_program, code="order-paid", name="Paid", words="可以通知你发货吗？")


@pytest.fixture
def bound(scene):
    """Bind so many new templates to the scene."""

    def bound(count, **changes):
        templates = [factories.a_template(scene.mini_program, **changes) for _ in range(count)]
        SceneTemplate.objects.bulk_create(
            SceneTemplate(scene=scene, template=template, position=number) for number, template in enumerate(templates)
        )
        return templates

    return bound


def test_the_phone_learns_what_to_ask_and_in_which_words(phone, person, bound, scene):
    first, second = bound(2)

    answer = phone.get("prompts", scene="order-paid")

    assert answer.status_code == 200
    assert answer.json() == {
        "prompt_id": answer.json()["prompt_id"],
        "template_ids": [first.wechat_id, second.wechat_id],
        "words": "可以通知你发货吗？",
        "silent_top_up": False,
        "reasons": [],
    }
    assert prompt_ids.read(person, prompt_id=answer.json()["prompt_id"]).scene == scene


def test_the_prompt_id_names_the_scene_and_what_was_asked(phone, bound, scene):
    (template,) = bound(1)

    given = signing.loads(phone.get("prompts", scene="order-paid").json()["prompt_id"], salt=prompt_ids.SALT)

    assert given == {"scene": scene.pk, "ids": [template.wechat_id], "silent": False}


def test_the_prompt_id_can_be_read_again(phone, person, bound, scene):
    (template,) = bound(1)
    Subscription.objects.create(subscriber=person, template=template, always_keep="accept")
    prompt_id = phone.get("prompts", scene="order-paid").json()["prompt_id"]

    prompt = prompt_ids.read(person, prompt_id=prompt_id)
    assert prompt == prompt_ids.Prompt(scene=scene, template_ids=[template.wechat_id], is_silent=True)

    scene.delete()
    assert prompt_ids.read(person, prompt_id=prompt_id).scene is None


def test_an_id_from_before_prompts_could_be_silent_is_read_as_one_that_asks(person, scene):
    old = signing.dumps({"scene": scene.pk, "ids": ["T1"]}, salt=prompt_ids.SALT)

    assert prompt_ids.read(person, prompt_id=old) == prompt_ids.Prompt(scene, ["T1"], is_silent=False)


@pytest.mark.parametrize("change", [lambda made: made + "x", lambda made: "", lambda made: signing.dumps({"scene": 1})])
def test_an_id_that_is_not_ours_is_refused(person, scene, change):
    plan = planner.plan(person, scene=scene)

    with pytest.raises(Refused) as refused:
        prompt_ids.read(person, prompt_id=change(prompt_ids.make(scene, plan=plan)))
    assert refused.value.code == "unknown_prompt"


def test_an_id_of_another_mini_program_is_refused(person, scene):
    stranger = factories.subscribers(factories.a_mini_program(), count=1)[0]
    made = prompt_ids.make(scene, plan=planner.plan(person, scene=scene))

    with pytest.raises(Refused) as refused:
        prompt_ids.read(stranger, prompt_id=made)
    assert refused.value.code == "unknown_prompt"


def test_nothing_because_is_a_proper_answer(phone, person, bound):
    (template,) = bound(1)
    Subscription.objects.create(subscriber=person, template=template, state="suspended")

    answer = phone.get("prompts", scene="order-paid")

    assert answer.status_code == 200
    assert answer.json() == {
        "prompt_id": answer.json()["prompt_id"],
        "template_ids": [],
        "words": "可以通知你发货吗？",
        "silent_top_up": False,
        "reasons": [
            {
                "template_id": template.wechat_id,
                "code": "subscription_suspended",
                "message": "The subscription is suspended.",
            }
        ],
    }


def test_a_reason_for_everything_names_no_template(phone, bound, scene):
    bound(1)
    Scene.objects.update(is_active=False)

    answer = phone.get("prompts", scene="order-paid")

    assert answer.json()["reasons"] == [
        {"template_id": None, "code": "scene_off", "message": "This scene is switched off."}
    ]


def test_a_silent_top_up_is_announced(phone, person, bound):
    (template,) = bound(1)
    Subscription.objects.create(subscriber=person, template=template, always_keep="accept")

    assert phone.get("prompts", scene="order-paid").json()["silent_top_up"] is True


def test_asking_what_to_ask_writes_nothing(phone, bound):
    bound(1)
    with CaptureQueriesContext(connection) as captured:
        phone.get("prompts", scene="order-paid")

    assert {query["sql"].split()[0] for query in captured} == {"SELECT"}


@pytest.mark.parametrize("count", [1, 50])
def test_the_number_of_queries_is_the_same_for_any_number_of_templates(phone, bound, count, django_assert_num_queries):
    bound(count)

    # The session, the scene, its mini-program's rules, and what the planner reads (nobody has answered yet).
    with django_assert_num_queries(10):
        phone.get("prompts", scene="order-paid")


@pytest.mark.parametrize("code", ["order-sent", "ORDER-PAID"])
def test_an_unknown_scene_is_an_error(phone, bound, code):
    sentence = f"This mini-program has no scene “{code}”."

    answer = phone.get("prompts", scene=code)

    assert (answer.status_code, answer.json()) == (400, problem("unknown_scene", sentence, scene=sentence))


def test_a_scene_of_another_mini_program_is_unknown(phone):
    Scene.objects.create(mini_program=factories.a_mini_program(), code="order-paid", name="Paid")

    assert phone.get("prompts", scene="order-paid").json()["error"]["code"] == "unknown_scene"


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({}, "This field is required."),
        ({"scene": ""}, "This field may not be blank."),
        ({"scene": "order paid"}, "This value has the wrong shape."),
        ({"scene": "order\x00paid"}, "Null characters are not allowed. This value has the wrong shape."),
        ({"scene": "x" * 41}, "This value has the wrong shape."),
    ],
)
def test_a_scene_has_to_look_like_one(phone, query, sentence):
    answer = phone.get("prompts", **query)

    assert (answer.status_code, answer.json()) == (400, invalid(scene=sentence))


def test_the_kinds_of_templates_that_can_be_asked_for_are_all_known(phone, bound):
    for kind in MessageTemplate.Kind:
        bound(1, kind=kind)

    reasons = phone.get("prompts", scene="order-paid").json()["reasons"]

    assert [reason["code"] for reason in reasons] == ["other_kind", "other_kind", "service_card"]
