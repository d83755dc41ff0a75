"""What is said to the browser with every answer."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from notify_platform.api.document_views import POLICY
from notify_platform.console.headers import CSP, DESK, STRICT
from tests.architecture.tree import ROOT

INLINE = re.compile(r"<script(?![^>]*(?:src=|application/json))[^>]*>|\son\w+=\"|\sstyle=\"")


@pytest.mark.django_db
def test_each_part_of_the_platform_has_its_policy(admin: Client, client: Client) -> None:
    pages = {
        reverse("admin:index"): (admin, DESK),
        reverse("admin:login"): (client, DESK),
        reverse("admin:index") + "no-such-page": (admin, DESK),
        reverse("api-docs"): (client, POLICY),
        reverse("api-schema"): (client, STRICT),
        reverse("healthz"): (client, STRICT),
        "/api/v1/prompts": (client, STRICT),
        "/wechat/callback/wx0000000000000000": (client, STRICT),
        "/no-such-page": (client, STRICT),
    }
    said = {url: browser.get(url).headers.get(CSP) for url, (browser, _policy) in pages.items()}
    assert said == {url: policy for url, (_browser, policy) in pages.items()}


@pytest.mark.django_db
def test_the_other_headers_of_a_page(admin: Client) -> None:
    answer = admin.get(reverse("admin:index"))
    names = ("X-Content-Type-Options", "Referrer-Policy", "X-Frame-Options", "Cross-Origin-Opener-Policy")
    assert [answer.headers[name] for name in names] == ["nosniff", "same-origin", "DENY", "same-origin"]


def test_no_script_of_ours_stands_in_a_page_and_no_attribute_is_one() -> None:
    found = {
        str(path.relative_to(ROOT)): hits
        for path in (ROOT / "notify_platform").rglob("*.html")
        if (hits := INLINE.findall(path.read_text()))
    }
    assert found == {}
