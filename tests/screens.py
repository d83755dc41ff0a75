"""``python -m tests.screens [NAME …]``: pictures of the desk's main pages, on a desktop, on a phone and in the dark.

The demo plays its campaign; then a colleague copies the job and submits it, another one approves it, and it runs. All
of it is done with a mouse in a real browser; nothing is drawn for the picture.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = ROOT / "docs" / "screens"
COMPOSER, APPROVER = "yunying", "shenhe"
SIZES: Final = {"desktop": (1280, 860, "light"), "phone": (390, 844, "light"), "dark": (1280, 860, "dark")}
MOST_HEIGHT: Final = {"desktop": 1700, "phone": 844, "dark": 1100}


@dataclass(frozen=True)
class Demo:
    """A demo that has come to rest."""

    desk: str
    password: str


@contextmanager
def demo(*options: str) -> Iterator[Demo]:
    """Play the demo until it waits for visitors; stop it afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "DATABASE_URL": f"sqlite:///{folder}/demo.sqlite3", "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "manage.py", "demo", *options]
        playing = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            yield _told(playing)
        finally:
            playing.send_signal(signal.SIGINT)
            playing.communicate(timeout=60)


def _told(playing: subprocess.Popen[str]) -> Demo:
    said = ""
    for line in playing.stdout or ():
        said += line
        desk, password = re.search(r"(http://\S+)/admin/", said), re.search(r"(?:Password:|密码[:：])\s+(\S+)", said)
        if desk and password:
            return Demo(desk[1], password[1])
    raise RuntimeError(f"the demo ended early:\n{said}")


def log_in(context: BrowserContext, name: str, *, password: str) -> Page:
    """Return a tab of somebody at the desk."""
    page = context.new_page()
    page.goto("/admin/login/")
    page.fill("[name=username]", name)
    page.fill("[name=password]", password)
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/")
    return page


def _height(page: Page) -> int:
    return int(page.evaluate("Math.max(860, document.documentElement.scrollHeight)"))


def first_row(page: Page, path: str) -> str:
    """Return the address of a list's first row."""
    page.goto(path)
    return page.locator("#result_list tbody th a, #result_list tbody td a").first.get_attribute("href") or path


class Play:
    """Who does what before the pictures; ``pages`` says where they are taken."""

    def __init__(self, browser: Browser, *, stage: Demo) -> None:
        self.browser, self.stage = browser, stage
        self.composer = log_in(self.context("desktop"), COMPOSER, password=stage.password)
        self.approver = log_in(self.context("desktop"), APPROVER, password=stage.password)
        self.boss = log_in(self.context("desktop"), "admin", password=stage.password)

    def context(self, size: str) -> BrowserContext:
        """Return a fresh browser of a size."""
        width, height, scheme = SIZES[size]
        return self.browser.new_context(
            base_url=self.stage.desk,
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            locale="zh-CN",
            timezone_id="Asia/Shanghai",
            reduced_motion="reduce",
        )

    def copy_the_campaign(self) -> str:
        """Return the address of a draft like the campaign's job."""
        self.composer.goto(first_row(self.composer, "/admin/jobs/sendjob/"))
        self.composer.locator('form[action$="/copy/"] button, button[form="compose-copy"]').first.click()
        self.composer.wait_for_load_state("networkidle")
        return self.composer.url.removeprefix(self.stage.desk)

    def submit(self, draft: str) -> None:
        """Hand the draft in."""
        self.composer.goto(draft)
        self.composer.locator("[data-submit]").click()
        self.composer.wait_for_load_state("networkidle")

    def press(self, page: Page, job: str, deed: str) -> None:
        """Press one of a job's buttons and say yes."""
        page.goto(f"{job.replace('/change/', '')}/do/{deed}/")
        if (name := page.locator("#id_name")).count():
            asked = page.locator('label[for="id_name"]').inner_text()
            name.fill(asked[asked.index("“") + 1 : asked.rindex("”")])
        page.locator('main form[method="post"] button[type="submit"], #content form[method="post"] button').last.click()
        page.wait_for_load_state("networkidle")

    def shoot(self, name: str, address: str, *, viewer: Page) -> None:
        """Take a page's three pictures, as somebody who is logged in sees it."""
        cookies = viewer.context.cookies()
        for size in SIZES:
            context = self.context(size)
            context.add_cookies(
                [{"name": one["name"], "value": one["value"], "url": self.stage.desk} for one in cookies]
            )
            page = context.new_page()
            page.goto(address)
            if (check := page.locator("[data-check-now]")).count():
                check.click()
            page.wait_for_load_state("networkidle")
            # A bar that sticks to the window's end would lie across a picture of the whole page.
            page.set_viewport_size({"width": SIZES[size][0], "height": min(_height(page), MOST_HEIGHT[size])})
            page.wait_for_load_state("networkidle")
            page.evaluate("scrollTo(0, 0)")
            page.screenshot(path=FOLDER / f"{name}-{size}.png")
            context.close()


def pages(play: Play) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield each page's name and what takes its pictures, in the order of a working day."""
    addresses: dict[str, str] = {}

    def compose() -> None:
        addresses["job"] = play.copy_the_campaign()
        play.shoot("compose", addresses["job"], viewer=play.composer)

    def approve() -> None:
        play.submit(addresses["job"])
        play.shoot("approve", addresses["job"], viewer=play.approver)

    def running() -> None:
        play.press(play.approver, addresses["job"], "approve")
        play.press(play.composer, addresses["job"], "start")
        play.shoot("running", addresses["job"], viewer=play.composer)

    yield "compose", compose
    yield "approve", approve
    yield "running", running
    for name, address in _plain(play.boss).items():
        yield name, lambda name=name, address=address: play.shoot(name, address, viewer=play.boss)


def _plain(boss: Page) -> Mapping[str, str]:
    return {
        "front": "/admin/",
        "job": first_row(boss, "/admin/jobs/sendjob/?state__exact=finished"),
        "deliveries": "/admin/delivery/delivery/",
        # The oldest of them got cards, and has more to show than whoever came last.
        "person": first_row(boss, "/admin/subscriptions/subscriber/?newer=0"),
        "template": first_row(boss, "/admin/templates_app/messagetemplate/"),
        "audience": "/admin/subscriptions/audience/add/",
        "forecast": "/admin/subscriptions/expecteddemand/forecast/",
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.screens", description="Takes the pictures of docs/screens.")
    parser.add_argument("--subscribers", default="3000")
    parser.add_argument("--pace", default="60")
    wanted = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    with demo("--subscribers", wanted.subscribers, "--pace", wanted.pace) as stage, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--lang=zh-CN"],
            # With Debian's chromium-l10n the browser's own inputs speak Chinese too.
            env={**os.environ, "LANGUAGE": "zh_CN"},
        )
        for name, take in pages(Play(browser, stage=stage)):
            take()
            sys.stdout.write(f"{name}\n")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
