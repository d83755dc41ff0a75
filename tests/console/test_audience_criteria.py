"""Who is meant by a criterion, and the count beside the form."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from notify_platform.core.errors import Refused
from notify_platform.delivery.models import Delivery, Open
from subscriptions.audience import selection
from subscriptions.grants import ledger
from subscriptions.grants.pairing import NewAnswer
from subscriptions.models import Audience, Grant, Scene, Source, Subscriber
from templates_app.models import MessageTemplate
from tests import factories
from tests.console.conftest import At, Colleague, a_delivery

COUNT = reverse("admin:subscriptions_audience_count")


@pytest.fixture
def template(db: None) -> MessageTemplate:
    return factories.a_template(factories.a_mini_program(approval_threshold=0))


def meant(template: MessageTemplate, **rule: Any) -> set[Subscriber]:
    return set(selection.people(Audience(mini_program=template.mini_program, rule=rule)))


def test_consent_is_counted_in_units_that_are_still_valid(template: MessageTemplate) -> None:
    none, one, two, lapsed = factories.subscribers(template.mini_program, count=4)
    factories.grants(template, to=[one])
    factories.grants(template, to=[two, lapsed], units=2)
    Grant.objects.filter(subscriber=lapsed).update(expires_at=timezone.now() - timedelta(minutes=1))
    factories.grants(factories.a_template(template.mini_program), to=[none])
    assert meant(template, consent={"template": template.pk, "at_least": 1}) == {one, two}
    assert meant(template, consent={"template": template.pk, "at_least": 2}) == {two}
    assert meant(template, consent={"template": template.pk, "at_least": 3}) == set()


def test_a_standing_subscription_is_consent_without_end(template: MessageTemplate) -> None:
    long_term = factories.a_template(template.mini_program, kind=MessageTemplate.Kind.LONG_TERM)
    yes, _no = factories.subscribers(template.mini_program, count=2)
    factories.grants(long_term, to=[yes])
    assert meant(template, consent={"template": long_term.pk, "at_least": 5}) == {yes}


def test_a_scene_means_who_agreed_in_it(template: MessageTemplate) -> None:
    agreed, aloud, refused, _elsewhere = people = factories.subscribers(template.mini_program, count=4)
    scene = Scene.objects.create(mini_program=template.mini_program, code="paid", name="Paid")
    other = Scene.objects.create(mini_program=template.mini_program, code="home", name="Home")
    said = zip(people, ("accept", "acceptWithAudio", "reject", "accept"), (scene, scene, scene, other), strict=True)
    ledger.record(
        [
            NewAnswer(
                subscriber_id=person.pk, template=template, answer=word, source=Source.CLIENT, scene_id=where.pk,
                answered_at=timezone.now(), request_key=f"x:{person.pk}",
            )
            for person, word, where in said
        ]
    )  # fmt: skip
    assert meant(template, scenes=[scene.pk]) == {agreed, aloud}
    assert refused not in meant(template, scenes=[scene.pk, other.pk])


def test_one_of_the_tags_is_enough_and_a_part_of_a_word_is_not(template: MessageTemplate) -> None:
    vip, old, _other = (
        factories.subscribers(template.mini_program, count=1, tags=tags, interests=tags)[0]
        for tags in (["VIP", "水果"], ["老客"], ["VIPs", '"老客"', "水果刀"])
    )
    assert meant(template, tags=["VIP"]) == {vip}
    assert meant(template, tags=["水果", "老客"]) == {vip, old}
    assert meant(template, interests=["老客"]) == {old}
    assert meant(template, tags=["100%", "_"]) == set()


def test_an_earlier_job_divides_those_who_opened_it_from_those_who_got_it(template: MessageTemplate) -> None:
    opened, ignored, failed, _never = people = factories.subscribers(template.mini_program, count=4)
    factories.grants(template, to=people)
    job = factories.a_job(template)
    sent = a_delivery(job, person=opened, state=Delivery.State.DELIVERED)
    a_delivery(job, person=ignored, state=Delivery.State.ACCEPTED)
    a_delivery(job, person=failed, state=Delivery.State.FAILED)
    Open.objects.create(delivery=sent, subscriber=opened, at=timezone.now())
    assert meant(template, opened_jobs=[job.pk]) == {opened}
    assert meant(template, not_opened_jobs=[job.pk]) == {ignored}


def test_all_criteria_must_hold(template: MessageTemplate) -> None:
    both, _one = (
        factories.subscribers(template.mini_program, count=1, region=region, tags=["VIP"])[0]
        for region in ("广东", "上海")
    )
    assert meant(template, regions=["广东"], tags=["VIP"]) == {both}


@pytest.mark.parametrize(
    "rule",
    [
        {"consent": {"template": 1}},
        {"consent": {"template": 1, "at_least": 0}},
        {"consent": {"template": True, "at_least": 1}},
        {"consent": [1, 1]},
        {"scenes": []},
        {"scenes": ["1"]},
        {"opened_jobs": 7},
        {"not_opened_jobs": [-1]},
        {"tags": [""]},
        {"height": 3},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule: dict[str, Any], template: MessageTemplate) -> None:
    with pytest.raises(Refused):
        meant(template, **rule)


# --- beside the form -----------------------------------------------------------------------------------------------


def test_the_page_is_told_how_many_people_and_how_much_consent(
    template: MessageTemplate, colleague: Colleague, at_desk: At
) -> None:
    people = factories.subscribers(template.mini_program, count=5, region="广东")
    factories.grants(template, to=people[:2], units=3)
    desk = at_desk(colleague("operator"))
    asked = {"mini_program": template.mini_program_id, "name": "", "regions": "广东，浙江"}
    assert desk.post(COUNT, asked).json() == {
        "sentence": "It means 5 people",
        "people": 5,
        "stock": [{"title": template.title, "people": "2"}],
    }
    assert (desk.get(COUNT).status_code, at_desk(colleague("viewer")).post(COUNT, asked).status_code) == (405, 403)
    assert Audience.objects.count() == 0
    assert desk.post(COUNT, asked | {"active_within_days": "x"}).json() == {
        "sentence": "Mend the inputs above to see how many people it means.",
        "stock": [],
    }


def test_counting_takes_the_same_queries_for_three_people_as_for_three_hundred(
    template: MessageTemplate, colleague: Colleague, at_desk: At
) -> None:
    desk = at_desk(colleague("operator"))
    asked = {"mini_program": template.mini_program_id, "tags": "VIP"}

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert desk.post(COUNT, asked).status_code == 200
        return len(captured)

    factories.grants(template, to=factories.subscribers(template.mini_program, count=3, tags=["VIP"]))
    queries()
    few = queries()
    factories.grants(template, to=factories.subscribers(template.mini_program, count=300, tags=["VIP"]))
    assert queries() == few
