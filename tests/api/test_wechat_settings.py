"""What the phone reads in WeChat's settings."""

from __future__ import annotations

import pytest
from django.utils import timezone

from subscriptions.grants import ledger
from subscriptions.grants.ledger import TurnedOff
from subscriptions.models import Answer, Grant, Subscriber, Subscription
from subscriptions.people import people
from subscriptions.prompts import planner
from tests import factories
from tests.api.conftest import invalid

pytestmark = pytest.mark.django_db


@pytest.fixture
def other_template(mini_program):
    return factories.a_template(mini_program)


def kept():
    return {each.template_id: each.always_keep for each in Subscription.objects.all()}


def is_off(person):
    return Subscriber.objects.get(pk=person.pk).main_switch_off_at is not None


def test_the_answers_wechat_repeats_are_noted(phone, template, other_template):
    settings = {other_template.wechat_id: "reject", template.wechat_id: "acceptWithAudio"}

    answer = phone.put("wechat-settings", {"mainSwitch": True, "itemSettings": settings})

    rows = [
        {"template_id": template.wechat_id, "answer": "acceptWithAudio"},
        {"template_id": other_template.wechat_id, "answer": "reject"},
    ]
    assert answer.status_code == 200
    assert answer.json() == {"main_switch": True, "always_keep": sorted(rows, key=lambda row: row["template_id"])}
    assert kept() == {template.pk: "acceptWithAudio", other_template.pk: "reject"}


def test_an_answer_that_is_no_longer_kept_is_cleared(phone, template, other_template):
    both = {template.wechat_id: "accept", other_template.wechat_id: "accept"}
    phone.put("wechat-settings", {"mainSwitch": True, "itemSettings": both})

    answer = phone.put("wechat-settings", {"mainSwitch": True, "itemSettings": {template.wechat_id: "reject"}})

    assert answer.json()["always_keep"] == [{"template_id": template.wechat_id, "answer": "reject"}]
    assert kept() == {template.pk: "reject", other_template.pk: ""}


@pytest.mark.parametrize("more", [{}, {"itemSettings": None}, {"itemSettings": {}}])
def test_without_kept_answers_all_are_cleared(phone, template, more):
    phone.put("wechat-settings", {"mainSwitch": True, "itemSettings": {template.wechat_id: "accept"}})

    answer = phone.put("wechat-settings", {"mainSwitch": True, **more})

    assert answer.json() == {"main_switch": True, "always_keep": []}
    assert kept() == {template.pk: ""}


def test_other_peoples_answers_are_theirs(phone, person, template):
    other = factories.subscribers(person.mini_program, count=1)[0]
    Subscription.objects.create(subscriber=other, template=template, always_keep="accept")

    phone.put("wechat-settings", {"mainSwitch": True})

    assert kept() == {template.pk: "accept"}


def test_what_is_no_template_here_is_left_out(phone, template):
    foreign = factories.a_template(factories.a_mini_program())
    settings = {
        foreign.wechat_id: "accept",
        "gone": "accept",
        "SYS_MSG_TYPE_RANK": "accept",
        "\ud83d": "accept",
        "": "accept",
        template.wechat_id: ["accept"],
    }

    answer = phone.put("wechat-settings", {"mainSwitch": True, "itemSettings": settings, template.wechat_id: "accept"})

    assert (answer.status_code, answer.json()) == (200, {"main_switch": True, "always_keep": []})
    assert kept() == {}


def test_the_main_switch_keeps_consents_and_is_lifted_again(phone, person, template):
    factories.grants(template, to=[person], units=2)

    answer = phone.put("wechat-settings", {"mainSwitch": False})

    assert answer.json() == {"main_switch": False, "always_keep": []}
    assert is_off(person)
    assert Grant.objects.filter(state="available").count() == 2
    phone.put("wechat-settings", {"mainSwitch": True})
    assert not is_off(person)


def test_a_kept_answer_claims_no_subscription(phone, person, template):
    phone.put("wechat-settings", {"mainSwitch": True, "itemSettings": {template.wechat_id: "accept"}})

    assert phone.get("subscriptions").json() == {"subscriptions": []}
    shown = phone.get("preferences").json()["templates"]
    assert [(row["state"], row["muted"]) for row in shown] == [("none", False)]
    assert Answer.objects.count() == Grant.objects.count() == 0


@pytest.mark.parametrize(("word", "reason"), [("reject", "always_refused"), ("ban", "template_banned")])
def test_a_kept_no_revokes_nothing_and_is_not_asked_again(phone, person, template, word, reason):
    factories.grants(template, to=[person], units=2)
    scene = person.mini_program.scenes.create(code="order-paid", name="Paid")
    scene.asks.create(template=template)

    phone.put("wechat-settings", {"mainSwitch": True, "itemSettings": {template.wechat_id: word}})

    assert phone.get("subscriptions").json()["subscriptions"][0]["available"] == 2
    assert Subscription.objects.values_list("state", "always_keep").get() == ("on", word)
    assert [reason.code for reason in planner.plan(person, scene=scene).reasons] == [reason]


def test_the_first_yes_turns_a_noted_subscription_on(phone, person, template):
    phone.put("wechat-settings", {"mainSwitch": True, "itemSettings": {template.wechat_id: "accept"}})

    factories.grants(template, to=[person])

    assert [row["state"] for row in phone.get("subscriptions").json()["subscriptions"]] == ["on"]
    assert kept() == {template.pk: "accept"}


def test_what_the_person_decided_stays(phone, person, template):
    ledger.turn_off([TurnedOff(template.pk, person.pk, timezone.now())])

    phone.put("wechat-settings", {"mainSwitch": True, "itemSettings": {template.wechat_id: "accept"}})

    assert [row["state"] for row in phone.get("subscriptions").json()["subscriptions"]] == ["off"]


def test_the_same_again_writes_nothing(phone, person, template):
    body = {"mainSwitch": True, "itemSettings": {template.wechat_id: "accept"}}
    phone.put("wechat-settings", body)
    before = Subscription.objects.values().get()

    phone.put("wechat-settings", body)

    assert Subscription.objects.values().get() == before


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"mainSwitch": "This field is required."}),
        ({"mainSwitch": "true"}, {"mainSwitch": "Must be a valid boolean."}),
        ({"mainSwitch": 1}, {"mainSwitch": "Must be a valid boolean."}),
        ({"mainSwitch": None}, {"mainSwitch": "This field may not be null."}),
        *(
            ({"mainSwitch": True, "itemSettings": wrong}, {"itemSettings": "Send WeChat's itemSettings as they came."})
            for wrong in ([], "accept", {f"t{number}": "accept" for number in range(101)})
        ),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(phone, person, template, body, fields):
    people.note_main_switch(person, on=False, at=timezone.now())

    answer = phone.put("wechat-settings", body)

    assert (answer.status_code, answer.json()) == (400, invalid(**fields))
    assert is_off(person)
    assert kept() == {}


@pytest.mark.parametrize("count", [1, 20])
def test_the_number_of_queries_does_not_grow(phone, mini_program, count, django_assert_num_queries):
    templates = [factories.a_template(mini_program) for _ in range(count)]
    settings = {template.wechat_id: "accept" for template in templates}

    # The session, the templates, the transaction (2), the lock, the switch, what is known, what is new.
    with django_assert_num_queries(8):
        phone.put("wechat-settings", {"mainSwitch": True, "itemSettings": settings})
    assert len(kept()) == count


def test_a_muted_template_stays_muted(phone, template):
    phone.patch("preferences", {"muted": [template.wechat_id]})

    phone.put("wechat-settings", {"mainSwitch": True, "itemSettings": {template.wechat_id: "accept"}})

    assert phone.get("preferences").json()["muted"] == [template.wechat_id]
