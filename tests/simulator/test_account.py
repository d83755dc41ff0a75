"""Quotas, rids and the content check."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from notify_platform.simulator.control import SimulatorControl
from tests.simulator.stage import ANNA, APP, BEN, SECRET, SEND, Api, said

QUOTA = "/cgi-bin/openapi/quota/get"
RID = "/cgi-bin/openapi/rid/get"
CHECK = "/wxa/msg_sec_check"


def check(api: Api, **changes: Any) -> dict[str, Any]:
    return api.post(CHECK, {"content": "你好", "version": 2, "scene": 2, "openid": ANNA, **changes})


def used(api: Api) -> int:
    count: int = api.post(QUOTA, {"cgi_path": SEND})["quota"]["used"]
    return count


def test_the_quota_of_send_is_told(api: Api) -> None:
    api.send()
    api.send(template_id="?")

    assert api.post(QUOTA, {"cgi_path": SEND}) == {
        "errcode": 0,
        "errmsg": "ok",
        "quota": {"daily_limit": 30_000_000, "used": 2, "remain": 29_999_998},
    }


@pytest.mark.parametrize(
    ("path", "code"), [("cgi-bin/x", 76003), (7, 76003), ("/sns/jscode2session", 76022), ("/other", 76021)]
)
def test_a_quota_of_something_else_is_refused(api: Api, path: object, code: int) -> None:
    assert api.post(QUOTA, {"cgi_path": path})["errcode"] == code


def test_clearing_the_quota_works_ten_times_a_month_over_both_calls(api: Api, control: SimulatorControl) -> None:
    api.send()
    assert used(api) == 1
    first = api.post("/cgi-bin/clear_quota", {"appid": APP})
    assert (first, used(api)) == ({"errcode": 0, "errmsg": "ok"}, 0)

    v2 = {"appid": APP, "appsecret": SECRET}
    codes = [api.post("/cgi-bin/clear_quota/v2", v2, token="")["errcode"] for _ in range(10)]
    assert codes == [0] * 9 + [48006]

    control.change_settings(clock_shift_s=31 * 86_400)
    assert api.post("/cgi-bin/clear_quota/v2", v2, token="")["errcode"] == 0


def test_clearing_needs_the_right_app_and_secret(api: Api) -> None:
    path = "/cgi-bin/clear_quota/v2"

    assert api.post("/cgi-bin/clear_quota", {"appid": "wx2"})["errcode"] == 40013
    assert [
        api.post(path, body)["errcode"]
        for body in ({"x": 1}, {"appid": APP}, {"appid": "wx2", "appsecret": "x"}, {"appid": APP, "appsecret": "x"})
    ] == [41002, 41004, 40013, 40125]


def test_the_secret_may_be_in_the_query_as_in_the_sample(api: Api) -> None:
    reply = api.raw("POST", "/cgi-bin/clear_quota/v2", {"appid": APP, "appsecret": SECRET}, b"")[2]

    assert json.loads(reply) == {"errcode": 0, "errmsg": "ok"}


def test_a_rid_tells_what_the_call_was(api: Api) -> None:
    refused = api.send(template_id="?")
    rid = refused["errmsg"].rpartition(" rid: ")[2]

    request = api.post(RID, {"rid": rid})["request"]

    assert request["invoke_time"] == int(rid[:8], 16)
    assert request["request_url"] == f"access_token={api.token}"
    assert json.loads(request["request_body"])["template_id"] == "?"
    assert json.loads(request["response_body"]) == refused
    assert request["client_ip"] == "127.0.0.1"


def test_rids_of_others_old_ones_and_nonsense_are_refused(api: Api, control: SimulatorControl) -> None:
    rid = api.send(template_id="?")["errmsg"].rpartition(" rid: ")[2]
    assert [api.post(RID, {"rid": each})["errcode"] for each in ("0" * 26, 7, "00000000-00000000-00000000")] == [
        76002,
        76002,
        76001,
    ]

    ours = api.token
    control.setup(apps=[{"app_id": "wx2", "secret": "s2"}])
    api.token = api.stable_token(appid="wx2", secret="s2")["access_token"]
    assert api.post(RID, {"rid": rid})["errcode"] == 76003

    control.change_settings(clock_shift_s=8 * 86_400)
    assert api.post(RID, {"rid": rid}, token=ours)["errcode"] == 42001
    api.log_in()
    assert said(api.post(RID, {"rid": rid})) == (76004, "rid is too old")


def test_text_is_risky_when_it_holds_a_word_of_the_setting(api: Api, control: SimulatorControl) -> None:
    control.change_settings(risky_words=["彩票"])
    control.popup(APP, ANNA, {})

    clean, risky = check(api), check(api, content="来买彩票")

    assert clean["result"] == {"suggest": "pass", "label": 100}
    assert [item["strategy"] for item in clean["detail"]] == ["content_model"]
    assert risky["result"] == {"suggest": "risky", "label": 20006}
    assert [item.get("keyword") for item in risky["detail"]] == [None, "彩票"]
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}", risky["trace_id"])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"content": ""}, 47001),
        ({"content": "字" * 2501}, 47001),
        ({"version": 1}, 47001),
        ({"scene": 5}, 40129),
        ({"openid": ""}, 40003),
        ({"openid": "oNobody"}, 40003),
        ({"openid": BEN}, 61010),
    ],
)
def test_a_check_that_cannot_be_made_is_refused(
    api: Api, control: SimulatorControl, changes: dict[str, Any], code: int
) -> None:
    control.popup(APP, ANNA, {})

    assert check(api, **changes)["errcode"] == code


def test_a_check_needs_a_user_of_this_app_who_was_there_within_two_hours(api: Api, control: SimulatorControl) -> None:
    control.setup(apps=[{"app_id": "wx2", "secret": "s2"}])
    control.add_users("wx2", [{"openid": "oOther"}])
    control.popup(APP, ANNA, {})
    assert check(api, openid="oOther")["errcode"] == 43104

    control.change_settings(clock_shift_s=7190)
    assert check(api)["errcode"] == 0
    control.change_settings(clock_shift_s=7300, token_lifetime_s=7200)
    api.log_in()
    assert said(check(api)) == (61010, "code is expired")
