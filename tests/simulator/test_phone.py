"""The phone page's HTTP: its files, who may ask, and its way to the platform."""

from __future__ import annotations

import json
import re
import socket

import pytest

from notify_platform.simulator import passage, phones
from notify_platform.simulator.control import SimulatorControl
from tests.simulator.browsing import Browser
from tests.simulator.platform_api import FakePlatform, Refusal
from tests.simulator.stage import ANNA, APP, PICKUP, RETURN, SEND, Api, app, said

CSP = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"


def balances(control: SimulatorControl) -> dict[str, int]:
    return {row.template_id: row.balance for row in control.ledger(APP) if row.openid == ANNA}


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/phone", "/phone/", "/phone?openid=oX"])
def test_the_page_comes_with_a_strict_policy(browser: Browser, path: str) -> None:
    status, headers, body = browser.ask("GET", path)

    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert headers["Content-Security-Policy"] == CSP
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert body.startswith(b"<!doctype html>")


def test_everything_the_page_names_is_served_from_here(browser: Browser) -> None:
    seen: dict[str, str] = {}
    waiting = {"/phone/index.html"}
    while waiting:
        path = waiting.pop()
        status, headers, body = browser.ask("GET", path)
        assert (path, status) == (path, 200)
        seen[path] = headers["Content-Type"]
        text = body.decode()
        assert not re.search(r"""(?:src|href|url|from|import)\W{1,3}(?:https?:)?//""", text), path
        named = set(re.findall(r'"(/phone/[\w-]+\.\w+)', text)) | {
            f"/phone/{each}" for each in re.findall(r'"\./([\w.-]+)"', text)
        }
        waiting |= named - set(seen)

    assert sorted({path.rpartition(".")[2] for path in seen}) == ["css", "html", "js", "svg"]
    assert seen["/phone/phone.js"] == "text/javascript; charset=utf-8"
    assert sorted(seen) == sorted(f"/phone/{name}" for name in phones._FILES)


@pytest.mark.parametrize(
    "path",
    [
        "/phone/../phones.py",
        "/phone/..%2fphones.py",
        "/phone/%2e%2e/phones.py",
        "/phone/./phone.js",
        "/phone//etc/passwd",
        "/phone/phones.py",
        "/phone/phone.js/",
        "/phone/phone.js%00.css",
        "/phone/none.js",
    ],
)
def test_no_path_leads_out_of_the_folder(browser: Browser, path: str) -> None:
    status, headers, body = browser.ask("GET", path)

    assert (status, headers["Content-Security-Policy"]) == (404, CSP)
    assert json.loads(body)["error"]["code"] == "not_found"


def test_a_path_that_only_begins_alike_is_wechats(api: Api, browser: Browser) -> None:
    assert said(api.get("/phonebook")) == (40066, "invalid url")


def test_files_are_only_read(browser: Browser) -> None:
    assert browser.ask("POST", "/phone", {})[0] == 405


@pytest.mark.parametrize("path", ["/phone", "/phone/wx/apps", "/phone/api/v1/prompts"])
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[", ""])
def test_a_foreign_name_for_this_machine_is_refused(browser: Browser, path: str, host: str) -> None:
    status, _, body = browser.ask("GET", path, headers={"Host": host})

    assert (status, json.loads(body)["error"]["code"]) == (403, "foreign")


def test_this_machine_has_three_names(browser: Browser) -> None:
    assert [
        browser.ask("GET", "/phone", headers={"Host": host})[0] for host in ("localhost:1", "127.0.0.1", "[::1]:8090")
    ] == [
        200,
        200,
        200,
    ]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_may_link_to_the_page_and_ask_nothing(
    browser: Browser, control: SimulatorControl, fake: FakePlatform, site: str
) -> None:
    headers = {"Sec-Fetch-Site": site, "X-App-Id": APP}
    off = {"app_id": APP, "openid": ANNA, "template_id": PICKUP}

    assert browser.ask("GET", "/phone", headers=headers)[0] == 200
    assert browser.ask("POST", "/phone/wx/turn_off", off, headers)[0] == 403
    assert browser.ask("GET", "/phone/wx/apps", headers=headers)[0] == 403
    assert browser.ask("GET", "/phone/api/v1/subscriptions", headers=headers)[0] == 403
    assert (balances(control), fake.asked) == ({PICKUP: 2}, [])


# --- the way to the platform ------------------------------------------------------------------------------------------


def test_a_call_is_handed_on_as_it_came(browser: Browser, fake: FakePlatform) -> None:
    code = browser.wx("POST", "login")[1]["code"]
    token = browser.api("POST", "v1/sessions", {"app_id": APP, "code": code})[1]["token"]

    status, plan = browser.api(
        "GET", "v1/prompts?scene=paid&x=a%20b&x=c", Authorization=f"Bearer {token}", Accept_Language="zh-hans"
    )

    assert (status, plan["template_ids"]) == (200, [PICKUP, RETURN])
    assert fake.sessions == {token: ANNA}
    assert fake.asked[1].target == "/api/v1/prompts?scene=paid&x=a%20b&x=c"
    assert fake.asked[1].headers["Authorization"] == f"Bearer {token}"
    assert fake.asked[1].headers["Accept-Language"] == "zh-hans"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_every_method_reaches_the_platform(browser: Browser, fake: FakePlatform, method: str) -> None:
    fake.trouble[f"{method} /api/v1/preferences"] = Refusal(409, "just_so", "好")

    assert browser.api(method, "v1/preferences", {"a": "值"}) == (
        409,
        {"error": {"code": "just_so", "message": "好", "fields": {}}},
    )
    assert fake.asked[0].body == {"a": "值"}


def test_the_answer_comes_back_unchanged_and_redirects_are_not_followed(browser: Browser, fake: FakePlatform) -> None:
    fake.trouble["POST /api/v1/visits"] = Refusal(429, "throttled", "慢一点", Retry_After="7", Set_Cookie="a=b")
    fake.trouble["POST /api/v1/opens"] = Refusal(302, "elsewhere", "那边", Location=f"{fake.url}/api/v1/prompts")

    slow = browser.ask("POST", "/phone/api/v1/visits", {}, {"X-App-Id": APP})
    moved = browser.ask("POST", "/phone/api/v1/opens", {}, {"X-App-Id": APP})

    assert (slow[0], json.loads(slow[2])["error"]["message"], slow[1]["Retry-After"]) == (429, "慢一点", "7")
    assert (moved[0], "Set-Cookie" in slow[1], "Location" in moved[1], len(fake.asked)) == (302, False, False, 2)


@pytest.mark.parametrize(
    "path",
    [
        "v1/",
        "v2/prompts",
        "v1",
        "admin/",
        "v1/../../admin/",
        "v1/%2e%2e/%2e%2e/admin/",
        "v1/..;/admin",
        "v1//127.0.0.1:9/x",
        "v1/prompts//x",
        "v1/prompts%3f",
        "/127.0.0.1:9/api/v1/prompts",
        "@127.0.0.1:9/api/v1/prompts",
        "http://127.0.0.1:9/api/v1/prompts",
    ],
)
def test_nothing_but_the_public_api_can_be_reached(browser: Browser, fake: FakePlatform, path: str) -> None:
    status, document = browser.api("GET", path)

    assert (status, document["error"]["code"]) == (404, "not_public")
    assert fake.asked == []


def test_the_app_decides_which_platform_is_asked(
    browser: Browser, control: SimulatorControl, fake: FakePlatform
) -> None:
    control.setup(apps=[{"app_id": "wx2", "secret": "s"}])

    none = browser.ask("GET", "/phone/api/v1/prompts")
    unknown = browser.api("GET", "v1/prompts", X_App_Id="wx3")
    without = browser.api("GET", "v1/prompts", X_App_Id="wx2")

    assert (none[0], json.loads(none[2])["error"]["code"]) == (404, "no_app")
    assert (unknown[0], unknown[1]["error"]["code"]) == (404, "no_app")
    assert (without[0], without[1]["error"]["code"]) == (409, "no_api_url")
    assert fake.asked == []


def test_a_proxy_of_the_environment_is_not_asked(
    browser: Browser, fake: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    assert (browser.api("GET", "v1/prompts")[0], len(fake.asked)) == (401, 1)


def test_a_platform_that_is_down_is_told(browser: Browser, control: SimulatorControl) -> None:
    control.setup(apps=[app(api_url="http://127.0.0.1:9")])

    status, document = browser.api("GET", "v1/prompts")

    assert (status, document["error"]["code"]) == (502, "platform_unreachable")


def test_a_platform_that_does_not_answer_is_told(
    browser: Browser, control: SimulatorControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passage, "READ_TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        control.setup(apps=[app(api_url=f"http://127.0.0.1:{silent.getsockname()[1]}")])
        status, document = browser.api("GET", "v1/prompts")

    assert (status, document["error"]["code"]) == (504, "platform_silent")


def test_an_endless_answer_is_cut_off(browser: Browser, fake: FakePlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passage, "LONGEST_ANSWER", 10)

    status, document = browser.api("GET", "v1/prompts")

    assert (status, document["error"]["message"]) == (502, "the answer is too long")


def test_wechats_own_paths_know_no_other_methods(api: Api) -> None:
    assert [api.raw(method, SEND)[0] for method in ("PUT", "PATCH", "DELETE")] == [200, 200, 200]
    assert json.loads(api.raw("PUT", SEND)[2])["errcode"] == 43002
