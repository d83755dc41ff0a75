"""Writing a job in a real browser: few clicks, the keyboard alone, nothing that was typed is ever lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connections
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from notify_platform.jobs import variants
from notify_platform.jobs.models import SendJob
from templates_app.models import MessageTemplate
from tests import factories
from tests.console.conftest import Colleague
from tests.console.test_browser import ASYNC_GUARD, CHROMIUM

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="NO BROWSER TESTS: Debian's chromium is not installed"),
]
ADD = reverse("admin:jobs_sendjob_add")


@pytest.fixture
def template(transactional_db: None) -> MessageTemplate:
    program = factories.a_mini_program(approval_threshold=1)
    template = factories.a_template(
        program, title="Fruit is here", fields=[("thing1", "活动"), ("phrase2", "状态"), ("amount3", "金额")]
    )
    people = factories.subscribers(program, count=3, nickname="晴天")
    factories.grants(template, to=people)
    factories.everybody(program)
    return template


@pytest.fixture
def operator(colleague: Colleague) -> User:
    return colleague("operator", name="olga")


@pytest.fixture
def complaints() -> list[str]:
    """What the browser met with: requests to other hosts, errors of scripts, answers that are errors."""
    return []


@pytest.fixture
def context(live_server: Any, complaints: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[BrowserContext]:
    """A browser in which nobody has logged in."""
    monkeypatch.setenv(ASYNC_GUARD, "true")
    # A busy machine is slow, not wrong.
    expect.set_options(timeout=20_000)

    def watch(page: Page) -> None:
        page.on("pageerror", lambda error: complaints.append(f"script: {error}"))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("request", lambda sent: None if sent.url.startswith(live_server.url) else complaints.append(sent.url))

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_context(base_url=live_server.url, timezone_id="Asia/Shanghai")
        opened.on("page", watch)
        yield opened
        browser.close()
        # Beside a running event loop this thread had connections of their own; nobody else would close them.
        connections.close_all()


@pytest.fixture
def page(context: BrowserContext, operator: User) -> Page:
    """A tab of an operator who has logged in."""
    tab = context.new_page()
    log_in(tab)
    return tab


def log_in(tab: Page) -> None:
    tab.goto(reverse("admin:login"))
    tab.fill("[name=username]", "olga")
    tab.fill("[name=password]", "pass-word-1")
    tab.get_by_role("button", name="Log in").click()
    tab.wait_for_url(f"**{reverse('admin:index')}")


def add_url(template: MessageTemplate) -> str:
    return f"{ADD}?template={template.pk}"


def write(tab: Page) -> None:
    tab.fill("#id_text_thing1", "{{ nickname | 朋友 }}的水果节")
    tab.fill("#id_text_phrase2", "即将开始")
    tab.fill("#id_text_amount3", "9.90元")
    tab.fill("#id_purpose", "They asked for it.")


def status(tab: Page) -> Any:
    return tab.locator("[data-status]")


# --- the way -------------------------------------------------------------------------------------------------------


def test_from_the_log_in_to_a_submitted_job_takes_at_most_twelve_clicks(
    context: BrowserContext, operator: User, template: MessageTemplate, complaints: list[str]
) -> None:
    tab = context.new_page()
    # Every press of the mouse counts, on whatever page; not one the driver stops and repeats, as something lay above.
    tab.add_init_script(
        "addEventListener('pointerdown', () => sessionStorage.setItem('presses',"
        " Number(sessionStorage.getItem('presses') || 0) + 1))"
    )
    tab.goto(reverse("admin:login"))
    tab.locator("[name=username]").click()
    tab.keyboard.type("olga")
    tab.keyboard.press("Tab")
    tab.keyboard.type("pass-word-1")
    tab.get_by_role("button", name="Log in").click()
    tab.locator(f'a[href="{reverse("admin:jobs_sendjob_changelist")}"]').first.click()
    tab.locator(f'a[href^="{ADD}"]').first.click()
    tab.get_by_role("link", name="Fruit is here").click()
    expect(tab.locator("#id_text_thing1")).to_be_focused()
    tab.get_by_role("button", name="Nickname").first.click()
    tab.keyboard.type("的水果节")
    for selector, words in (
        ("#id_text_phrase2", "即将开始"),
        ("#id_text_amount3", "9.90元"),
        ("#id_purpose", "They asked for it."),
    ):
        tab_to(tab, selector)
        tab.keyboard.type(words)
    tab.locator("#id_audience").click()
    tab.keyboard.press("Escape")
    tab.locator("#id_audience").select_option(label="Everybody")
    expect(tab.locator("[data-people-facts]")).to_contain_text("with consent for this template")
    tab.get_by_role("button", name="Submit the job").click()
    expect(tab.get_by_text("The job was submitted.")).to_be_visible()
    job = SendJob.objects.get()
    assert (job.state, job.created_by) == (SendJob.State.SUBMITTED, operator)
    assert job.variants.get().texts["thing1"] == "{{ nickname | friend }}的水果节"
    # The list of the select opens in one press and is chosen from in another, which the browser's own list swallows.
    assert int(tab.evaluate("sessionStorage.getItem('presses')")) + 1 == 9
    assert complaints == []


def tab_to(tab: Page, selector: str) -> None:
    for _ in range(30):
        if tab.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
        tab.keyboard.press("Tab")
    raise AssertionError(f"the keyboard does not reach {selector}")


def test_the_keyboard_alone_is_enough(page: Page, template: MessageTemplate, complaints: list[str]) -> None:
    page.goto(add_url(template))
    expect(page.locator("#id_text_thing1")).to_be_focused()
    page.keyboard.type("水果节")
    for selector, words in (("#id_text_phrase2", "即将开始"), ("#id_text_amount3", "9.90"), ("#id_purpose", "Why")):
        tab_to(page, selector)
        page.keyboard.type(words)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#id_audience")).to_be_focused()
    page.keyboard.type("Every")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#id_start_0")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-check-now]")).to_be_focused()
    expect(page.locator("[data-checked]")).to_contain_text("Nothing is missing")
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-submit]")).to_be_focused()
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("The job was submitted.")).to_be_visible()
    job = SendJob.objects.get()
    assert (job.state, job.starts_at is None) == (SendJob.State.SUBMITTED, False)
    assert complaints == []


def test_what_is_missing_gets_the_focus_and_keeps_the_job_from_being_submitted(
    page: Page, template: MessageTemplate
) -> None:
    page.goto(add_url(template))
    write(page)
    page.fill("#id_text_phrase2", "on the way")
    page.select_option("#id_audience", label="Everybody")
    page.get_by_role("button", name="Submit the job").click()
    wrong = page.locator("#id_text_phrase2")
    expect(wrong).to_be_focused()
    expect(wrong).to_have_attribute("aria-invalid", "true")
    expect(page.locator('[data-field="text_phrase2"] [data-error]')).to_contain_text("at most 5")
    expect(page.locator('[data-step-link="what"]')).to_have_attribute("data-state", "wrong")
    assert SendJob.objects.count() == 0
    wrong.fill("即将开始")
    expect(wrong).not_to_have_attribute("aria-invalid", "true")


# --- several variants ----------------------------------------------------------------------------------------------


def of_second(tab: Page, key: str) -> Any:
    return tab.locator(f"[id='id_text_B.{key}']")


def test_a_second_variant_begins_with_the_words_of_the_first_and_has_a_card_of_its_own(
    page: Page, template: MessageTemplate, complaints: list[str]
) -> None:
    page.goto(add_url(template))
    write(page)
    page.select_option("#id_audience", label="Everybody")
    page.get_by_role("button", name="Another variant").click()
    expect(of_second(page, "thing1")).to_be_focused()
    expect(of_second(page, "phrase2")).to_have_value("即将开始")
    page.keyboard.press("Control+A")
    page.keyboard.type("苹果节")
    line, five = page.locator("[data-card-line=thing1]"), page.locator("[data-five]")
    expect(line).to_have_text("苹果节")
    expect(five).to_contain_text("苹果节")
    page.get_by_role("button", name="Variant A", exact=True).click()
    expect(line).to_have_text("晴天的水果节")
    expect(five).to_contain_text("晴天的水果节")
    expect(of_second(page, "thing1")).to_be_hidden()
    page.get_by_role("button", name="Save the draft").click()
    expect(status(page)).to_contain_text("Saved at")
    words = [(each.name, each.texts["thing1"]) for each in variants.of_job(SendJob.objects.get())]
    assert words == [("A", "{{ nickname | 朋友 }}的水果节"), ("B", "苹果节")]
    assert complaints == []


def test_a_variant_that_is_removed_makes_room_and_can_be_had_back(page: Page, template: MessageTemplate) -> None:
    page.goto(add_url(template))
    write(page)
    page.get_by_role("button", name="Another variant").click()
    of_second(page, "thing1").fill("苹果节")
    page.reload()
    expect(page.locator("[data-banner]")).to_contain_text("What you had typed before is back.")
    page.get_by_role("button", name="Variant A", exact=True).click()
    page.get_by_role("button", name="Remove this variant").click()
    expect(page.locator("#id_text_thing1")).to_have_value("苹果节")
    expect(page.get_by_role("button", name="Remove this variant")).to_be_hidden()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#id_text_thing1")).to_have_value("{{ nickname | 朋友 }}的水果节")
    page.get_by_role("button", name="Variant B", exact=True).click()
    expect(of_second(page, "thing1")).to_have_value("苹果节")


def test_the_submission_leads_to_what_is_wrong_in_the_variant_behind(page: Page, template: MessageTemplate) -> None:
    page.goto(add_url(template))
    write(page)
    page.select_option("#id_audience", label="Everybody")
    page.get_by_role("button", name="Another variant").click()
    of_second(page, "phrase2").fill("")
    page.get_by_role("button", name="Variant A", exact=True).click()
    page.get_by_role("button", name="Submit the job").click()
    expect(of_second(page, "phrase2")).to_be_focused()
    assert SendJob.objects.count() == 0


# --- the words -----------------------------------------------------------------------------------------------------


def test_words_are_counted_as_wechat_counts_them(page: Page, template: MessageTemplate) -> None:
    page.goto(add_url(template))
    count = page.locator("#id_text_thing1 + .desk-counter")
    for words, shown in (("水果🍎", "4/20"), ("  水果 ", "2/20"), ("{{ nickname | 朋友 }}好", "3/20")):
        page.fill("#id_text_thing1", words)
        expect(count).to_have_text(shown)
    page.fill("#id_text_amount3", "¥1,234.50元")
    expect(page.locator("#id_text_amount3 + .desk-counter")).to_have_text("6/10")


def test_a_text_that_may_be_cut_is_drawn_cut(page: Page, template: MessageTemplate) -> None:
    page.goto(add_url(template))
    page.fill("#id_text_thing1", "一二三四五六七八九十一二三四五六七八九十多")
    count = page.locator("#id_text_thing1 + .desk-counter")
    expect(count).to_have_class("desk-counter desk-over")
    page.check("#id_fit_thing1")
    expect(count).to_have_class("desk-counter")
    expect(page.locator('[data-card-line="thing1"]')).to_have_text("一二三四五六七八九十一二三四五六七八九…")


def test_five_people_are_drawn_with_the_words_as_they_are_typed(page: Page, template: MessageTemplate) -> None:
    page.goto(add_url(template))
    page.select_option("#id_audience", label="Everybody")
    page.fill("#id_text_thing1", "{{ nickname | 朋友 }}的水果节")
    expect(page.locator("[data-five] .desk-card").first).to_contain_text("晴天的水果节")
    expect(page.locator("[data-five] .desk-card")).to_have_count(3)


def test_another_template_keeps_what_was_typed(page: Page, template: MessageTemplate, complaints: list[str]) -> None:
    other = factories.a_template(
        template.mini_program, title="Fruit is late", fields=[("thing7", "活动"), ("date3", "日期")]
    )
    page.goto(add_url(template))
    write(page)
    page.select_option("#id_audience", label="Everybody")
    page.get_by_text("choose another template").click()
    page.get_by_label("Find a template").fill("late")
    expect(page.locator("[data-choose]:visible")).to_have_count(1)
    page.get_by_role("link", name="Fruit is late").click()
    expect(page.locator("#id_text_thing7")).to_have_value("{{ nickname | 朋友 }}的水果节")
    expect(page.locator("#id_purpose")).to_have_value("They asked for it.")
    expect(page.locator("#id_audience option:checked")).to_have_text("Everybody")
    assert page.url.endswith(f"?template={other.pk}")
    assert complaints == []


# --- nothing is lost -----------------------------------------------------------------------------------------------


def test_what_was_typed_before_the_first_save_comes_back(page: Page, template: MessageTemplate) -> None:
    page.goto(add_url(template))
    write(page)
    expect(status(page)).to_have_text("Kept in this browser; not saved yet")
    page.reload()
    expect(page.locator("#id_text_thing1")).to_have_value("{{ nickname | 朋友 }}的水果节")
    expect(page.locator("[data-banner]")).to_contain_text("What you had typed before is back.")
    page.get_by_role("button", name="Start afresh").click()
    expect(page.locator("#id_text_thing1")).to_have_value("")


def test_another_tab_offers_what_is_unfinished(page: Page, context: BrowserContext, template: MessageTemplate) -> None:
    page.goto(add_url(template))
    write(page)
    page.close()
    second = context.new_page()
    second.goto(ADD)
    second.get_by_role("button", name="Go on with it").click()
    expect(second.locator("#id_text_thing1")).to_have_value("{{ nickname | 朋友 }}的水果节")
    assert second.url.endswith(f"?template={template.pk}")


def test_a_saved_draft_saves_itself_from_then_on(page: Page, template: MessageTemplate, complaints: list[str]) -> None:
    page.goto(add_url(template))
    write(page)
    page.select_option("#id_audience", label="Everybody")
    page.get_by_role("button", name="Save the draft").click()
    expect(status(page)).to_contain_text("Saved at")
    job = SendJob.objects.get()
    assert page.url.endswith(reverse("admin:jobs_sendjob_change", args=[job.pk]))
    with page.expect_response(lambda answer: answer.url.endswith("/save/")):
        page.fill("#id_text_thing1", "改过的水果节")
    expect(status(page)).to_contain_text("Saved at")
    assert job.variants.get().texts["thing1"] == "改过的水果节"
    page.reload()
    expect(page.locator("#id_text_thing1")).to_have_value("改过的水果节")
    expect(page.locator("[data-banner]")).to_be_hidden()
    assert complaints == []


def test_a_lost_session_loses_nothing(page: Page, context: BrowserContext, template: MessageTemplate) -> None:
    page.goto(add_url(template))
    write(page)
    page.select_option("#id_audience", label="Everybody")
    page.get_by_role("button", name="Save the draft").click()
    expect(status(page)).to_contain_text("Saved at")
    Session.objects.all().delete()
    page.fill("#id_text_thing1", "写在退出之后")
    expect(page.locator("[data-banner]")).to_contain_text("You have been logged out.")
    second = context.new_page()
    log_in(second)
    page.fill("#id_text_phrase2", "已经开始")
    expect(status(page)).to_contain_text("Saved at")
    assert SendJob.objects.get().variants.get().texts["thing1"] == "写在退出之后"


def test_two_tabs_never_write_over_each_other_silently(
    page: Page, context: BrowserContext, template: MessageTemplate
) -> None:
    job = factories.a_job(template, texts={"thing1": "旧的", "phrase2": "好", "amount3": "1"})
    url = reverse("admin:jobs_sendjob_change", args=[job.pk])
    second = context.new_page()
    page.goto(url)
    second.goto(url)
    page.fill("#id_text_thing1", "第一个标签页")
    expect(status(page)).to_contain_text("Saved at")
    second.fill("#id_text_thing1", "第二个标签页")
    expect(second.locator("[data-banner]")).to_contain_text("Somebody saved this job after you had opened it.")
    assert job.variants.get().texts["thing1"] == "第一个标签页"
    expect(second.locator("#id_text_thing1")).to_have_value("第二个标签页")
    second.get_by_role("button", name="Save mine over it").click()
    expect(status(second)).to_contain_text("Saved at")
    assert job.variants.get().texts["thing1"] == "第二个标签页"


def test_the_way_to_a_new_audience_and_back_keeps_everything(page: Page, template: MessageTemplate) -> None:
    page.goto(add_url(template))
    write(page)
    page.get_by_role("link", name="New audience").click()
    page.wait_for_url("**/audience/add/**")
    made = factories.everybody(template.mini_program)
    page.goto(f"{add_url(template)}&audience={made.pk}")
    expect(page.locator("#id_audience option:checked")).to_have_text("Everybody")
    expect(page.locator("#id_text_thing1")).to_have_value("{{ nickname | 朋友 }}的水果节")


def test_a_new_job_is_saved_on_the_way_to_its_weekly_schedule(page: Page, template: MessageTemplate) -> None:
    page.goto(add_url(template))
    write(page)
    page.select_option("#id_audience", label="Everybody")
    page.get_by_role("button", name="Repeat every week …").click()
    page.wait_for_url("**/repeat/")
    job = SendJob.objects.get()
    page.get_by_label("Monday").check()
    page.get_by_role("button", name="Save the schedule").click()
    expect(page.locator("#when")).to_contain_text("repeated")
    expect(page.locator("#when").get_by_role("link", name="Change the schedule")).to_be_visible()
    job.refresh_from_db()
    assert job.series is not None


def test_a_copy_is_one_press_away(page: Page, template: MessageTemplate) -> None:
    job = factories.a_running_job(template, texts={"thing1": "x", "phrase2": "好", "amount3": "1"})
    page.goto(reverse("admin:jobs_sendjob_change", args=[job.pk]))
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("#id_text_thing1")).to_have_value("x")
    expect(page.locator("#id_name")).to_have_value(f"{job.name} (copy)")


def test_the_page_fits_a_phone_with_its_steps_in_sight(
    page: Page, template: MessageTemplate, complaints: list[str]
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for address in (ADD, add_url(template)):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#when").scroll_into_view_if_needed()
    expect(page.locator(".compose-steps")).to_be_in_viewport()
    assert complaints == []
