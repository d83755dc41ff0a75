"""Two colleagues at the desk, each in a browser of their own: what the page of the job says is what WeChat counted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Group
from django.db import connections
from django.urls import reverse

from notify_platform.callbacks.models import CallbackEvent
from notify_platform.insights import books
from notify_platform.simulator.control import SimulatorControl
from tests import factories, wechat_world
from tests.browser.conftest import ARGUMENTS, CHROMIUM, DESK, WHY_SKIPPED
from tests.browser.hands import tab_to
from tests.conftest import Spawn
from tests.journeys.waiting import until

if WHY_SKIPPED:
    pytest.skip(WHY_SKIPPED, allow_module_level=True)

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("processes")]

SEND = "/cgi-bin/message/subscribe/send"
PASSWORD = "pass-word-1"
JOB = "Grapes are back"
PEOPLE = 40
# Of them: who turned the template off at WeChat without our knowing, who left WeChat, whose answer never comes.
UNWILLING, GONE, UNANSWERED = slice(0, 3), slice(3, 4), slice(4, 6)
# Every press of the mouse counts, on whatever page; not one the driver stops and repeats, as something lay above.
COUNTING = (
    "addEventListener('pointerdown', () => sessionStorage.setItem('presses',"
    " Number(sessionStorage.getItem('presses') || 0) + 1))"
)


@dataclass
class Colleagues:
    """Opens a browser for each colleague, and hears every complaint of every page."""

    sit_down: Callable[[], Page]
    complaints: list[str]


@pytest.fixture
def colleagues(live_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Colleagues]:
    # The browser's driver keeps an event loop in this thread; the test still talks to its database from here.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    complaints: list[str] = []

    def watch(page: Page) -> None:
        page.on("pageerror", lambda error: complaints.append(f"script: {error}"))
        page.on("console", lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None)
        page.on("request", lambda sent: None if sent.url.startswith(live_server.url) else complaints.append(sent.url))

    with import_module("playwright.sync_api").sync_playwright() as running:
        browser = running.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)

        def sit_down() -> Page:
            size = {"width": DESK[0], "height": DESK[1]}
            context = browser.new_context(base_url=live_server.url, viewport=size, timezone_id="Asia/Shanghai")
            context.set_default_timeout(30_000)
            context.add_init_script(COUNTING)
            context.on("page", watch)
            page: Page = context.new_page()
            return page

        yield Colleagues(sit_down, complaints)
        browser.close()
        # What this thread asked the database while the loop ran went over connections of its own.
        connections.close_all()


@pytest.fixture
def shop(wechat: SimulatorControl, live_server: Any) -> str:
    """The app id of a mini-program with forty consenting people, some of whom WeChat sees otherwise."""
    program = factories.a_mini_program(approval_threshold=10)
    template = factories.a_template(program, title="Back in stock", fields=[("thing1", "商品"), ("phrase2", "状态")])
    people = factories.subscribers(program, count=PEOPLE, nickname="晴天")
    factories.grants(template, to=people)
    factories.everybody(program)
    unwilling, gone, unanswered = people[UNWILLING], people[GONE], people[UNANSWERED]
    wechat_world.introduce(
        wechat,
        program,
        people=[one for one in people if one not in [*unwilling, *gone]],
        callback_url=f"{live_server.url}/wechat/callback/{program.app_id}",
    )
    wechat.add_users(program.app_id, [{"openid": one.openid} for one in unwilling])
    lost = [one.openid for one in unanswered]
    wechat.set_faults([{"endpoint": SEND, "action": "status_before", "http_status": 502, "openids": lost}])
    for name, role in (("olga", "operator"), ("adam", "approver")):
        factories.a_user(name, is_staff=True).groups.add(Group.objects.get(name=role))
    return str(program.app_id)


def log_in(page: Page, name: str) -> None:
    """Log in with a press of the button, as everybody does."""
    page.goto(reverse("admin:login"))
    page.locator("[name=username]").focus()
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"**{reverse('admin:index')}")


def presses(page: Page) -> int:
    return int(page.evaluate("sessionStorage.getItem('presses')"))


def say_yes(page: Page, deed: str) -> None:
    """Type the job's name, which is asked for above the threshold, and press the button of the question."""
    page.locator("#id_name").fill(JOB)
    page.get_by_role("button", name=deed, exact=True).click()


def compose(page: Page) -> None:
    """Write the job on the one page and hand it in."""
    page.get_by_role("link", name="Write a job").first.click()
    page.get_by_role("link", name="Back in stock").click()
    page.locator("#id_text_thing1").wait_for()
    page.keyboard.type("阳光玫瑰")
    for selector, words in (
        ("#id_text_phrase2", "到货了"),
        ("#id_page", "pages/goods/detail"),
        ("#id_purpose", "They asked to be told."),
    ):
        tab_to(page, selector)
        page.keyboard.type(words)
    page.fill("#id_name", JOB)
    page.locator("#id_audience").select_option(label="Everybody")
    page.get_by_role("button", name="Submit the job").click()
    page.get_by_text("The job was submitted.").wait_for()


def tiles(page: Page) -> dict[str, int]:
    """What the tiles of a job's page say, by their names."""
    found = page.locator("a.desk-tile").all()
    return {tile.locator("span").inner_text(): number_in(tile.locator("strong").inner_text()) for tile in found}


def refused_by_code(page: Page) -> dict[int, int]:
    """What the page says WeChat refused, by code."""
    rows = page.locator("section.desk-panel", has_text="Refused by WeChat").locator(".desk-reason").all()
    return {int(row.locator("strong").inner_text()): number_in(row.locator("a").inner_text()) for row in rows}


def number_in(text: str) -> int:
    return int(re.sub(r"\D", "", text))


def test_one_writes_another_approves_and_the_page_says_what_wechat_counted(
    shop: str, wechat: SimulatorControl, colleagues: Colleagues, spawn: Spawn
) -> None:
    composer, approver = colleagues.sit_down(), colleagues.sit_down()

    log_in(composer, "olga")
    compose(composer)
    assert presses(composer) <= 12
    assert composer.get_by_role("link", name="Approve", exact=True).count() == 0

    log_in(approver, "adam")
    approver.locator(".front-trouble", has_text=JOB).click()
    approver.get_by_role("link", name="Approve", exact=True).click()
    say_yes(approver, "Approve")
    approver.get_by_text("The job was approved.").wait_for()
    assert presses(approver) <= 4

    composer.reload()
    composer.get_by_role("link", name="Start", exact=True).click()
    say_yes(composer, "Start")
    composer.get_by_text("The job was started.").wait_for()
    engine = spawn("manage.py", "deliver")
    # The page follows by itself and says when it is over.
    composer.locator(".desk-head .desk-label", has_text="finished").wait_for(timeout=60_000)
    assert wechat.wait_for_pushes()
    until(lambda: not CallbackEvent.objects.filter(state=CallbackEvent.State.PENDING).exists())
    engine.terminate()
    assert engine.wait(timeout=40) == 0

    composer.reload()
    counts = wechat.counts(app_id=shop)
    assert (counts.refused_by_code, counts.faults, counts.doubles) == ({43101: 3, 40003: 1}, {"status_before": 2}, 0)
    assert tiles(composer) == {
        "people in all": PEOPLE,
        "waiting": 0,
        "accepted by WeChat": counts.counted,
        "delivered": counts.pushes.ok,
        "not delivered by WeChat": 0,
        "result unknown": counts.faults["status_before"],
        "refused by WeChat": sum(counts.refused_by_code.values()),
        "not sent": 0,
    }
    assert refused_by_code(composer) == counts.refused_by_code
    assert (counts.counted, counts.pushes.ok) == (34, 34)
    assert books.check() == []
    assert colleagues.complaints == []
