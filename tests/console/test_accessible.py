"""The desk's main pages have no serious barrier for anybody, in a wide window, on a phone and in the dark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections
from django.urls import reverse
from playwright.sync_api import Browser, Page, sync_playwright

from tests.architecture.tree import ROOT
from tests.console.conftest import At, Colleague, a_row_of_everything
from tests.console.test_browser import ASYNC_GUARD, CHROMIUM

AXE = ROOT / "tests" / "sdk" / "node_modules" / "axe-core" / "axe.min.js"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="NO BROWSER TESTS: Debian's chromium is not installed"),
    pytest.mark.skipif(not AXE.exists(), reason="NO NODE TESTS: axe-core is not installed (make javascript)"),
]
LOOKS = {"desktop": (1280, "light"), "phone": (390, "light"), "dark": (1280, "dark")}
SERIOUS = ("serious", "critical")


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    monkeypatch.setenv(ASYNC_GUARD, "true")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()
        # Beside a running event loop this thread had connections of their own; nobody else would close them.
        connections.close_all()


def main_pages(rows: dict[str, Any]) -> dict[str, str]:
    job, person, template = rows["job"].pk, rows["person"].pk, rows["template"].pk
    return {
        "front": reverse("admin:index"),
        "jobs": reverse("admin:jobs_sendjob_changelist"),
        "compose": f"{reverse('admin:jobs_sendjob_add')}?template={template}",
        "draft": reverse("admin:jobs_sendjob_change", args=[job]),
        "messages": reverse("admin:delivery_delivery_changelist"),
        "person": reverse("admin:subscriptions_subscriber_change", args=[person]),
        "templates": reverse("admin:templates_app_messagetemplate_changelist"),
        "template": reverse("admin:templates_app_messagetemplate_change", args=[template]),
        "audience": reverse("admin:subscriptions_audience_add"),
        "forecast": reverse("admin:subscriptions_forecast"),
        "alerts": reverse("admin:alerts_alert_changelist"),
        "trail": reverse("admin:core_auditevent_changelist"),
    }


@pytest.mark.parametrize("look", LOOKS)
def test_no_main_page_has_a_serious_barrier(
    transactional_db: None, live_server: Any, browser: Browser, colleague: Colleague, at_desk: At, look: str
) -> None:
    rows = a_row_of_everything()
    session = at_desk(colleague(None)).cookies["sessionid"].value
    width, scheme = LOOKS[look]
    context = browser.new_context(
        base_url=live_server.url,
        viewport={"width": width, "height": 860},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
        # axe comes from the file system, which the desk's own policy would refuse.
        bypass_csp=True,
    )
    context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
    page = context.new_page()
    assert {name: barriers(page, path) for name, path in main_pages(rows).items()} == {
        name: [] for name in main_pages(rows)
    }


def barriers(page: Page, path: str) -> list[str]:
    """Return what axe finds serious: the rule and the first place."""
    page.goto(path)
    page.wait_for_load_state("networkidle")
    page.add_script_tag(path=str(AXE))
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {one['nodes'][0]['target'][0]} ({len(one['nodes'])} places)"
        for one in found["violations"]
        if one["impact"] in SERIOUS
    ]
