"""Scenes at the desk, and the page that says what a person would be asked now."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from subscriptions.models import PromptReport, Scene, SceneTemplate, Subscriber, Subscription
from templates_app.models import MessageTemplate
from tests import factories
from tests.console.conftest import At, Colleague

pytestmark = pytest.mark.django_db
ADD = "admin:subscriptions_scene_add"


@pytest.fixture
def template() -> MessageTemplate:
    return factories.a_template(factories.a_mini_program(), title="发货提醒", worth=4)


@pytest.fixture
def scene(template: MessageTemplate) -> Scene:
    scene = Scene.objects.create(
        mini_program=template.mini_program, code="paid", name="支付成功页", words="可以通知您吗？"
    )
    SceneTemplate.objects.create(scene=scene, template=template)
    return scene


@pytest.fixture
def person(scene: Scene) -> Subscriber:
    return factories.subscribers(scene.mini_program, count=1)[0]


def a_form(template: MessageTemplate, **changes: Any) -> dict[str, Any]:
    values = {
        "mini_program": template.mini_program_id,
        "code": "home",
        "name": "Home",
        "words": "发货时通知您",
        "is_active": "on",
        "asks-TOTAL_FORMS": 1,
        "asks-INITIAL_FORMS": 0,
        "asks-0-template": template.pk,
        "asks-0-position": 1,
    }
    return values | changes


def prompt_page(client: Client, person: Subscriber, scene: str = "") -> Any:
    return client.get(reverse("admin:subscriptions_subscriber_prompt", args=[person.pk]), {"scene": scene})


def asking_of(client: Client, person: Subscriber) -> Any:
    return prompt_page(client, person).context["asking"]


# --- the scene page ------------------------------------------------------------------------------------------------


def test_a_scene_is_saved(admin: Client, template: MessageTemplate) -> None:
    answer = admin.post(reverse(ADD), a_form(template))

    assert answer.status_code == 302
    assert list(SceneTemplate.objects.values_list("scene__code", "template")) == [("home", template.pk)]


@pytest.mark.parametrize("words", ["订阅送红包", "必须订阅", "赶快订阅", "Subscribe to win"])
def test_words_that_buy_or_force_a_yes_are_refused_and_named(
    admin: Client, template: MessageTemplate, words: str
) -> None:
    answer = admin.post(reverse(ADD), a_form(template, words=words))

    assert answer.status_code == 200
    (sentence,) = answer.context["adminform"].form.errors["words"]
    assert "WeChat bans mini-programs for that" in sentence
    assert sentence in answer.content.decode()
    assert Scene.objects.count() == 0


def test_a_template_of_another_mini_program_is_refused(admin: Client, template: MessageTemplate) -> None:
    foreign = factories.a_template(factories.a_mini_program())

    answer = admin.post(reverse(ADD), a_form(template, **{"asks-0-template": foreign.pk}))

    assert answer.status_code == 200
    (formset,) = (each.formset for each in answer.context["inline_admin_formsets"])
    assert formset.forms[0].errors == {"template": ["This template is of another mini-program than the scene."]}
    assert Scene.objects.count() == 0


def test_a_scene_can_be_saved_while_one_of_its_templates_is_banned(
    admin: Client, scene: Scene, template: MessageTemplate
) -> None:
    MessageTemplate.objects.update(state="banned")
    row = SceneTemplate.objects.get()
    kept = {"asks-INITIAL_FORMS": 1, "asks-0-id": row.pk, "asks-0-scene": scene.pk}

    answer = admin.post(
        reverse("admin:subscriptions_scene_change", args=[scene.pk]), a_form(template, name="Renamed", **kept)
    )

    assert answer.status_code == 302
    assert Scene.objects.get().name == "Renamed"


def test_an_existing_scene_offers_its_own_mini_programs_templates(admin: Client, scene: Scene) -> None:
    foreign = factories.a_template(factories.a_mini_program())
    service_card = factories.a_template(scene.mini_program, kind=MessageTemplate.Kind.SERVICE_CARD)
    other = factories.a_template(scene.mini_program)

    page = admin.get(reverse("admin:subscriptions_scene_change", args=[scene.pk]))

    (formset,) = (each.formset for each in page.context["inline_admin_formsets"])
    offered = {template.pk for template in formset.forms[0].fields["template"].queryset}
    assert offered == {other.pk, scene.templates.get().pk}
    assert offered.isdisjoint({foreign.pk, service_card.pk})


# --- what a person would be asked ----------------------------------------------------------------------------------


def test_the_page_shows_what_would_be_asked_and_how_it_was_ranked(
    admin: Client, person: Subscriber, scene: Scene
) -> None:
    page = prompt_page(admin, person, "paid").content.decode()

    assert "可以通知您吗？" in page
    assert "发货提醒" in page
    assert "need 1.00 × chance 0.50 × worth 4 = 2.00" in page


def test_the_page_says_why_a_template_is_left_out(admin: Client, person: Subscriber, scene: Scene) -> None:
    Subscription.objects.create(subscriber=person, template=scene.templates.get(), muted_at=timezone.now())

    asking = asking_of(admin, person)

    assert asking.chosen == []
    assert [(line.title, line.reason) for line in asking.left_out] == [("发货提醒", "The person muted this template.")]


def test_the_page_says_what_holds_back_everything(admin: Client, person: Subscriber) -> None:
    Subscriber.objects.update(paused_until=timezone.now() + timedelta(days=1))

    asking = asking_of(admin, person)

    assert (asking.chosen, asking.left_out) == ([], [])
    assert asking.obstacle.startswith("The person wants no card until")


def test_the_page_shows_the_scene_that_was_picked(admin: Client, person: Subscriber, scene: Scene) -> None:
    Scene.objects.create(mini_program=scene.mini_program, code="home", name="A home")
    foreign = Scene.objects.create(mini_program=factories.a_mini_program(), code="elsewhere", name="Elsewhere")

    assert prompt_page(admin, person, "paid").context["scene"] == scene
    assert prompt_page(admin, person, foreign.code).context["scene"].code == "home"
    assert list(prompt_page(admin, person).context["scenes"].values_list("code", flat=True)) == ["home", "paid"]


def test_looking_only_reads(admin: Client, person: Subscriber) -> None:
    with CaptureQueriesContext(connection) as captured:
        assert prompt_page(admin, person).status_code == 200

    assert {query["sql"].split()[0] for query in captured} == {"SELECT"}
    assert PromptReport.objects.count() == 0


def test_a_person_of_a_mini_program_without_scenes(admin: Client, person: Subscriber) -> None:
    Scene.objects.all().delete()

    assert "The mini-program has no scenes." in prompt_page(admin, person).content.decode()


def test_only_those_who_may_see_people_and_scenes_may_look(
    colleague: Colleague, at_desk: At, person: Subscriber
) -> None:
    nobody = factories.a_user(is_staff=True)

    assert prompt_page(at_desk(colleague("viewer")), person).status_code == 200
    assert prompt_page(at_desk(nobody), person).status_code == 403


def test_a_viewer_sees_no_whole_openid(colleague: Colleague, at_desk: At, person: Subscriber) -> None:
    page = prompt_page(at_desk(colleague("viewer")), person).content.decode()

    assert person.openid not in page
    assert person.masked_openid in page


def test_nobody_is_not_found(admin: Client, person: Subscriber) -> None:
    assert admin.get(reverse("admin:subscriptions_subscriber_prompt", args=[person.pk + 1])).status_code == 404
