"""The page of a job under way, and the delivery log behind its numbers."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from notify_platform.console.desk.jobs.progress import OfVariant
from notify_platform.core.models import WorkerNode
from notify_platform.delivery import fanout, pacing
from notify_platform.delivery.models import Delivery, Open, Reason
from notify_platform.insights import funnels, lately
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob
from notify_platform.wechat import outcomes
from subscriptions.models import Audience, Subscriber
from templates_app.models import MessageTemplate, MiniProgram
from tests import factories
from tests.console.conftest import At, Colleague, a_delivery

State = Delivery.State
LOG = reverse("admin:delivery_delivery_changelist")


@pytest.fixture
def template(db: None) -> MessageTemplate:
    return factories.a_template(factories.a_mini_program())


@pytest.fixture
def job(template: MessageTemplate) -> SendJob:
    """A running job of twelve people: ten deliveries in every state, and two without consent."""
    people = factories.subscribers(template.mini_program, count=12)
    job = factories.a_running_job(template)
    factories.grants(template, to=people[:10])
    while fanout.step(job):
        job.refresh_from_db()
    Delivery.objects.filter(job=job).delete()
    for state, person in zip(State, people[:10], strict=True):
        reason = Reason.QUIET_HOURS if state == State.SKIPPED else ""
        code = 43101 if state == State.FAILED else None
        a_delivery(job, person=person, state=state, reason=reason, error_code=code, msgid=f"m-{state}")
    job.refresh_from_db()
    return job


def page(job: SendJob) -> str:
    return reverse("admin:jobs_sendjob_change", args=[job.pk])


def progress_url(job: SendJob) -> str:
    return reverse("admin:jobs_sendjob_progress", args=[job.pk])


def shown_in(desk: Client, url: str) -> list[str]:
    """Return the states of the rows a list shows."""
    return sorted(row.state for row in desk.get(url).context["cl"].result_list)


# --- several variants ----------------------------------------------------------------------------------------------


def test_a_job_in_several_variants_shows_how_far_each_came(
    template: MessageTemplate, colleague: Colleague, at_desk: At
) -> None:
    people = factories.subscribers(template.mini_program, count=5)
    factories.grants(template, to=people)
    job = factories.a_running_job(template)
    first, second = job.variants.get(), factories.another_variant(job, name="B", texts={"thing1": "另一种水果"})
    states = (State.WAITING, State.ACCEPTED, State.DELIVERED, State.UNDELIVERED, State.DELIVERED)
    shares = (first, first, second, second, second)
    rows = [
        a_delivery(job, person=person, state=state, variant=variant)
        for person, state, variant in zip(people, states, shares, strict=True)
    ]
    Open.objects.create(delivery=rows[2], subscriber=people[2], at=timezone.now())

    found = at_desk(colleague("viewer")).get(page(job))

    assert found.context["progress"].variants == [
        OfVariant(first.name, people="2", accepted="1", delivered="0", opened="0", rate="0.0%"),
        OfVariant("B", people="3", accepted="3", delivered="2", opened="1", rate="33.3%"),
    ]
    assert [(card.variant, card.lines[0].text) for card in found.context["cards"]] == [
        ("A", "新鲜水果"),
        ("B", "另一种水果"),
    ]


def test_a_job_in_one_variant_is_not_compared_with_itself(job: SendJob, colleague: Colleague, at_desk: At) -> None:
    found = at_desk(colleague("viewer")).get(page(job))
    assert (found.context["progress"].variants, [card.variant for card in found.context["cards"]]) == ([], [""])


# --- the numbers ---------------------------------------------------------------------------------------------------


def test_the_page_counts_everybody_once(job: SendJob, admin: Client) -> None:
    tiles = {str(tile.label): tile.count for tile in admin.get(page(job)).context["progress"].tiles}
    assert tiles == {
        "people in all": "12",
        "waiting": "3",
        "accepted by WeChat": "3",
        "delivered": "1",
        "not delivered by WeChat": "1",
        "result unknown": "1",
        "refused by WeChat": "1",
        "not sent": "3",
        "cancelled": "1",
    }


def test_each_number_leads_to_its_rows(job: SendJob, admin: Client) -> None:
    factories.a_job(job.template)
    progress = admin.get(page(job)).context["progress"]
    behind = {str(tile.label): shown_in(admin, tile.url) for tile in progress.tiles if not tile.url.startswith("#")}
    assert behind == {
        "people in all": sorted(State.values),
        "waiting": ["claimed", "sending", "waiting"],
        "accepted by WeChat": ["accepted", "delivered", "undelivered"],
        "delivered": ["delivered"],
        "not delivered by WeChat": ["undelivered"],
        "result unknown": ["unknown"],
        "refused by WeChat": ["failed"],
        "cancelled": ["cancelled"],
    }


def test_who_got_nothing_is_counted_by_reason_and_by_where_it_was_decided(job: SendJob, admin: Client) -> None:
    rows = admin.get(page(job)).context["progress"].not_sent
    assert [(row.label, row.count, row.at_start, row.at_turn) for row in rows] == [
        ("no consent in stock", "2", "2", "0"),
        ("quiet hours", "1", "0", "1"),
    ]
    assert len(admin.get(rows[0].at_start_url).context["cl"].result_list) == 2
    assert shown_in(admin, rows[1].at_turn_url) == ["skipped"]


def test_a_refusal_is_told_with_its_meaning_and_the_next_step(job: SendJob, admin: Client) -> None:
    response = admin.get(page(job))
    (failure,) = response.context["progress"].failures
    assert (failure.code, failure.count) == (43101, "1")
    assert (failure.meaning, failure.next_step) == outcomes.describe(43101)
    assert failure.next_step in response.content.decode()
    assert shown_in(admin, failure.url) == ["failed"]


def test_the_bar_is_as_wide_as_what_is_done(job: SendJob, admin: Client) -> None:
    progress = admin.get(page(job)).context["progress"]
    assert progress.percent == 75
    assert [(part.tone, round(part.width * 12 / 100)) for part in progress.segments] == [
        ("good", 2),
        ("bad", 2),
        ("warn", 1),
        ("idle", 4),
    ]


def test_the_page_takes_the_same_queries_however_many_people(job: SendJob, admin: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            admin.get(page(job))
        return len(captured)

    queries()
    few = queries()
    for person in factories.subscribers(job.mini_program, count=3):
        a_delivery(job, person=person, state=State.FAILED, error_code=43101)
    assert queries() == few


# --- keeping them fresh --------------------------------------------------------------------------------------------


def test_of_a_large_job_the_board_counts_as_seldom_as_counting_is_slow_and_the_page_always(
    job: SendJob, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.clear()
    monkeypatch.setattr(lately, "LITTLE", 0)
    monkeypatch.setattr(lately, "SHARE", 1_000_000)
    asked: list[int] = []
    counts = funnels.of_job
    monkeypatch.setattr(funnels, "of_job", lambda each: asked.append(each.pk) or counts(each))
    for url in (page(job), progress_url(job), progress_url(job), page(job), progress_url(job)):
        assert admin.get(url).status_code == 200
    cache.clear()
    assert asked == [job.pk, job.pk]


def test_progress_is_json_with_the_state_and_the_board(job: SendJob, colleague: Colleague, at_desk: At) -> None:
    desk = at_desk(colleague("viewer"))
    answer = desk.get(progress_url(job)).json()
    assert (answer["state"], answer["moves"]) == ("running", True)
    assert "refused by WeChat" in answer["html"]
    jobs.pause(job, by=factories.a_user())
    answer = desk.get(progress_url(job)).json()
    assert (answer["state"], answer["moves"]) == ("paused", False)


def test_progress_is_for_those_who_may_see_jobs(job: SendJob, at_desk: At, client: Client) -> None:
    assert at_desk(factories.a_user(is_staff=True)).get(progress_url(job)).status_code == 403
    assert client.get(progress_url(job)).status_code == 302


def test_only_a_running_job_asks_the_browser_to_look_again(job: SendJob, admin: Client) -> None:
    assert 'data-moves="yes"' in admin.get(page(job)).content.decode()
    jobs.pause(job, by=factories.a_user())
    assert 'data-moves=""' in admin.get(page(job)).content.decode()


def test_an_automatic_pause_says_why_and_what_to_do(job: SendJob, admin: Client) -> None:
    jobs.pause_all(reason=SendJob.PauseReason.CONTENT, detail="Correct thing1.", job_ids=[job.pk])
    text = admin.get(page(job)).content.decode()
    assert ("WeChat refuses the content" in text, "Correct thing1." in text) == (True, True)


def test_a_used_up_day_says_when_it_goes_on_and_where_that_is_set(job: SendJob, admin: Client) -> None:
    MiniProgram.objects.update(daily_budget=2)
    pacing.book(pacing.pace_of(job.mini_program), count=2, per_second=50)
    text = admin.get(page(job)).content.decode()
    assert "The mini-program&#x27;s 2 messages a day are used up. Sending goes on at" in text
    assert reverse("admin:templates_app_miniprogram_change", args=[job.mini_program_id]) in text


# --- the card ------------------------------------------------------------------------------------------------------


def the_card(desk: Client, job: SendJob) -> tuple[list[tuple[str, str, str]], str]:
    card = desk.get(page(job)).context["card"]
    return [(line.label, line.text, line.problem) for line in card.lines], card.note


def test_the_card_shows_a_real_recipients_words(template: MessageTemplate, admin: Client) -> None:
    factories.subscribers(template.mini_program, count=1, nickname="没有授权")
    (reader,) = factories.subscribers(template.mini_program, count=1, nickname="晴天")
    factories.grants(template, to=[reader])
    job = factories.a_job(template, texts={"thing1": "{{ nickname | 朋友 }}的水果"})
    assert the_card(admin, job) == (
        [("商品", "晴天的水果", "")],
        f"As 晴天 · {reader.masked_openid} would get it.",
    )


def test_the_card_says_what_is_wrong_with_a_persons_words(template: MessageTemplate, admin: Client) -> None:
    factories.subscribers(template.mini_program, count=1, nickname="很长很长的昵称" * 4)
    job = factories.a_job(template, texts={"thing1": "{{ nickname }}"})
    ((_label, _text, problem),) = the_card(admin, job)[0]
    assert problem == "It has 28 characters and WeChat takes at most 20 (an emoji counts as two). Shorten it."


def test_an_empty_audience_has_nobodys_card(template: MessageTemplate, admin: Client) -> None:
    job = factories.a_job(template, texts={"thing1": "水果"})
    assert the_card(admin, job) == ([("商品", "水果", "")], "This audience is empty.")


def test_a_broken_rule_does_not_break_the_page(template: MessageTemplate, admin: Client) -> None:
    audience = Audience.objects.create(mini_program=template.mini_program, name="Broken", rule={"moon": "full"})
    job = factories.a_job(template, audience=audience)
    assert the_card(admin, job)[1] == "This audience is empty."
    assert admin.get(reverse("admin:subscriptions_audience_change", args=[audience.pk])).status_code == 200


def test_what_people_are_called_is_never_taken_for_markup(template: MessageTemplate, admin: Client) -> None:
    factories.subscribers(template.mini_program, count=1, nickname="<b>x</b>")
    job = factories.a_job(template, texts={"thing1": "{{ nickname }}"})
    text = admin.get(page(job)).content.decode()
    assert ("<b>x</b>" in text, "&lt;b&gt;x&lt;/b&gt;" in text) == (False, True)


# --- the log -------------------------------------------------------------------------------------------------------


def test_the_log_is_searched_by_a_whole_openid_or_message_id(job: SendJob, admin: Client) -> None:
    person = Subscriber.objects.get(deliveries__state=State.DELIVERED)
    assert shown_in(admin, f"{LOG}?q={person.openid}") == ["delivered"]
    assert shown_in(admin, f"{LOG}?q=m-failed") == ["failed"]
    assert shown_in(admin, f"{LOG}?q={person.openid[:-1]}") == []
    assert shown_in(admin, f"{LOG}?q=m-fail") == []


def test_the_log_is_filtered_by_state_reason_and_job(job: SendJob, admin: Client) -> None:
    other = factories.a_job(job.template)
    a_delivery(other, person=factories.subscribers(job.mini_program, count=1)[0])
    assert shown_in(admin, f"{LOG}?state=waiting") == ["waiting", "waiting"]
    assert shown_in(admin, f"{LOG}?state=waiting&job={job.pk}") == ["waiting"]
    assert shown_in(admin, f"{LOG}?reason__exact=quiet_hours") == ["skipped"]
    assert shown_in(admin, f"{LOG}?state=nonsense") == []
    assert shown_in(admin, f"{LOG}?job=nonsense") == []


def test_the_log_offers_no_other_order_than_newest_first(job: SendJob, admin: Client) -> None:
    response = admin.get(LOG)
    keys = [row.pk for row in response.context["cl"].result_list]
    assert keys == sorted(keys, reverse=True)
    assert 'href="?o=' not in response.content.decode()


def test_the_log_masks_people_and_speaks_in_words(job: SendJob, colleague: Colleague, at_desk: At) -> None:
    desk = at_desk(colleague("operator"))
    text = desk.get(LOG).content.decode()
    person = Subscriber.objects.get(deliveries__state=State.FAILED)
    assert (person.openid in text, person.masked_openid in text) == (False, True)
    meaning, next_step = outcomes.describe(43101)
    assert f'<span title="{next_step}">43101 · {meaning}</span>' in text
    assert "quiet hours" in text
    row: Any = Delivery.objects.get(state=State.FAILED)
    detail = desk.get(reverse("admin:delivery_delivery_change", args=[row.pk])).content.decode()
    assert (person.openid in detail, next_step in detail) == (False, True)


def test_the_paces_say_whose_they_are_when_the_next_slot_is_free_and_what_is_used_of_the_day(
    admin: Client, job: SendJob
) -> None:
    program = job.mini_program
    for owner, seconds in ((program, 130), (job, 0)):
        pace = pacing.pace_of(owner)
        pacing.book(pace, count=7, per_second=1_000_000)
        pacing.hold(pace, seconds=seconds)
    with CaptureQueriesContext(connection) as few:
        rows = cells(admin.get(reverse("admin:delivery_pace_changelist")).content.decode())
    assert rows == [[program.name, "mini-program", "in 2 minutes", "7"], [job.name, "send job", "now", "7"]]
    SendJob.objects.filter(pk=job.pk).update(name="Grapes")
    pacing.pace_of(factories.a_mini_program(name="Other shop"))
    with CaptureQueriesContext(connection) as more:
        rows = cells(admin.get(reverse("admin:delivery_pace_changelist")).content.decode())
    assert [row[0] for row in rows] == [program.name, "Other shop", "Grapes"]
    assert len(more) == len(few)


def test_a_worker_is_at_work_stopping_or_silent(admin: Client) -> None:
    now = timezone.now()
    for name, beat_at, is_stopping in (("a", now, False), ("b", now, True), ("c", now - timedelta(hours=1), False)):
        WorkerNode.objects.create(
            name=name, started_at=now - timedelta(days=1), beat_at=beat_at, pulse_at=beat_at, is_stopping=is_stopping
        )

    rows = cells(admin.get(reverse("admin:core_workernode_changelist")).content.decode())

    assert [row[:2] for row in rows] == [["a", "at work"], ["b", "stopping"], ["c", "silent"]]


def cells(html: str) -> list[list[str]]:
    """The words in each row of a list."""
    rows = re.findall(r'<tr class="[^"]*".*?</tr>', html.partition('id="result_list"')[2], re.DOTALL)
    return [[strip_tags(cell).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)] for row in rows]
