"""Writing a job: one input for each keyword, nothing saved that could not be sent, no text lost."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from notify_platform.core.models import AuditEvent
from notify_platform.jobs.models import SendJob, Variant
from subscriptions.models import Audience
from templates_app import catalog
from templates_app.models import MessageTemplate, TemplateField
from tests import factories
from tests.console.conftest import At, Colleague

ADD = reverse("admin:jobs_sendjob_add")


@pytest.fixture
def template(db: None) -> MessageTemplate:
    program = factories.a_mini_program(approval_threshold=0)
    template = factories.a_template(
        program,
        fields=[("thing1", "活动"), ("phrase2", "状态"), ("enum_string3", "方式"), ("character_string4", "编号")],
    )
    TemplateField.objects.filter(template=template, key="enum_string3").update(choices=["快递", "自提"])
    return template


@pytest.fixture
def audience(template: MessageTemplate) -> Audience:
    return factories.everybody(template.mini_program)


@pytest.fixture
def operator(colleague: Colleague) -> User:
    return colleague("operator")


@pytest.fixture
def desk(operator: User, at_desk: At) -> Client:
    return at_desk(operator)


def typed(template: MessageTemplate, **changes: str) -> dict[str, str]:
    """Return what a browser posts for a finished form."""
    return {
        "template": str(template.pk),
        "name": "Double eleven",
        "purpose": "They asked for it.",
        "audience": str(factories.everybody(template.mini_program).pk),
        "starts_at_0": "",
        "starts_at_1": "",
        "not_after_0": "",
        "not_after_1": "",
        "window_from": "",
        "window_until": "",
        "pace_per_second": "",
        "page": "pages/index",
        "text_thing1": "{{ nickname | 朋友 }}的水果节",
        "fit_thing1": "on",
        "text_phrase2": "即将开始",
        "text_enum_string3": "自提",
        "text_character_string4": "S11-001",
        "seen": "",
        **changes,
    }


def add_url(template: MessageTemplate) -> str:
    return f"{ADD}?template={template.pk}"


def change_url(job: SendJob) -> str:
    return reverse("admin:jobs_sendjob_change", args=[job.pk])


def saved(desk: Client, template: MessageTemplate) -> SendJob:
    assert desk.post(add_url(template), typed(template)).status_code == 302
    return SendJob.objects.get()


def errors_of(response: Any) -> dict[str, list[str]]:
    """Return the sentences by input; those of the whole form stand under ``__all__``."""
    assert response.status_code == 200
    return {name: list(sentences) for name, sentences in response.context["adminform"].form.errors.items()}


def state_of_the_database() -> list[Any]:
    return [
        list(SendJob.objects.order_by("pk").values()),
        list(Variant.objects.order_by("pk").values()),
        AuditEvent.objects.exclude(action="log_in").count(),
    ]


# --- choosing the template -----------------------------------------------------------------------------------------


def test_only_templates_that_can_be_sent_are_offered(desk: Client, template: MessageTemplate) -> None:
    program = template.mini_program
    factories.a_template(program, kind=MessageTemplate.Kind.SERVICE_CARD)
    factories.a_template(program, state=MessageTemplate.State.BANNED)
    factories.grants(template, to=factories.subscribers(program, count=2))
    page = desk.get(ADD)
    assert [(row, stock) for row, _card, stock in page.context["choices"]] == [(template, "2")]


@pytest.mark.parametrize("number", ["", "abc", "999999"])
def test_an_unknown_template_leads_back_to_the_choice(desk: Client, template: MessageTemplate, number: str) -> None:
    assert "choices" in desk.get(f"{ADD}?template={number}").context
    assert "choices" in desk.post(f"{ADD}?template={number}", typed(template)).context
    assert SendJob.objects.count() == 0


def test_a_template_other_than_that_of_the_address_is_not_taken(desk: Client, template: MessageTemplate) -> None:
    other = factories.a_template(template.mini_program)
    assert "choices" in desk.post(add_url(other), typed(template)).context
    assert SendJob.objects.count() == 0


# --- the form ------------------------------------------------------------------------------------------------------


def test_the_form_asks_for_each_keyword_in_its_own_way(desk: Client, template: MessageTemplate) -> None:
    form = desk.get(add_url(template)).context["adminform"].form
    words = {name: form.fields[name] for row in form.panels()[0].rows for name in (each.name for each in row if each)}
    assert {name: type(field).__name__ for name, field in words.items()} == {
        "text_thing1": "CharField",
        "fit_thing1": "BooleanField",
        "text_phrase2": "CharField",
        "fit_phrase2": "BooleanField",
        "text_enum_string3": "ChoiceField",
        "text_character_string4": "CharField",
    }
    assert words["text_thing1"].label == "活动 (thing1)"
    assert words["text_thing1"].help_text == "Thing, at most 20 characters. Any text in one line."
    assert [value for value, _label in words["text_enum_string3"].choices] == ["", "快递", "自提"]


def test_an_example_and_a_lenient_rule_are_told(desk: Client, template: MessageTemplate) -> None:
    TemplateField.objects.filter(template=template, key="thing1").update(example="水果节", strict=False)
    field = desk.get(add_url(template)).context["adminform"].form.fields["text_thing1"]
    assert field.help_text == (
        "Thing, at most 20 characters. Any text in one line. Example: 水果节 A broken rule is only a warning here."
    )


def test_only_audiences_of_the_templates_mini_program_are_offered(
    desk: Client, template: MessageTemplate, audience: Audience
) -> None:
    foreign = factories.everybody(factories.a_mini_program())
    form = desk.get(add_url(template)).context["adminform"].form
    assert list(form.fields["audience"].queryset) == [audience]
    refused = desk.post(add_url(template), typed(template, audience=str(foreign.pk)))
    assert list(errors_of(refused)) == ["audience"]


# --- saving --------------------------------------------------------------------------------------------------------


def test_a_finished_form_becomes_a_draft_of_its_composer(
    desk: Client, template: MessageTemplate, audience: Audience, operator: User
) -> None:
    job = saved(desk, template)
    assert (job.state, job.created_by, job.mini_program, job.template, job.audience, job.name) == (
        SendJob.State.DRAFT,
        operator,
        template.mini_program,
        template,
        audience,
        "Double eleven",
    )
    variant = job.variants.get()
    assert (variant.name, variant.page, variant.fit_keys) == ("A", "pages/index", ["thing1"])
    assert variant.texts == {
        "thing1": "{{ nickname | 朋友 }}的水果节",
        "phrase2": "即将开始",
        "enum_string3": "自提",
        "character_string4": "S11-001",
    }


def test_save_and_submit_leads_to_the_question_and_submits_nothing_yet(desk: Client, template: MessageTemplate) -> None:
    answer = desk.post(add_url(template), typed(template, _submit=""))
    job = SendJob.objects.get()
    assert answer["Location"] == reverse("admin:jobs_sendjob_do", args=[job.pk, "submit"])
    assert job.state == SendJob.State.DRAFT


WRONG = [
    ({"name": ""}, {"name": ["This field is required."]}),
    ({"purpose": "   "}, {"purpose": ["This field is required."]}),
    ({"text_thing1": ""}, {"text_thing1": ["This field is required."]}),
    (
        {"text_phrase2": "on the way"},
        {"text_phrase2": ["It has 10 characters and WeChat takes at most 5 (an emoji counts as two). Shorten it."]},
    ),
    (
        {"text_phrase2": "已发货!"},
        {"text_phrase2": ["Only Chinese characters, without punctuation, digits or letters, e.g. 配送中."]},
    ),
    (
        {"text_thing1": "{{ order_no }}", "text_phrase2": "好"},
        {"__all__": ["Nothing is known as order_no; there are: nickname, region, city."]},
    ),
    (
        {"page": "https://example.com"},
        {"page": ["A card opens a page of this mini-program, not an address. Write e.g. pages/order/detail?id=1."]},
    ),
    (
        {"not_after_0": "2020-01-01", "not_after_1": "09:00:00"},
        {"not_after": ["The deadline lies before the start."]},
    ),
    ({"window_from": "09:00:00"}, {"window_until": ["Give both ends of the hours, or neither."]}),
    ({"pace_per_second": "0"}, {"pace_per_second": ["Ensure this value is greater than or equal to 1."]}),
]


@pytest.mark.parametrize(("changes", "expected"), WRONG, ids=[" ".join(changes) for changes, _errors in WRONG])
def test_a_wrong_input_gets_its_sentence_and_nothing_is_written(
    desk: Client, template: MessageTemplate, changes: dict[str, str], expected: dict[str, list[str]]
) -> None:
    factories.everybody(template.mini_program)
    before = state_of_the_database()
    answer = desk.post(add_url(template), typed(template, **changes))
    assert errors_of(answer) == expected
    assert state_of_the_database() == before


def test_a_choice_outside_the_list_is_refused(desk: Client, template: MessageTemplate) -> None:
    assert list(errors_of(desk.post(add_url(template), typed(template, text_enum_string3="骑马")))) == [
        "text_enum_string3"
    ]


def test_two_wrong_words_are_told_at_once(desk: Client, template: MessageTemplate) -> None:
    answer = desk.post(add_url(template), typed(template, text_phrase2="ok", text_character_string4="编 号"))
    assert sorted(errors_of(answer)) == ["text_character_string4", "text_phrase2"]


def test_a_template_banned_meanwhile_is_told_and_the_text_is_kept(desk: Client, template: MessageTemplate) -> None:
    catalog.mark_banned(template)
    answer = desk.post(add_url(template), typed(template))
    assert errors_of(answer) == {"__all__": ["WeChat does not take messages with this template any more."]}
    assert "{{ nickname | 朋友 }}的水果节" in answer.content.decode()
    assert SendJob.objects.count() == 0


# --- changing a draft ----------------------------------------------------------------------------------------------


def seen_by(desk: Client, job: SendJob) -> str:
    return str(desk.get(change_url(job)).context["adminform"].form["seen"].value())


def test_a_draft_opens_with_what_was_written(desk: Client, template: MessageTemplate) -> None:
    job = saved(desk, template)
    form = desk.get(change_url(job)).context["adminform"].form
    assert [
        form[name].value() for name in ("text_thing1", "fit_thing1", "fit_phrase2", "text_enum_string3", "page")
    ] == [
        "{{ nickname | 朋友 }}的水果节",
        True,
        False,
        "自提",
        "pages/index",
    ]


def test_a_draft_can_be_changed(desk: Client, template: MessageTemplate, operator: User) -> None:
    job = saved(desk, template)
    changed = typed(template, name="Another name", text_thing1="满减", seen=seen_by(desk, job))
    del changed["fit_thing1"]
    assert desk.post(change_url(job), changed).status_code == 302
    job.refresh_from_db()
    variant = job.variants.get()
    assert (job.name, variant.texts["thing1"], variant.fit_keys, job.created_by) == (
        "Another name",
        "满减",
        [],
        operator,
    )
    trail = AuditEvent.objects.exclude(action="log_in").order_by("pk")
    assert list(trail.values_list("action", "subject")) == [
        ("add", f"job {job.pk}"),
        ("change", f"job {job.pk}"),
    ]


def test_the_template_of_a_draft_stays(desk: Client, template: MessageTemplate) -> None:
    job = saved(desk, template)
    other = factories.a_template(template.mini_program)
    desk.post(change_url(job), {**typed(template, seen=seen_by(desk, job)), "template": str(other.pk)})
    job.refresh_from_db()
    assert job.template == template


@pytest.mark.parametrize(
    "second",
    [{"name": "Second tab"}, {"text_thing1": "第二个标签页"}, {"page": "pages/other"}, {"pace_per_second": "7"}],
    ids=["a column", "the words", "the page", "the pace"],
)
def test_of_two_tabs_the_second_is_refused_and_keeps_its_text(
    desk: Client, template: MessageTemplate, second: dict[str, str]
) -> None:
    job = saved(desk, template)
    seen = seen_by(desk, job)
    assert desk.post(change_url(job), typed(template, **second, seen=seen)).status_code == 302
    before = state_of_the_database()
    answer = desk.post(change_url(job), typed(template, purpose="written for an hour", seen=seen))
    assert errors_of(answer) == {
        "__all__": [
            "Somebody saved this job after you had opened it, so nothing was saved. Your text is still here: open the "
            "job in another tab and bring the two together."
        ]
    }
    assert "written for an hour" in answer.content.decode()
    assert state_of_the_database() == before


def test_a_job_submitted_in_another_tab_cannot_be_saved_and_the_text_is_kept(
    desk: Client, template: MessageTemplate
) -> None:
    job = saved(desk, template)
    seen = seen_by(desk, job)
    desk.post(reverse("admin:jobs_sendjob_do", args=[job.pk, "submit"]))
    before = state_of_the_database()
    answer = desk.post(change_url(job), typed(template, purpose="written for an hour", seen=seen))
    assert errors_of(answer) == {
        "__all__": [
            "This job is no draft any more (waiting for approval), so nothing was saved. Your text is still here: copy "
            "it, take the job back to draft and paste it."
        ]
    }
    assert "written for an hour" in answer.content.decode()
    assert state_of_the_database() == before


@pytest.mark.parametrize("role", ["viewer", "approver", "engineer"])
def test_others_can_neither_compose_nor_change(
    role: str, desk: Client, template: MessageTemplate, colleague: Colleague, at_desk: At
) -> None:
    job = saved(desk, template)
    before = state_of_the_database()
    other = at_desk(colleague(role))
    assert other.get(ADD).status_code == 403
    assert other.post(add_url(template), typed(template)).status_code == 403
    assert other.post(change_url(job), typed(template, name="Mine now")).status_code == 403
    assert "adminform" not in other.get(change_url(job)).context
    assert state_of_the_database() == before


def test_a_job_is_never_deleted(admin: Client, template: MessageTemplate) -> None:
    job = factories.a_job(template, texts={"thing1": "x"})
    assert admin.post(reverse("admin:jobs_sendjob_delete", args=[job.pk]), {"post": "yes"}).status_code == 403
    assert SendJob.objects.filter(pk=job.pk).exists()


# --- the whole way -------------------------------------------------------------------------------------------------


def test_a_job_is_composed_submitted_approved_and_started_at_the_desk(
    desk: Client, template: MessageTemplate, operator: User, colleague: Colleague, at_desk: At
) -> None:
    factories.grants(template, to=factories.subscribers(template.mini_program, count=2))
    second = colleague("approver")
    approver = at_desk(second)

    def press(who: Client, name: str) -> str:
        job = SendJob.objects.get()
        answer = who.post(reverse("admin:jobs_sendjob_do", args=[job.pk, name]), follow=True)
        assert answer.status_code == 200
        job.refresh_from_db()
        return job.state

    assert desk.get(ADD).status_code == 200
    assert desk.get(add_url(template)).status_code == 200
    assert desk.post(add_url(template), typed(template), follow=True).status_code == 200
    assert press(desk, "submit") == SendJob.State.SUBMITTED
    assert press(approver, "approve") == SendJob.State.SCHEDULED
    assert press(desk, "start") == SendJob.State.RUNNING
    job = SendJob.objects.get()
    assert (job.created_by, job.approved_by) == (operator, second)
    trail = [(entry.who, entry.what, entry.why) for entry in desk.get(change_url(job)).context["trail"]]
    assert trail == [
        (operator.username, "started it", ""),
        (second.username, "approved it", ""),
        (operator.username, "submitted it", "2 people could be reached"),
        (operator.username, "added it", ""),
    ]
