"""What the popup brought, and what is in the books then."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.core import signing
from django.utils import timezone

from notify_platform.api import prompt_ids
from subscriptions.models import Answer, Grant, PromptReport, Scene, SceneTemplate, Source, Subscription
from tests import factories
from tests.api.conftest import a_phone_of, invalid, iso, problem

pytestmark = pytest.mark.django_db
# Near the database's own clock, which nobody can set.
NOW = timezone.now().replace(microsecond=0)


@pytest.fixture
def scene(mini_program, template):
    scene = Scene.objects.create(mini_program=mini_program, code="order-paid", name="Paid")
    SceneTemplate.objects.create(scene=scene, template=template)
    return scene


@pytest.fixture
def report(phone, scene):
    """Report a popup; changes replace parts of an accept of nothing."""

    def report(results=None, **changes):
        body = {"scene": "order-paid", "client_request_id": "request-1", "results": results}
        return phone.post("authorizations", {key: value for key, value in (body | changes).items() if value != ...})

    return report


def written():
    return [model.objects.count() for model in (Answer, Grant, Subscription)]


def test_an_accept_is_one_unit_and_the_balance_says_so(report, person, scene, template):
    with time_machine.travel(NOW, tick=False):
        answer = report({"errMsg": "requestSubscribeMessage:ok", template.wechat_id: "accept"})

    assert answer.status_code == 200
    assert answer.json() == {
        "balances": [
            {
                "template_id": template.wechat_id,
                "state": "on",
                "available": 1,
                "expires_at": iso(NOW + timedelta(days=7)),
            }
        ]
    }
    row = Answer.objects.get()
    assert (row.subscriber, row.template, row.scene, row.answer) == (person, template, scene, "accept")
    assert (row.source, row.request_key, row.answered_at) == (Source.CLIENT, "client:request-1", NOW)


def test_the_prompt_says_which_scene_asked(report, phone, scene, template):
    prompt_id = phone.get("prompts", scene="order-paid").json()["prompt_id"]

    answer = report({template.wechat_id: "accept"}, scene=..., prompt_id=prompt_id)

    assert answer.status_code == 200
    assert Answer.objects.get().scene == scene


def test_an_answer_to_a_scene_that_is_gone_still_counts(report, phone, scene, template):
    prompt_id = phone.get("prompts", scene="order-paid").json()["prompt_id"]
    Scene.objects.all().delete()

    assert report({template.wechat_id: "accept"}, scene=..., prompt_id=prompt_id).status_code == 200
    assert (Answer.objects.get().scene, Grant.objects.count()) == (None, 1)


def test_an_answer_in_a_scene_that_was_just_switched_off_counts(report, template):
    Scene.objects.update(is_active=False)

    assert report({template.wechat_id: "accept"}).status_code == 200


def test_the_same_request_again_gets_the_same_answer_and_counts_once(report, template):
    answers = [report({template.wechat_id: "accept"}, answered_ago_ms=ago) for ago in (0, 1500)]

    assert answers[0].json() == answers[1].json()
    assert answers[1].json()["balances"][0]["available"] == 1
    assert written() == [1, 1, 1]


def test_another_request_is_another_unit(report, template):
    for number in range(3):
        answer = report({template.wechat_id: "accept"}, client_request_id=f"request-{number}")

    assert answer.json()["balances"][0]["available"] == 3


def test_two_people_may_use_the_same_request_id(report, person, template):
    other = factories.subscribers(person.mini_program, count=1)[0]
    report({template.wechat_id: "accept"})
    body = {"scene": "order-paid", "client_request_id": "request-1", "results": {template.wechat_id: "accept"}}

    assert a_phone_of(other).post("authorizations", body).json()["balances"][0]["available"] == 1
    assert Grant.objects.count() == 2


def test_every_answer_of_the_popup_is_written_down(report, person, template):
    others = [factories.a_template(person.mini_program) for _ in range(4)]
    words = ["accept", "reject", "ban", "filter", "somethingNew"]
    ids = [each.wechat_id for each in (template, *others)]

    answer = report(dict(zip(ids, words, strict=True)))

    assert [row["template_id"] for row in answer.json()["balances"]] == ids
    assert [row["available"] for row in answer.json()["balances"]] == [1, 0, 0, 0, 0]
    assert dict(Answer.objects.values_list("template__wechat_id", "answer")) == dict(zip(ids, words, strict=True))


def test_a_refusal_is_an_answer(report, template):
    answer = report({template.wechat_id: "reject"})

    assert answer.json()["balances"] == [
        {"template_id": template.wechat_id, "state": "none", "available": 0, "expires_at": None}
    ]
    assert Grant.objects.count() == 0


def test_the_moment_of_the_answer_is_counted_back_from_ours(report, template):
    with time_machine.travel(NOW, tick=False):
        report({template.wechat_id: "accept"}, answered_ago_ms=90_500)

    assert Answer.objects.get().answered_at == NOW - timedelta(seconds=90, milliseconds=500)


def test_the_main_switch_is_noted_and_lifted_by_the_next_popup(report, person, template):
    answer = report({}, err_code=20004)
    person.refresh_from_db()

    assert (answer.status_code, answer.json()) == (200, {"balances": []})
    assert person.main_switch_off_at is not None
    assert written() == [0, 0, 0]

    report({template.wechat_id: "reject"}, client_request_id="request-2")
    person.refresh_from_db()
    assert person.main_switch_off_at is None


@pytest.mark.parametrize("results", [..., None, {}, {"errMsg": "requestSubscribeMessage:fail", "errCode": 10003}])
def test_a_popup_that_failed_needs_no_results(report, results):
    assert report(results, err_code=10003).status_code == 200
    assert written() == [0, 0, 0]


def test_unknown_fields_are_ignored(report, template):
    assert report({template.wechat_id: "accept"}, a_field_of_tomorrow={"deep": [1]}).status_code == 200


def test_an_unknown_template_is_named_and_nothing_is_written(report, template):
    foreign = factories.a_template(factories.a_mini_program())

    answer = report({template.wechat_id: "accept", foreign.wechat_id: "accept", "nosuch": "accept"})

    why = "This mini-program has no such template."
    assert answer.status_code == 400
    assert answer.json() == problem(
        "unknown_template", why, **{f"results.{foreign.wechat_id}": why, "results.nosuch": why}
    )
    assert written() == [0, 0, 0]


SHAPE = "This value has the wrong shape."


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"results": "accept"}, {"results": 'Expected a dictionary of items but got type "str".'}),
        ({"results": ["accept"]}, {"results": 'Expected a dictionary of items but got type "list".'}),
        ({"results": {"no id": "accept"}}, {"results": "The keys must be template ids."}),
        ({"results": {"T1\ud83d": None}}, {"results": "The keys must be template ids."}),
        ({"results": {"x" * 65: "accept"}}, {"results": "The keys must be template ids."}),
        ({"results": {"T1": True}}, {"results.T1": SHAPE}),
        ({"results": {"T1": None}}, {"results.T1": "This field may not be null."}),
        ({"results": {"T1": {"deep": 1}}}, {"results.T1": SHAPE}),
        ({"results": {"T1": "x" * 25}}, {"results.T1": SHAPE}),
        ({"results": {"T1": ""}}, {"results.T1": "This field may not be blank."}),
        ({"results": dict.fromkeys("123456", "accept")}, {"results": "WeChat's popup has at most 5 templates."}),
        ({"results": {}}, {"results": "Send what the person answered, or err_code."}),
        (
            {"results": {"errMsg": "requestSubscribeMessage:ok"}},
            {"results": "Send what the person answered, or err_code."},
        ),
        ({"results": ...}, {"results": "Send what the person answered, or err_code."}),
        ({"client_request_id": ...}, {"client_request_id": "This field is required."}),
        ({"client_request_id": "seven77"}, {"client_request_id": SHAPE}),
        ({"client_request_id": "x" * 65}, {"client_request_id": SHAPE}),
        ({"client_request_id": "request 1"}, {"client_request_id": SHAPE}),
        ({"client_request_id": "request-1\n"}, {"client_request_id": SHAPE}),
        ({"client_request_id": 12345678}, {"client_request_id": SHAPE}),
        ({"answered_ago_ms": -1}, {"answered_ago_ms": "Ensure this value is greater than or equal to 0."}),
        (
            {"answered_ago_ms": 604_800_001},
            {"answered_ago_ms": "Ensure this value is less than or equal to 604800000."},
        ),
        ({"answered_ago_ms": "5"}, {"answered_ago_ms": "A valid integer is required."}),
        ({"answered_ago_ms": 5.0}, {"answered_ago_ms": "A valid integer is required."}),
        ({"answered_ago_ms": True}, {"answered_ago_ms": "A valid integer is required."}),
        ({"err_code": "20004"}, {"err_code": "A valid integer is required."}),
        ({"err_code": 2**31}, {"err_code": "Ensure this value is less than or equal to 2147483647."}),
        ({"scene": ...}, {"prompt_id": "Send either prompt_id or scene."}),
        ({"prompt_id": "p"}, {"prompt_id": "Send either prompt_id or scene."}),
        ({"scene": ["order-paid"]}, {"scene": SHAPE}),
        ({"scene": ..., "prompt_id": 7}, {"prompt_id": "Not a valid string."}),
    ],
)
def test_what_is_wrong_is_said_field_by_field_and_nothing_is_written(report, template, changes, fields):
    answer = report(**{"results": {template.wechat_id: "accept"}, **changes})

    assert (answer.status_code, answer.json()) == (400, invalid(**fields))
    assert written() == [0, 0, 0]


def test_several_wrong_inputs_are_said_at_once(report):
    answer = report("accept", client_request_id="short", answered_ago_ms=-1)

    assert sorted(answer.json()["error"]["fields"]) == ["answered_ago_ms", "client_request_id", "results"]


def test_a_prompt_we_did_not_make_is_refused(report, mini_program, template):
    sentence = "This prompt was not made for this mini-program."
    forged = [
        "nonsense",
        signing.dumps({"scene": 1, "ids": []}, salt="another purpose"),
        signing.dumps({"scene": foreign_scene().pk, "ids": []}, salt=prompt_ids.SALT),
    ]

    for prompt_id in forged:
        answer = report({template.wechat_id: "accept"}, scene=..., prompt_id=prompt_id)
        assert (answer.status_code, answer.json()) == (400, problem("unknown_prompt", sentence, prompt_id=sentence))
    assert written() == [0, 0, 0]


def foreign_scene():
    return Scene.objects.create(mini_program=factories.a_mini_program(), code="order-paid", name="Paid")


def test_a_scene_of_another_mini_program_is_unknown(phone, template):
    foreign_scene()
    body = {"scene": "order-paid", "client_request_id": "request-1", "results": {template.wechat_id: "accept"}}

    answer = phone.post("authorizations", body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unknown_scene")
    assert written() == [0, 0, 0]


def test_the_number_of_queries_is_the_same_for_any_number_of_templates(
    report, person, template, django_assert_max_num_queries
):
    others = [factories.a_template(person.mini_program) for _ in range(4)]

    counts = []
    for number, templates in enumerate(([template], [template, *others])):
        with django_assert_max_num_queries(30) as queries:
            report({each.wechat_id: "accept" for each in templates}, client_request_id=f"request-{number}")
        counts.append(len(queries))

    assert counts[0] == counts[1]


def test_the_body_has_to_be_an_object(phone, scene):
    answers = [phone.post("authorizations", body) for body in ([], "text", 7, None, True)]

    assert [answer.status_code for answer in answers] == [400] * 5
    assert [answer.json()["error"]["code"] for answer in answers] == ["invalid"] * 5
    assert answers[0].json() == problem("invalid", "Invalid data. Expected a dictionary, but got list.")
    assert answers[3].json() == problem("invalid", "No data provided")


# --- every word and every code ---------------------------------------------------------------------------------------

ON, SUSPENDED, NONE = "on", "suspended", "none"


@pytest.mark.parametrize(
    ("word", "state", "available"),
    [
        ("accept", ON, 1),
        ("acceptWithAudio", ON, 1),
        ("acceptWithAlert", ON, 1),
        ("acceptWithForcePush", ON, 1),
        ("reject", NONE, 0),
        ("ban", "banned", 0),
        ("filter", NONE, 0),
        ("tomorrow", NONE, 0),
    ],
)
def test_each_word_of_the_popup_has_its_effect(report, template, word, state, available):
    balance = report({template.wechat_id: word}).json()["balances"][0]

    assert (balance["state"], balance["available"]) == (state, available)
    assert list(Answer.objects.values_list("answer", flat=True)) == [word]


CODES = [10001, 10002, 10003, 10004, 10005, 20001, 20002, 20003, 20004, 20005, 20013]


@pytest.mark.parametrize("code", CODES)
def test_each_code_of_a_popup_that_failed_is_written_down_once_and_grants_nothing(report, person, mini_program, code):
    for _repeated in range(2):
        assert report(None, err_code=code).json() == {"balances": []}

    assert list(PromptReport.objects.values_list("err_code", "scene__code")) == [(code, "order-paid")]
    assert (Answer.objects.count(), Grant.objects.count()) == (0, 0)
    person.refresh_from_db()
    mini_program.refresh_from_db()
    assert (person.main_switch_off_at is not None) == (code == 20004)
    assert (mini_program.banned_at is not None) == (code == 20005)


def test_what_a_person_holds_is_kept_and_suspended_while_everything_is_off(report, phone, template):
    report({template.wechat_id: "accept"})
    report(None, err_code=20004, client_request_id="request-2")
    off = phone.get("subscriptions").json()["subscriptions"][0]
    report({template.wechat_id: "reject"}, client_request_id="request-3")
    on = phone.get("subscriptions").json()["subscriptions"][0]

    assert (off["state"], off["available"]) == (SUSPENDED, 1)
    assert (on["state"], on["available"]) == (ON, 1)


def test_an_old_report_that_comes_late_does_not_lift_the_main_switch(report, person, template):
    report(None, err_code=20004)

    report({template.wechat_id: "accept"}, client_request_id="request-2", answered_ago_ms=60_000)

    person.refresh_from_db()
    assert person.main_switch_off_at is not None
    assert Grant.objects.count() == 1


def test_a_ban_reaches_nobodys_balance_and_stops_the_asking_for_all(report, mini_program, scene, template):
    other = factories.subscribers(mini_program, count=1)[0]
    factories.grants(template, to=[other])

    report({template.wechat_id: "ban"})

    phone = a_phone_of(other)
    balance = phone.get("subscriptions").json()["subscriptions"][0]
    assert (balance["state"], balance["available"]) == (SUSPENDED, 1)
    plan = phone.get("prompts", scene="order-paid").json()
    assert (plan["template_ids"], plan["reasons"][0]["code"]) == ([], "template_banned")
