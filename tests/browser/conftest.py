"""A real browser, a simulator, a tiny platform; a page that must never complain or look elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from notify_platform.simulator.control import SimulatorControl
from notify_platform.simulator.server import RunningSimulator, start_simulator
from tests.simulator.platform_api import FakePlatform, platform
from tests.simulator.stage import ANNA, APP, BEN, CHECKUP, PICKUP, RETURN, Api, app, template

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

CHROMIUM = Path("/usr/bin/chromium")
MISSING = [
    *([] if CHROMIUM.exists() else [f"{CHROMIUM} (on Debian: apt install chromium)"]),
    *([] if find_spec("playwright") else ["playwright"]),
]
# A module of browser tests is skipped whole, so that this is said in one line.
WHY_SKIPPED = f"BROWSER TESTS SKIPPED: there is no {' and no '.join(MISSING)}" if MISSING else ""
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
PHONE, DESK = (390, 844), (1440, 900)

TEMPLATES = [
    template(
        PICKUP, "取餐提醒", "取餐码:{{character_string1.DATA}}", "门店:{{thing2.DATA}}", example="门店:南山一店\n"
    ),
    template(RETURN, "还书提醒", "书名:{{thing1.DATA}}"),
    template(CHECKUP, "复诊提醒", "日期:{{date1.DATA}}", type=3),
]
SCENES = [
    {"code": "paid", "name": "支付成功页"},
    {"code": "borrowed", "name": "借书成功页"},
    {"code": "member", "name": "会员中心"},
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium. While it runs this thread has an event loop, and Django refuses to touch its database."""
    with import_module("playwright.sync_api").sync_playwright() as running:
        browser = running.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def running() -> Iterator[RunningSimulator]:
    with start_simulator() as simulator:
        yield simulator


@pytest.fixture(scope="session")
def running_platform() -> Iterator[FakePlatform]:
    with platform() as fake:
        yield fake


@dataclass
class World:
    """Everything outside the browser."""

    control: SimulatorControl
    platform: FakePlatform
    api: Api

    def configure(self, **changes: Any) -> None:
        given = {"name": "鲜果到家", "api_url": self.platform.url, "scenes": SCENES, "templates": TEMPLATES}
        self.control.setup(apps=[app(**given | changes)])

    def balances(self, openid: str = BEN) -> dict[str, int]:
        return {row.template_id: row.balance for row in self.control.ledger(APP) if row.openid == openid}


@pytest.fixture
def world(running: RunningSimulator, running_platform: FakePlatform) -> Iterator[World]:
    """A fresh world: the app with three scenes, Anna and Ben without consent."""
    running.control.reset()
    running_platform.begin(running.url)
    running_platform.plans["member"] = []
    made = World(running.control, running_platform, Api(running.url))
    made.configure()
    running.control.add_users(APP, [{"openid": ANNA}, {"openid": BEN}])
    yield made
    made.api.close()


@dataclass
class Watch:
    """What a page complained of, and where it looked. ``allowed``: parts of complaints a test expects."""

    home: str
    allowed: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def follow(self, page: Page) -> None:
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def verdict(self) -> list[str]:
        foreign = [url for url in self.requests if not url.startswith(f"{self.home}/phone")]
        return foreign + [each for each in self.complaints if not any(part in each for part in self.allowed)]

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)


OpenPhone = Callable[..., "Page"]


@pytest.fixture
def watch(running: RunningSimulator) -> Watch:
    return Watch(running.url)


@pytest.fixture
def open_phone(chromium: Browser, world: World, watch: Watch) -> Iterator[OpenPhone]:
    """Open the phone page; whatever a test does, the page must not complain and not look elsewhere."""
    contexts = []

    def start(path: str = f"/phone?openid={BEN}#/mini", *, size: tuple[int, int] = PHONE) -> Page:
        context = chromium.new_context(
            viewport={"width": size[0], "height": size[1]},
            locale="zh-CN",
            timezone_id="Asia/Shanghai",
            reduced_motion="reduce",
        )
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        watch.follow(page)
        page.goto(f"{watch.home}{path}")
        return page

    yield start
    for context in contexts:
        with suppress(Exception):
            context.close()
    assert watch.verdict() == []
