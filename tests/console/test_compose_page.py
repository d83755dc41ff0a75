"""What the composing page asks while somebody writes: cards, findings, numbers, the check, and saves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import QuerySet
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from notify_platform.console.models import Access
from notify_platform.core.models import AuditEvent
from notify_platform.delivery import pacing
from notify_platform.jobs import variants
from notify_platform.jobs.models import SendJob, Variant
from subscriptions.models import Audience
from templates_app.models import MessageTemplate, MiniProgram
from tests import factories
from tests.console.conftest import At, Colleague

ADD = reverse("admin:jobs_sendjob_add")
QUESTIONS = ["look", "people", "check", "save"]


@pytest.fixture
def template(db: None) -> MessageTemplate:
    program = factories.a_mini_program(approval_threshold=100, pace_per_second=50)
    return factories.a_template(program, fields=[("thing1", "活动"), ("phrase2", "状态")])


@pytest.fixture
def operator(colleague: Colleague) -> User:
    return colleague("operator")


@pytest.fixture
def desk(operator: User, at_desk: At) -> Client:
    return at_desk(operator)


def typed(template: MessageTemplate, /, **changes: str) -> dict[str, str]:
    """Return what the page posts for a finished form."""
    return {
        "template": str(template.pk),
        "name": "Double eleven",
        "purpose": "They asked for it.",
        "audience": str(factories.everybody(template.mini_program).pk),
        "start": "person",
        "page": "pages/index",
        "text_thing1": "{{ nickname | 朋友 }}的水果节",
        "text_phrase2": "即将开始",
        "seen": "",
        "job": "",
        **changes,
    }


def ask(desk: Client, question: str, template: MessageTemplate, /, **changes: str) -> dict[str, Any]:
    answer = desk.post(reverse(f"admin:jobs_sendjob_{question}"), typed(template, **changes))
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def state_of_the_database() -> list[Any]:
    tables = (SendJob.objects, Variant.objects, trail(), Audience.objects)
    return [list(rows.order_by("pk").values()) for rows in tables]


def trail() -> QuerySet[AuditEvent]:
    """Return what was done, without who came in."""
    return AuditEvent.objects.exclude(action="log_in")


# --- who may ask ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_is_a_post_of_somebody_who_writes(
    name: str, desk: Client, template: MessageTemplate, colleague: Colleague, at_desk: At
) -> None:
    url, posted = reverse(f"admin:jobs_sendjob_{name}"), typed(template)
    before = state_of_the_database()
    assert desk.get(url).status_code == 405
    for role in ("viewer", "approver", "engineer"):
        assert at_desk(colleague(role)).post(url, posted).status_code == 403
    assert Client().post(url, posted)["Location"].startswith(reverse("admin:login"))
    assert state_of_the_database() == before


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_without_the_token_is_refused(name: str, operator: User, template: MessageTemplate) -> None:
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(operator)
    assert careful.post(reverse(f"admin:jobs_sendjob_{name}"), typed(template)).status_code == 403
    assert SendJob.objects.count() == 0


@pytest.mark.parametrize("name", QUESTIONS)
def test_what_belongs_to_another_mini_program_is_not_there(
    name: str, desk: Client, operator: User, template: MessageTemplate
) -> None:
    job = factories.a_job(template, texts={"thing1": "x", "phrase2": "好"})
    Access.objects.create(user=operator, mini_program=factories.a_mini_program())
    url = reverse(f"admin:jobs_sendjob_{name}")
    assert desk.post(url, typed(template)).status_code == 404
    assert desk.post(url, typed(template, job=str(job.pk))).status_code == 404
    assert desk.post(reverse("admin:jobs_sendjob_copy", args=[job.pk])).status_code == 404
    assert SendJob.objects.count() == 1


@pytest.mark.parametrize("number", ["", "0", "x", "999999"])
def test_a_template_nobody_knows_is_no_question(number: str, desk: Client, template: MessageTemplate) -> None:
    assert desk.post(reverse("admin:jobs_sendjob_look"), typed(template, template=number)).status_code == 404


@pytest.mark.parametrize("name", ["look", "people", "check"])
def test_looking_and_checking_change_nothing(name: str, desk: Client, template: MessageTemplate) -> None:
    factories.grants(template, to=factories.subscribers(template.mini_program, count=3))
    job = factories.a_job(template, texts={"thing1": "旧的", "phrase2": "旧的"})
    typed(template)
    before = state_of_the_database()
    ask(desk, name, template)
    ask(desk, name, template, job=str(job.pk), seen="anything")
    assert state_of_the_database() == before


# --- five real people ----------------------------------------------------------------------------------------------


def test_five_real_people_of_the_audience_are_shown_with_their_words(desk: Client, template: MessageTemplate) -> None:
    program = template.mini_program
    for name in ("晴天", "小鱼", "阿木", "西西", "大海", "北北"):
        factories.grants(template, to=factories.subscribers(program, count=1, nickname=name))
    factories.subscribers(program, count=1, nickname="没有授权")
    answer = ask(desk, "look", template)
    assert answer["cards"].count("desk-card-title") == 5
    assert "晴天的水果节" in answer["cards"]
    assert "没有授权" not in answer["cards"]
    assert answer["findings"] == {}
    assert answer["values"] == {"nickname": "晴天", "region": "", "city": ""}


def test_people_are_shown_masked(desk: Client, template: MessageTemplate) -> None:
    (person,) = factories.subscribers(template.mini_program, count=1, nickname="晴天")
    factories.grants(template, to=[person])
    cards = ask(desk, "look", template)["cards"]
    assert (person.openid in cards, person.masked_openid in cards) == (False, True)


def test_those_for_whom_the_words_do_not_fit_come_first_and_are_counted(
    desk: Client, template: MessageTemplate
) -> None:
    program = template.mini_program
    factories.grants(template, to=factories.subscribers(program, count=8, nickname="小明"))
    factories.grants(template, to=factories.subscribers(program, count=1, nickname="一个名字特别特别特别长的朋友啊"))
    words = {"text_thing1": "{{ nickname | 朋友 }}，水果节开始了"}
    answer = ask(desk, "look", template, **words)
    assert "1 of the 9 people tried would get no card" in answer["cards"]
    assert answer["cards"].index("特别特别") < answer["cards"].index("小明，水果节")
    level, sentence = answer["findings"]["text_thing1"]
    assert (level, sentence.startswith("For 1 of 9 people: It has ")) == ("warn", True)
    fitted = ask(desk, "look", template, **words, fit_thing1="on")
    assert (fitted["findings"], "people tried" in fitted["cards"]) == ({}, False)


def test_looking_takes_the_same_queries_for_many_people_as_for_one(desk: Client, template: MessageTemplate) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            ask(desk, "look", template)
        return len(captured)

    factories.grants(template, to=factories.subscribers(template.mini_program, count=3))
    queries()
    few = queries()
    factories.grants(template, to=factories.subscribers(template.mini_program, count=297))
    assert queries() == few


def test_a_forgotten_person_is_never_shown(desk: Client, template: MessageTemplate) -> None:
    factories.subscribers(template.mini_program, count=1, nickname="忘了", forgotten_at=timezone.now())
    assert "忘了" not in ask(desk, "look", template, audience="")["cards"]


# --- findings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"text_thing1": "", "name": "", "purpose": ""}, {}),
        (
            {"text_phrase2": "ok"},
            {"text_phrase2": ["bad", "Only Chinese characters, without punctuation, digits or letters, e.g. 配送中."]},
        ),
        (
            {"text_thing1": "{{ order_no }}"},
            {"text_thing1": ["bad", "Nothing is known as order_no; there are: nickname, region, city."]},
        ),
        (
            {"text_thing1": "{{ nickname }}的水果节"},
            {"text_thing1": ["warn", "Who has no nickname gets no card. Give other words: {{ nickname | … }}."]},
        ),
        (
            {"page": "pages/a b"},
            {"page": ["bad", "A page holds no spaces or control characters. Write them encoded, e.g. %20."]},
        ),
        ({"start": "at"}, {"starts_at": ["bad", "Say on which day and at what time."]}),
        ({"window_from": "09:00"}, {"window_until": ["bad", "Give both ends of the hours, or neither."]}),
    ],
)
def test_what_is_wrong_is_told_at_its_input_and_what_is_missing_is_not_wrong_yet(
    desk: Client, template: MessageTemplate, changes: dict[str, str], expected: dict[str, list[str]]
) -> None:
    factories.grants(template, to=factories.subscribers(template.mini_program, count=1))
    assert ask(desk, "look", template, **changes)["findings"] == expected


def test_a_rule_that_only_warns_does_not_stop_a_card(desk: Client, template: MessageTemplate) -> None:
    template.fields.filter(key="phrase2").update(strict=False)
    factories.grants(template, to=factories.subscribers(template.mini_program, count=1))
    answer = ask(desk, "look", template, text_phrase2="ok")
    assert (answer["findings"]["text_phrase2"][0], "would get no card" in answer["cards"]) == ("warn", False)


# --- when ----------------------------------------------------------------------------------------------------------


def test_what_the_times_mean_is_said(desk: Client, template: MessageTemplate) -> None:
    assert ask(desk, "look", template, reach="36000")["when"] == [
        "It begins when somebody presses start, after it is approved.",
        "36,000 people take about 12 minutes at 50 a second.",
    ]
    times = {"start": "approved", "pace_per_second": "5", "window_from": "09:00", "window_until": "21:00"}
    said = ask(desk, "look", template, reach="10", **times)
    assert said["when"] == [
        "It begins by itself as soon as it is approved.",
        "10 people take less than a minute at 5 a second.",
        "Cards leave only from 09:00 to 21:00, by the clock of each person.",
    ]


def test_a_deadline_the_pace_cannot_keep_is_told(desk: Client, template: MessageTemplate) -> None:
    start = timezone.localtime() + timedelta(days=2)
    times = {
        "start": "at",
        "starts_at_0": f"{start:%Y-%m-%d}",
        "starts_at_1": "20:00",
        "not_after_0": f"{start:%Y-%m-%d}",
        "not_after_1": "20:10",
    }
    said = ask(desk, "look", template, reach="36000", **times)["when"]
    assert said == [
        f"It begins by itself on {start:%Y-%m-%d} 20:00; it has to be approved by then.",
        "36,000 people take about 12 minutes at 50 a second.",
        f"At this pace only 30,000 of 36,000 people get it before {start:%Y-%m-%d} 20:10.",
    ]


@pytest.mark.parametrize("start", ["person", "approved"])
def test_the_start_is_kept_as_it_was_said(start: str, desk: Client, template: MessageTemplate) -> None:
    ask(desk, "save", template, how="draft", start=start, starts_at_0="2030-01-01", starts_at_1="09:00")
    job = SendJob.objects.get()
    assert (job.starts_at is None) == (start == "person")
    page = desk.get(reverse("admin:jobs_sendjob_change", args=[job.pk]))
    assert page.context["adminform"].form["start"].value() == start


# --- to whom -------------------------------------------------------------------------------------------------------


def test_an_audience_is_counted_with_its_consent(desk: Client, template: MessageTemplate) -> None:
    people = factories.subscribers(template.mini_program, count=1200)
    factories.grants(template, to=people[:1100], units=2)
    answer = ask(desk, "people", template)
    assert answer["reach"] == 1100
    for number in ("1,200", "1,100", "2,200"):
        assert f"<dd>{number}</dd>" in answer["html"]
    nobody = ask(desk, "people", template, audience="")
    assert (nobody["html"].strip(), nobody["reach"]) == ("", None)


def test_a_new_audience_comes_back_to_this_page(desk: Client, template: MessageTemplate) -> None:
    page = desk.get(f"{ADD}?template={template.pk}")
    assert page.context["new_audience"] == (
        f"{reverse('admin:subscriptions_audience_add')}?mini_program={template.mini_program_id}"
        f"&next=%2Fadmin%2Fjobs%2Fsendjob%2Fadd%2F%3Ftemplate%3D{template.pk}"
    )


# --- the check -----------------------------------------------------------------------------------------------------


def test_the_check_names_everything_that_is_missing_with_its_input(desk: Client, template: MessageTemplate) -> None:
    answer = ask(desk, "check", template, purpose="", text_thing1="", audience="")
    assert answer["mends"] == 3
    for number in ("id_purpose", "id_text_thing1", "id_audience"):
        assert f'data-goto="{number}"' in answer["html"]


def test_the_check_tells_reach_cost_and_other_jobs(desk: Client, template: MessageTemplate) -> None:
    people = factories.subscribers(template.mini_program, count=3)
    factories.grants(template, to=people[:2], units=3)
    factories.a_job(
        template, name="The other one", state=SendJob.State.SCHEDULED, texts={"thing1": "x", "phrase2": "好"}
    )
    answer = ask(desk, "check", template)
    assert (answer["mends"], "The other one" in answer["html"]) == (0, True)
    assert "the same people get the same card" in answer["html"]
    assert "It needs no approval: it can reach at most 100 people." in answer["html"]
    assert "2 consents" in answer["html"]


@pytest.mark.parametrize(("booked", "starts_in_days", "left"), [(0, 0, None), (3, 0, 1), (4, 0, 0), (4, 3, None)])
def test_a_job_its_first_day_has_no_room_for_is_told_so(
    booked: int, starts_in_days: int, left: int | None, desk: Client, template: MessageTemplate
) -> None:
    MiniProgram.objects.update(daily_budget=4)
    factories.grants(template, to=factories.subscribers(template.mini_program, count=4))
    pacing.book(pacing.pace_of(template.mini_program), count=booked, per_second=50)
    starts_at = timezone.localtime() + timedelta(days=starts_in_days)
    when = {"start": "at", "starts_at_0": f"{starts_at:%Y-%m-%d}", "starts_at_1": "20:00"} if starts_in_days else {}
    html = ask(desk, "check", template, **when)["html"]
    told = f"Its first day has room for {left} messages (the mini-program&#x27;s setting); the rest leaves after it."
    assert ("Its first day" in html, told in html) == (left is not None, left is not None)


def test_a_rule_that_makes_no_sense_is_told_at_the_audience(desk: Client, template: MessageTemplate) -> None:
    typed(template)
    Audience.objects.update(rule={"shoe_size": 43})
    answer = ask(desk, "check", template)
    assert (answer["mends"], 'data-goto="id_audience"' in answer["html"]) == (1, True)


# --- several variants ----------------------------------------------------------------------------------------------


def second(**changes: str) -> dict[str, str]:
    """Return what the page posts besides, when a second variant is written."""
    words = {"text_B.thing1": "{{ nickname }}的苹果节", "text_B.phrase2": "已经开始", "B.page": "pages/apples"}
    return {"variants": "2", **words, **changes}


def test_the_cards_are_of_the_variant_being_looked_at_and_all_are_tried(
    desk: Client, template: MessageTemplate
) -> None:
    people = factories.subscribers(template.mini_program, count=2, nickname="")
    factories.grants(template, to=people)
    first = ask(desk, "look", template, shown="A", **second())
    other = ask(desk, "look", template, shown="B", **second(**{"text_B.phrase2": "far too long"}))
    assert ["朋友的水果节" in answer["cards"] for answer in (first, other)] == [True, False]
    assert ["Variant B" in answer["cards"] for answer in (first, other)] == [False, True]
    assert (sorted(first["findings"]), sorted(other["findings"])) == (
        ["text_B.thing1"],
        ["text_B.phrase2", "text_B.thing1"],
    )


def test_every_variant_is_saved_and_one_that_was_removed_is_not_sent(desk: Client, template: MessageTemplate) -> None:
    answer = ask(desk, "save", template, how="draft", **second())
    job = SendJob.objects.get()
    assert [(each.name, each.page, each.texts["phrase2"]) for each in variants.of_job(job)] == [
        ("A", "pages/index", "即将开始"),
        ("B", "pages/apples", "已经开始"),
    ]
    shown = desk.get(answer["page"]).context["adminform"].form
    assert [(panel.slot.name, panel.is_used) for panel in shown.panels()] == [
        ("A", True), ("B", True), ("C", False), ("D", False),
    ]  # fmt: skip
    assert shown["text_B.thing1"].value() == "{{ nickname }}的苹果节"
    again = ask(desk, "save", template, how="draft", job=str(job.pk), seen=answer["seen"], variants="1")
    assert (again["saved"], [each.name for each in variants.of_job(job)]) == (True, ["A"])


def test_what_is_wrong_with_a_second_variant_keeps_the_job_from_being_submitted(
    desk: Client, template: MessageTemplate
) -> None:
    answer = ask(
        desk, "save", template, how="submit", **second(**{"text_B.phrase2": "", "B.page": "pages/green apples"})
    )
    assert (answer["saved"], sorted(answer["errors"])) == (False, ["text_B.phrase2"])
    answer = ask(desk, "save", template, how="submit", **second(**{"B.page": "pages/green apples"}))
    assert (answer["saved"], sorted(answer["errors"])) == (False, ["B.page"])
    assert SendJob.objects.count() == 0
    checked = ask(desk, "check", template, **second(**{"text_B.phrase2": ""}))
    assert (checked["mends"], 'data-goto="id_text_B.phrase2"' in checked["html"]) == (1, True)


def test_what_is_written_in_a_variant_in_no_use_is_not_looked_at(desk: Client, template: MessageTemplate) -> None:
    answer = ask(desk, "save", template, how="submit", **second(**{"variants": "1", "text_B.phrase2": "far too long"}))
    assert (answer["saved"], [each.name for each in variants.of_job(SendJob.objects.get())]) == (True, ["A"])


def test_another_wording_of_the_second_variant_is_seen_by_whoever_had_the_page_open(
    desk: Client, template: MessageTemplate
) -> None:
    answer = ask(desk, "save", template, how="draft", **second())
    told = {"job": answer["job"], "seen": answer["seen"]}
    ask(desk, "save", template, how="draft", **told, **second(**{"B.page": "pages/pears"}))
    assert ask(desk, "save", template, how="draft", **told, **second())["overtaken"]


# --- saving --------------------------------------------------------------------------------------------------------


def test_an_unfinished_draft_is_saved_and_asked_for_the_rest_when_it_is_submitted(
    desk: Client, template: MessageTemplate, operator: User
) -> None:
    unfinished = {"name": "", "purpose": "", "text_thing1": "", "text_phrase2": "far too long"}
    answer = ask(desk, "save", template, how="draft", **unfinished)
    job = SendJob.objects.get()
    assert (answer["saved"], answer["job"], job.created_by, job.state) == (True, job.pk, operator, SendJob.State.DRAFT)
    assert job.name == f"{template.title} {timezone.localdate():%m-%d}"
    assert job.variants.get().texts == {"thing1": "", "phrase2": "far too long"}
    refused = ask(desk, "save", template, how="submit", job=str(job.pk), seen=answer["seen"], **unfinished)
    assert (refused["saved"], sorted(refused["errors"])) == (False, ["name", "purpose", "text_thing1"])
    desk.post(answer["submit"])
    job.refresh_from_db()
    assert job.state == SendJob.State.DRAFT


def test_nothing_is_saved_without_an_audience(desk: Client, template: MessageTemplate) -> None:
    answer = ask(desk, "save", template, how="draft", audience="")
    assert (answer["saved"], list(answer["errors"])) == (False, ["audience"])
    assert (SendJob.objects.count(), trail().count()) == (0, 0)


def test_saves_that_come_by_themselves_are_kept_and_leave_one_row_in_the_trail(
    desk: Client, template: MessageTemplate
) -> None:
    answer = ask(desk, "save", template, how="draft")
    job = SendJob.objects.get()
    for words in ("一", "二", "三"):
        answer = ask(
            desk, "save", template, how="auto", job=str(job.pk), seen=answer["seen"], text_thing1=f"第{words}版"
        )
        assert answer["saved"]
    assert job.variants.get().texts["thing1"] == "第三版"
    assert list(trail().values_list("action", "subject")) == [("add", f"job {job.pk}")]
    AuditEvent.objects.update(at=timezone.now() - timedelta(hours=1))
    ask(desk, "save", template, how="auto", job=str(job.pk), seen=answer["seen"], text_thing1="第四版")
    assert list(trail().order_by("pk").values_list("action", flat=True)) == ["add", "change"]


def test_of_two_tabs_the_second_is_told_and_writes_over_the_first_only_when_it_says_so(
    desk: Client, template: MessageTemplate
) -> None:
    first = ask(desk, "save", template, how="draft")
    number = str(first["job"])
    ask(desk, "save", template, how="auto", job=number, seen=first["seen"], text_thing1="第一个标签页")
    before = state_of_the_database()
    second = ask(desk, "save", template, how="auto", job=number, seen=first["seen"], text_thing1="第二个标签页")
    assert (second["saved"], second["overtaken"]) == (False, True)
    assert state_of_the_database() == before
    answer = ask(desk, "save", template, how="draft", job=number, seen=second["seen"], text_thing1="第二个标签页")
    assert (answer["saved"], Variant.objects.get().texts["thing1"]) == (True, "第二个标签页")


def test_a_job_that_is_no_draft_any_more_is_not_written(desk: Client, template: MessageTemplate) -> None:
    answer = ask(desk, "save", template, how="draft")
    desk.post(answer["submit"])
    before = state_of_the_database()
    late = ask(desk, "save", template, how="auto", job=str(answer["job"]), seen=answer["seen"], text_thing1="晚了")
    assert (late["saved"], late["overtaken"], list(late["errors"])) == (False, False, ["__all__"])
    assert state_of_the_database() == before


# --- copying -------------------------------------------------------------------------------------------------------


def test_a_job_is_copied_by_a_post_of_somebody_who_may_compose(
    desk: Client, template: MessageTemplate, colleague: Colleague, at_desk: At, operator: User
) -> None:
    job = factories.a_job(template, texts={"thing1": "x", "phrase2": "好"})
    url = reverse("admin:jobs_sendjob_copy", args=[job.pk])
    assert desk.get(url).status_code == 405
    assert at_desk(colleague("viewer")).post(url).status_code == 403
    assert SendJob.objects.count() == 1
    answer = desk.post(url)
    new = SendJob.objects.exclude(pk=job.pk).get()
    assert answer["Location"] == reverse("admin:jobs_sendjob_change", args=[new.pk])
    assert (new.created_by, new.variants.get().texts) == (operator, {"thing1": "x", "phrase2": "好"})
