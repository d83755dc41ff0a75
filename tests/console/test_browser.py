"""The desk in a real browser: scripts run, numbers move, and nothing leaves this machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect, sync_playwright

from notify_platform.alerts import alerts
from notify_platform.alerts.models import Alert
from notify_platform.console.desk import snippets
from notify_platform.delivery import fanout
from notify_platform.delivery.models import Delivery
from notify_platform.insights.models import SendingTally
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob
from subscriptions.models import Audience, Scene
from templates_app.models import MessageTemplate
from tests import factories
from tests.console.conftest import At, Colleague

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="NO BROWSER TESTS: Debian's chromium is not installed"),
]
# Playwright's own event loop runs in this thread; Django would refuse the database because of it.
ASYNC_GUARD = "DJANGO_ALLOW_ASYNC_UNSAFE"


@pytest.fixture
def template(transactional_db: None) -> MessageTemplate:
    return factories.a_template(factories.a_mini_program(), fields=[("thing1", "活动"), ("thing2", "提示")])


@pytest.fixture
def job(template: MessageTemplate) -> SendJob:
    people = factories.subscribers(template.mini_program, count=3)
    factories.grants(template, to=people)
    job = factories.a_running_job(template)
    while fanout.step(job):
        job.refresh_from_db()
    return job


@pytest.fixture
def complaints() -> list[str]:
    """What the browser met with: requests to other hosts, errors of scripts, answers that are errors."""
    return []


@pytest.fixture
def page(
    live_server: Any, complaints: list[str], colleague: Colleague, at_desk: At, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Page]:
    """A browser in which a superuser has logged in."""
    monkeypatch.setenv(ASYNC_GUARD, "true")
    session = at_desk(colleague(None)).cookies["sessionid"].value

    def watch(request: Any) -> None:
        if not request.url.startswith((live_server.url, "data:", "blob:")):
            complaints.append(f"left this machine: {request.url}")

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context(base_url=live_server.url, timezone_id="Asia/Shanghai")
        context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
        tab = context.new_page()
        tab.on("request", watch)
        tab.on("pageerror", lambda error: complaints.append(f"script: {error}"))
        tab.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        yield tab
        browser.close()
        # Beside a running event loop this thread had connections of their own; nobody else would close them.
        connections.close_all()


def change_url(job: SendJob) -> str:
    return reverse("admin:jobs_sendjob_change", args=[job.pk])


def test_the_numbers_of_a_running_job_move_by_themselves(page: Page, job: SendJob, complaints: list[str]) -> None:
    page.goto(change_url(job))
    waiting = page.locator("a.desk-tile", has_text="waiting").locator("strong")
    expect(waiting).to_have_text("3")
    row = Delivery.objects.filter(job=job).first()
    assert row is not None
    Delivery.objects.filter(pk=row.pk).update(state=Delivery.State.CANCELLED)
    expect(waiting).to_have_text("2")
    assert complaints == []


def test_a_job_that_stops_shows_its_new_buttons_by_itself(page: Page, job: SendJob) -> None:
    page.goto(change_url(job))
    expect(page.get_by_role("link", name="Pause")).to_be_visible()
    jobs.pause(job, by=factories.a_user())
    expect(page.get_by_role("link", name="Resume")).to_be_visible()


def test_the_card_follows_what_is_typed(page: Page, template: MessageTemplate, complaints: list[str]) -> None:
    factories.subscribers(template.mini_program, count=1, nickname="晴天")
    page.goto(f"{reverse('admin:jobs_sendjob_add')}?template={template.pk}")
    page.fill("#id_text_thing1", "{{ nickname | 朋友 }}的水果节")
    page.fill("#id_text_thing2", "这一句明显比二十个字要长得多所以会被数出来")
    expect(page.locator('[data-card-line="thing1"]')).to_have_text("晴天的水果节")
    counter = page.locator("#id_text_thing2 + .desk-counter")
    expect(counter).to_have_text("21/20")
    expect(counter).to_have_class("desk-counter desk-over")
    assert complaints == []


def test_the_pages_ask_nobody_else_and_break_nothing(page: Page, job: SendJob, complaints: list[str]) -> None:
    names = ["index", "jobs_sendjob_changelist", "jobs_sendjob_add", "delivery_delivery_changelist"]
    names += ["subscriptions_forecast", "subscriptions_scene_report", "alerts_alert_changelist"]
    addresses = [*(reverse(f"admin:{name}") for name in names), change_url(job)]
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 844})
        for address in addresses:
            page.goto(address)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, address
    assert complaints == []


def test_every_main_page_keeps_to_the_policy(page: Page, job: SendJob, complaints: list[str]) -> None:
    """No violation of the content security policy, no error of a script, no request to anybody else."""
    person = job.template.subscriptions.all()[0].subscriber_id
    pages = [
        reverse("admin:index"),
        change_url(job),
        f"{reverse('admin:jobs_sendjob_add')}?template={job.template_id}",
        reverse("admin:subscriptions_scene_report"),
        reverse("admin:subscriptions_subscriber_change", args=[person]),
        reverse("admin:templates_app_messagetemplate_changelist"),
        reverse("admin:templates_app_messagetemplate_change", args=[job.template_id]),
        reverse("admin:core_auditevent_changelist"),
        reverse("admin:auth_user_add"),
        reverse("admin:auth_user_second_step_setup"),
        reverse("admin:subscriptions_forecast"),
        reverse("api-docs"),
    ]
    for address in pages:
        page.goto(address)
        page.wait_for_load_state("networkidle")
        assert complaints == [], address
    page.context.clear_cookies()
    page.goto(reverse("admin:login"))
    page.fill("#id_username", "nobody")
    page.fill("#id_password", "wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#login-form")).to_be_visible()
    assert complaints == []


def test_a_policy_that_is_broken_is_noticed(page: Page, job: SendJob, complaints: list[str]) -> None:
    page.goto(reverse("admin:index"))
    page.evaluate("document.body.appendChild(document.createElement('script')).textContent = 'window.evil = 1'")
    assert page.evaluate("window.evil") is None
    assert [words for words in complaints if "Content Security Policy" in words] != []


def test_a_job_is_paused_by_pressing_and_confirming(page: Page, job: SendJob) -> None:
    page.goto(change_url(job))
    page.get_by_role("link", name="Pause").click()
    expect(page.get_by_text("Pause this job?")).to_be_visible()
    job.refresh_from_db()
    assert job.state == SendJob.State.RUNNING
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("The job was paused.")).to_be_visible()
    job.refresh_from_db()
    assert job.state == SendJob.State.PAUSED


def test_the_days_of_a_template_are_drawn_beside_their_table(page: Page, job: SendJob, complaints: list[str]) -> None:
    page.goto(reverse("admin:subscriptions_forecast"))
    page.locator("[data-chart]").scroll_into_view_if_needed()
    expect(page.locator("[data-chart] canvas")).to_be_visible()
    expect(page.locator("#days tbody tr")).to_have_count(14)
    assert complaints == []


def test_the_front_page_keeps_itself_fresh_and_the_reader_in_their_place(
    page: Page, job: SendJob, complaints: list[str]
) -> None:
    sent = {"job": job, "day": timezone.localdate(), "left": 9, "accepted": 9, "delivered": 9, "opened": 0}
    tally = SendingTally.objects.create(**sent, counted_at=timezone.now())
    page.clock.install()
    page.goto(reverse("admin:index"))
    delivered = page.locator("a.front-tile", has_text="delivered in 7 days").locator("strong")
    expect(delivered).to_have_text("9")
    page.get_by_text("The numbers, day by day").click()
    page.locator("[data-chart]").first.scroll_into_view_if_needed()
    page.locator("[data-chart] canvas").first.evaluate("canvas => { canvas.id = 'drawn-before'; }")
    line = page.locator("a.desk-line", has_text=job.name)
    line.focus()
    place = page.evaluate("scrollY")

    SendingTally.objects.filter(pk=tally.pk).update(delivered=8)
    alerts.raise_alert(job.mini_program, kind=Alert.Kind.STRANGE_CODE, detail="Look the code up.")
    page.clock.run_for(30_000)

    expect(delivered).to_have_text("8")
    expect(page.locator(".front-trouble", has_text="Look the code up.")).to_have_count(1)
    expect(line).to_be_focused()
    expect(page.locator("details.front-days")).to_have_attribute("open", "")
    expect(page.locator("#drawn-before")).to_be_visible()
    assert page.evaluate("scrollY") >= place
    jobs.pause(job, by=factories.a_user())
    page.clock.run_for(30_000)
    expect(page.locator("a.desk-line", has_text="paused")).to_be_focused()
    assert complaints == []


def test_an_alert_is_settled_by_its_button_in_the_list(page: Page, template: MessageTemplate) -> None:
    alerts.raise_alert(template.mini_program, kind=Alert.Kind.STRANGE_CODE, detail="Look the code up.")
    page.goto(reverse("admin:alerts_alert_changelist"))
    page.get_by_role("button", name="Settle").click()
    expect(page.get_by_text("The alert was settled.")).to_be_visible()
    assert Alert.objects.get().settled_at is not None


def test_a_snippet_is_copied_as_it_stands(page: Page, template: MessageTemplate, complaints: list[str]) -> None:
    scene = Scene.objects.create(mini_program=template.mini_program, code="order-paid", name="Order paid")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(reverse("admin:subscriptions_scene_change", args=[scene.pk]))
    button = page.locator('[data-copy="desk-snippet-page"]')
    button.click()
    expect(button).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == snippets.of_scene(scene)[2].code
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []


def test_the_number_of_people_follows_the_criteria(
    page: Page, template: MessageTemplate, complaints: list[str]
) -> None:
    people = factories.subscribers(template.mini_program, count=3, region="广东")
    factories.subscribers(template.mini_program, count=2, region="上海")
    factories.grants(template, to=people[:1])
    page.goto(reverse("admin:subscriptions_audience_add"))
    expect(page.get_by_text("It means 5 people")).to_be_visible()
    page.fill("#id_regions", "广东")
    expect(page.get_by_text("It means 3 people")).to_be_visible()
    expect(page.locator(".desk-size-stock li")).to_have_text([f"{template.title}1"])
    page.fill("#id_active_within_days", "0")
    expect(page.get_by_text("Mend the inputs above")).to_be_visible()
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []


def test_a_file_is_checked_at_once_and_saved_without_being_chosen_again(
    page: Page, template: MessageTemplate, complaints: list[str]
) -> None:
    people = factories.subscribers(template.mini_program, count=2)
    lines = [people[0].openid, "nobody", people[1].openid]
    page.goto(reverse("admin:subscriptions_audience_upload"))
    file = {"name": "VIP customers.csv", "mimeType": "text/csv", "buffer": "\n".join(lines).encode()}
    page.set_input_files("#id_file", file)
    expect(page.locator(".desk-report .desk-tile strong")).to_have_text(["3", "2", "1"])
    expect(page.locator(".desk-report tbody tr")).to_have_text(["2nobodythis is no openid"])
    page.get_by_role("button", name="Save what is good").click()
    expect(page.get_by_text("was saved with 2 people")).to_be_visible()
    assert Audience.objects.get().name == "VIP customers"
    assert complaints == []


def test_a_view_is_saved_and_the_filters_survive_going_back(page: Page, job: SendJob, complaints: list[str]) -> None:
    log = reverse("admin:delivery_delivery_changelist")
    page.goto(f"{log}?job={job.pk}")
    page.get_by_role("link", name="waiting 3").click()
    page.get_by_text("Save this view").click()
    page.fill(".desk-drop-box input[name=name]", "Waiting ones")
    page.locator(".desk-drop-box").get_by_role("button", name="Save").click()
    view = page.get_by_role("link", name="Waiting ones")
    expect(view).to_be_visible()
    page.goto(log)
    view.click()
    address = page.url
    assert "state=waiting" in address
    page.locator("#result_list tbody a").first.click()
    page.get_by_title("Go back").click()
    expect(page.locator(".desk-tab[aria-current=true]")).to_have_text("waiting 3")
    assert "state=waiting" in page.url
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 844})
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []
