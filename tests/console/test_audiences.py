"""Audiences: a rule as form fields, never as JSON."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from notify_platform.jobs import jobs
from subscriptions.models import Audience
from templates_app.models import MessageTemplate
from tests import factories
from tests.console.conftest import At, Colleague

ADD = reverse("admin:subscriptions_audience_add")


@pytest.fixture
def template(db: None) -> MessageTemplate:
    return factories.a_template(factories.a_mini_program(approval_threshold=0))


@pytest.fixture
def desk(colleague: Colleague, at_desk: At) -> Client:
    return at_desk(colleague("operator"))


def typed(template: MessageTemplate, **changes: Any) -> dict[str, Any]:
    empty = {"regions": "", "cities": "", "active_within_days": "", "dormant_for_days": ""}
    return {"mini_program": template.mini_program_id, "name": "Guangdong", **empty, **changes}


def page(audience: Audience) -> str:
    return reverse("admin:subscriptions_audience_change", args=[audience.pk])


@pytest.mark.parametrize(
    ("inputs", "rule"),
    [
        ({}, {}),
        ({"regions": "广东"}, {"regions": ["广东"]}),
        ({"regions": " 广东，浙江、上海\n广东, "}, {"regions": ["广东", "浙江", "上海"]}),
        ({"cities": "深圳;杭州"}, {"cities": ["深圳", "杭州"]}),
        ({"active_within_days": "30"}, {"active_within_days": 30}),
        (
            {"regions": "广东", "dormant_for_days": "7"},
            {"regions": ["广东"], "dormant_for_days": 7},
        ),
    ],
)
def test_the_inputs_become_a_rule(
    desk: Client, template: MessageTemplate, inputs: dict[str, str], rule: dict[str, Any]
) -> None:
    assert desk.post(ADD, typed(template, **inputs)).status_code == 302
    audience = Audience.objects.get()
    assert (audience.kind, audience.rule) == (Audience.Kind.RULE, rule)
    form = desk.get(page(audience)).context["adminform"].form
    assert {name: form[name].value() for name in rule} == {
        name: "，".join(value) if isinstance(value, list) else value for name, value in rule.items()
    }


@pytest.mark.parametrize("days", ["0", "-1", "3651", "soon"])
def test_days_that_make_no_sense_are_told_and_nothing_is_written(
    desk: Client, template: MessageTemplate, days: str
) -> None:
    answer = desk.post(ADD, typed(template, active_within_days=days))
    assert list(answer.context["adminform"].form.errors) == ["active_within_days"]
    assert Audience.objects.count() == 0


def test_the_page_counts_the_people_and_says_the_rule_in_words(
    desk: Client, template: MessageTemplate, colleague: Colleague, at_desk: At
) -> None:
    factories.subscribers(template.mini_program, count=2, region="广东")
    factories.subscribers(template.mini_program, count=1, region="上海")
    audience = Audience.objects.create(mini_program=template.mini_program, name="South", rule={"regions": ["广东"]})
    assert '<div class="readonly' in desk.get(page(audience)).content.decode()
    text = at_desk(colleague("viewer")).get(page(audience)).content.decode()
    assert "region: 广东" in text
    assert ">2<" in text.replace("\n", "").replace(" ", "")


def test_a_rule_does_not_change_under_a_job_that_relies_on_it(desk: Client, template: MessageTemplate) -> None:
    audience = factories.everybody(template.mini_program)
    job = factories.a_job(template, audience=audience, name="Double eleven")
    jobs.submit(job, by=None)
    answer = desk.post(page(audience), typed(template, name="Everybody", regions="广东"))
    assert answer.context["adminform"].form.errors == {
        "__all__": ["Jobs that are submitted or running use this audience: Double eleven. Make a new one."]
    }
    audience.refresh_from_db()
    assert audience.rule == {}
    # A new name changes nobody.
    assert desk.post(page(audience), typed(template, name="All of them")).status_code == 302


def test_a_rule_may_change_while_its_jobs_are_drafts(desk: Client, template: MessageTemplate) -> None:
    audience = factories.everybody(template.mini_program)
    factories.a_job(template, audience=audience)
    assert desk.post(page(audience), typed(template, regions="广东")).status_code == 302
    audience.refresh_from_db()
    assert audience.rule == {"regions": ["广东"]}


def test_an_uploaded_list_is_shown_without_criteria(desk: Client, template: MessageTemplate) -> None:
    audience = Audience.objects.create(mini_program=template.mini_program, name="Uploaded", kind=Audience.Kind.LIST)
    assert "id_regions" not in desk.get(page(audience)).content.decode()
    assert desk.post(page(audience), typed(template, name="Renamed", regions="广东")).status_code == 302
    audience.refresh_from_db()
    assert (audience.name, audience.kind, audience.rule) == ("Renamed", Audience.Kind.LIST, {})


def test_an_audience_that_a_job_names_cannot_be_deleted(desk: Client, template: MessageTemplate) -> None:
    audience = factories.everybody(template.mini_program)
    factories.a_job(template, audience=audience)
    desk.post(reverse("admin:subscriptions_audience_delete", args=[audience.pk]), {"post": "yes"})
    assert Audience.objects.filter(pk=audience.pk).exists()
