"""What a person does with the phone page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulator.platform_api import WORDS

if TYPE_CHECKING:
    from playwright.sync_api import Page


def ask(page: Page, scene: str = "paid") -> None:
    """Tap a scene, read the words, tap the button under them."""
    page.click(f"#scene-{scene}")
    page.get_by_role("heading", name=WORDS).wait_for()
    page.click("#ask")


def toast(page: Page, words: str) -> None:
    """Wait until the page says this in passing."""
    page.locator("#toast.is-shown", has_text=words).wait_for()


def tab_to(page: Page, target: str) -> None:
    """Press Tab until the focus is there."""
    for _ in range(30):
        if page.evaluate("(target) => document.activeElement.matches(target)", target):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{target} cannot be reached with Tab")
