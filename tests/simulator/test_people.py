"""What users do: the popup, turning off, logging in."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from notify_platform.simulator.control import SimulatorControl
from tests.simulator.stage import ANNA, APP, BEN, CARD, CHECKUP, PICKUP, PICKUP_TWIN, RETURN, ROOM, SECRET, Api, said


def balances(control: SimulatorControl, openid: str) -> dict[str, int]:
    return {row.template_id: row.balance for row in control.ledger(APP) if row.openid == openid}


def test_accepts_add_up(control: SimulatorControl) -> None:
    for _ in range(3):
        control.popup(APP, BEN, {PICKUP: "accept", RETURN: "reject"})

    assert balances(control, BEN) == {PICKUP: 3, RETURN: 0}


def test_the_phone_sees_every_answer(control: SimulatorControl) -> None:
    assert control.popup(APP, BEN, {PICKUP: "accept", RETURN: "reject"}) == {
        "errMsg": "requestSubscribeMessage:ok",
        PICKUP: "accept",
        RETURN: "reject",
    }


def test_a_reject_keeps_what_was_saved_up(control: SimulatorControl) -> None:
    control.popup(APP, ANNA, {PICKUP: "reject"})

    assert balances(control, ANNA) == {PICKUP: 2}


def test_the_same_title_is_filtered(control: SimulatorControl) -> None:
    result = control.popup(APP, BEN, {PICKUP: "accept", PICKUP_TWIN: "accept"})

    assert result == {"errMsg": "requestSubscribeMessage:ok", PICKUP: "accept", PICKUP_TWIN: "filter"}
    assert balances(control, BEN) == {PICKUP: 1}


@pytest.mark.parametrize(
    ("template_ids", "code", "text"),
    [
        ([], 10001, "TmplIds can't be empty"),
        (["gone"], 20001, "No template data return, verify the template id exist"),
        ([CARD], 20001, "No template data return, verify the template id exist"),
        ([PICKUP, CHECKUP], 20002, "Templates type must be same"),
        ([PICKUP, RETURN, ROOM, "a", "b", "c"], 20003, "Templates count out of max bounds"),
    ],
)
def test_a_popup_that_cannot_be_shown_changes_nothing(
    control: SimulatorControl, template_ids: list[str], code: int, text: str
) -> None:
    result = control.popup(APP, BEN, dict.fromkeys(template_ids, "accept"))

    assert result == {"errMsg": f"requestSubscribeMessage:fail {text}", "errCode": code}
    assert balances(control, BEN) == {}


def test_five_ids_are_allowed(control: SimulatorControl) -> None:
    control.setup(apps=[{"app_id": "wx2", "secret": "s", "templates": [_numbered(n) for n in range(6)]}])
    ids = [f"t{n}" for n in range(6)]

    assert control.popup("wx2", BEN, dict.fromkeys(ids[:5], "accept"))["errMsg"] == "requestSubscribeMessage:ok"
    assert control.popup("wx2", BEN, dict.fromkeys(ids, "accept"))["errCode"] == 20003


def _numbered(number: int) -> dict[str, Any]:
    return {"priTmplId": f"t{number}", "title": f"title {number}", "content": "", "example": "", "type": 2}


def test_the_main_switch_closes_the_popup(control: SimulatorControl) -> None:
    control.set_main_switch(APP, BEN, on=False)

    assert control.popup(APP, BEN, {PICKUP: "accept"}) == {
        "errMsg": "requestSubscribeMessage:fail The main switch is switched off",
        "errCode": 20004,
    }


def test_a_long_term_template_is_turned_on_and_off_by_the_popup(control: SimulatorControl) -> None:
    states = []
    for answer in ("accept", "accept", "reject"):
        control.popup(APP, BEN, {CHECKUP: answer})
        states.append(balances(control, BEN)[CHECKUP])

    assert states == [1, 1, 0]


def test_turning_off_voids_what_was_saved_up_and_a_new_accept_starts_at_one(control: SimulatorControl) -> None:
    control.turn_off(APP, ANNA, PICKUP)
    assert balances(control, ANNA) == {PICKUP: 0}

    control.popup(APP, ANNA, {PICKUP: "accept"})
    assert balances(control, ANNA) == {PICKUP: 1}


def test_a_silent_answer_counts_and_pushes_nothing(control: SimulatorControl) -> None:
    control.setup(
        apps=[{"app_id": "wx2", "secret": "s", "callback_url": "http://127.0.0.1:9", "templates": [_numbered(0)]}]
    )

    control.popup("wx2", BEN, {"t0": "accept"}, silent=True)

    assert [row.balance for row in control.ledger("wx2")] == [1]
    assert control.counts(app_id="wx2").pushes.queued == 0


def login(api: Api, code: str, **changes: str) -> dict[str, Any]:
    query = {"appid": APP, "secret": SECRET, "js_code": code, "grant_type": "authorization_code", **changes}
    return api.get("/sns/jscode2session", **query)


def test_a_login_code_is_exchanged_once(api: Api, control: SimulatorControl) -> None:
    code = control.login_code(APP, ANNA)

    session = login(api, code)
    assert sorted(session) == ["openid", "session_key"]
    assert session["openid"] == ANNA
    assert len(base64.b64decode(session["session_key"], validate=True)) == 16
    assert said(login(api, code)) == (40163, "code been used")


def test_a_login_code_lives_five_minutes(api: Api, control: SimulatorControl) -> None:
    code = control.login_code(APP, ANNA)
    control.change_settings(clock_shift_s=300)

    assert said(login(api, code)) == (40029, "invalid code,")


def test_login_names_what_is_wrong(api: Api, control: SimulatorControl) -> None:
    control.setup(apps=[{"app_id": "wx2", "secret": "s2"}])
    code = control.login_code(APP, ANNA)

    wrong: list[dict[str, str]] = [
        {"appid": ""},
        {"secret": ""},
        {"appid": "wx3"},
        {"secret": "x"},
        {"js_code": ""},
        {"js_code": "0never"},
        {"grant_type": "x"},
        {"appid": "wx2", "secret": "s2"},
    ]

    codes = [login(api, code, **changes)["errcode"] for changes in wrong]
    assert codes == [41002, 41004, 40013, 40125, 41008, 40029, 40002, 40029]
    assert login(api, code)["openid"] == ANNA


def test_a_login_brings_a_new_user_into_being(api: Api, control: SimulatorControl) -> None:
    assert login(api, control.login_code(APP, "oNew"))["openid"] == "oNew"
    assert api.send(touser="oNew")["errcode"] == 43101
