"""The control API and its client."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from notify_platform.simulator.control import ControlError, LedgerRow, SimulatorControl
from notify_platform.simulator.server import RunningSimulator, start_simulator
from tests.simulator.stage import ANNA, APP, BEN, CHECKUP, PICKUP, RETURN, Api, app, template


def test_consent_is_added_in_bulk(control: SimulatorControl) -> None:
    rows = [{"openid": f"o{n:027d}", "balances": {RETURN: n % 3}, "long_term": [CHECKUP]} for n in range(25_000)]

    assert control.add_users(APP, rows) == 25_000

    ledger = [row for row in control.ledger(APP) if row.openid.startswith("o0000")]
    assert len(ledger) == 50_000
    assert ledger[2] == LedgerRow(f"o{1:027d}", RETURN, granted=1, counted=0, balance=1)
    assert ledger[3] == LedgerRow(f"o{1:027d}", CHECKUP, granted=1, counted=0, balance=1)
    assert control.health()["users"] == {APP: 25_002}


def test_users_added_again_get_more_consent(control: SimulatorControl) -> None:
    control.add_users(APP, [{"openid": ANNA, "balances": {PICKUP: 3}}])

    assert control.ledger(APP) == [LedgerRow(ANNA, PICKUP, granted=5, counted=0, balance=5)]


def test_consent_to_an_unknown_template_is_refused_whole(control: SimulatorControl) -> None:
    before = control.ledger(APP)

    with pytest.raises(ControlError) as refusal:
        control.add_users(APP, [{"openid": BEN, "balances": {PICKUP: 1}}, {"openid": "oX", "balances": {"gone": 1}}])

    assert str(refusal.value) == "the app has no template gone"
    assert control.ledger(APP) == before


def test_setup_again_keeps_users_and_books(api: Api, control: SimulatorControl) -> None:
    api.send()

    control.setup(apps=[app(secret="new", templates=[template(PICKUP, "x", "门店:{{thing2.DATA}}")])])

    assert control.ledger(APP) == [LedgerRow(ANNA, PICKUP, granted=2, counted=1, balance=1)]
    assert api.stable_token()["errcode"] == 40125
    assert api.send(data={"thing2": {"value": "a"}})["errcode"] == 0


def test_two_apps_are_two_books(api: Api, control: SimulatorControl) -> None:
    control.setup(apps=[app(app_id="wx2", secret="s2")])
    control.add_users("wx2", [{"openid": "oTwo", "balances": {PICKUP: 1}}])
    other = Api(control.url)
    other.token = other.stable_token(appid="wx2", secret="s2")["access_token"]

    assert (api.send()["errcode"], other.send(touser="oTwo")["errcode"], other.send()["errcode"]) == (0, 0, 40003)
    other.close()

    assert [control.counts(app_id=each).counted for each in (APP, "wx2", "")] == [1, 1, 2]
    assert [row.openid for row in control.deliveries("wx2")] == ["oTwo"]


def test_counts_can_be_asked_by_template(api: Api, control: SimulatorControl) -> None:
    api.send()
    api.send(template_id=RETURN)
    api.send(template_id="?")

    counts = {each: control.counts(app_id=APP, template_id=each) for each in (PICKUP, RETURN, "?")}

    assert [each.requests for each in counts.values()] == [1, 1, 1]
    assert [each.counted for each in counts.values()] == [1, 0, 0]
    assert [each.refused_by_code for each in counts.values()] == [{}, {43101: 1}, {40037: 1}]
    assert control.counts().calls == {"/cgi-bin/message/subscribe/send": 3, "/cgi-bin/stable_token": 1}


def test_a_send_with_a_bad_token_is_counted_without_an_app(api: Api, control: SimulatorControl) -> None:
    api.token = "bad"
    api.send()

    assert control.counts(app_id=APP).requests == 0
    assert control.counts().refused_by_code == {40014: 1}


def test_reset_forgets_everything(api: Api, control: SimulatorControl) -> None:
    api.send()
    control.change_settings(msgid=False)
    control.set_faults([{"endpoint": "*", "action": "code"}])

    control.reset()

    assert control.health()["users"] == {}
    assert control.counts().counted == 0
    assert control.change_settings()["msgid"] is True
    control.setup(apps=[app()])
    assert "access_token" in api.stable_token()


def test_settings_of_the_start_outlive_a_reset() -> None:
    with start_simulator(settings={"latency_ms": 1, "msgid": False}) as simulator:
        simulator.control.change_settings(latency_ms=2.5)
        assert simulator.control.change_settings()["latency_ms"] == 2.5

        simulator.control.reset()

        settings = simulator.control.change_settings()
        assert (settings["latency_ms"], settings["msgid"]) == (1.0, False)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"latency_ms": "fast"}, "latency_ms takes float, not 'fast'"),
        ({"msgid": 1}, "msgid takes bool, not 1"),
        ({"daily_limit": True}, "daily_limit takes int, not True"),
    ],
)
def test_a_setting_of_another_type_is_refused(
    control: SimulatorControl, changes: dict[str, Any], sentence: str
) -> None:
    before = control.change_settings()

    with pytest.raises(ControlError) as refusal:
        control.change_settings(**changes)

    assert str(refusal.value) == sentence
    assert control.change_settings() == before


def test_an_unknown_setting_is_refused(control: SimulatorControl) -> None:
    with pytest.raises(ControlError, match="there is no setting latency; there are latency_ms, msgid, "):
        control.change_settings(latency=1)


def test_refusals_say_what_to_do(control: SimulatorControl) -> None:
    with pytest.raises(ControlError) as no_app:
        control.popup("wx9", ANNA, {PICKUP: "accept"})
    with pytest.raises(ControlError) as no_user:
        control.turn_off(APP, "oNobody", PICKUP)
    with pytest.raises(ControlError) as no_answer:
        control.popup(APP, ANNA, {PICKUP: "maybe"})
    with pytest.raises(ControlError) as no_secret:
        control.setup(apps=[{"app_id": "wx9"}])
    with pytest.raises(ControlError) as no_mode:
        control.setup(apps=[app(mode="secret")])

    assert [str(each.value) for each in (no_app, no_user, no_answer, no_secret, no_mode)] == [
        "there is no app wx9; POST /_sim/setup makes one",
        f"{APP} has no user oNobody; POST /_sim/users adds some",
        "a user answers accept or reject, not maybe",
        "secret is missing",
        "mode is one of plaintext, compatible, safe, format one of json, xml",
    ]


def test_turn_off_takes_one_template_id_as_well(control: SimulatorControl) -> None:
    body = {"app_id": APP, "openid": ANNA, "template_id": PICKUP}
    answer = requests.post(f"{control.url}/_sim/turn_off", json=body, timeout=10)

    assert (answer.status_code, answer.json()) == (200, {})
    assert [row.balance for row in control.ledger(APP)] == [0]


def test_unknown_control_calls_and_bodies_are_refused(control: SimulatorControl) -> None:
    unknown = requests.get(f"{control.url}/_sim/setup", timeout=10)
    broken = requests.post(f"{control.url}/_sim/setup", data=b"[", timeout=10)

    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "not_found")
    assert (broken.status_code, broken.json()["error"]["message"]) == (400, "the body must be a JSON object")


def test_the_inbox_of_a_stranger_is_empty(control: SimulatorControl) -> None:
    assert control.inbox(APP, "oNobody") == []


def test_health_tells_users_and_flights(running: RunningSimulator, control: SimulatorControl) -> None:
    health = control.health()
    clock = health.pop("clock")

    assert health == {"ok": True, "users": {APP: 2}, "in_flight": 0}
    control.change_settings(clock_shift_s=3600)
    assert control.health()["clock"] >= clock + 3600


def test_the_simulator_ends_with_its_block_although_clients_stay_connected() -> None:
    with start_simulator() as simulator:
        api = Api(simulator.url)
        api.get("/wxaapi/newtmpl/getcategory")

    with pytest.raises((ConnectionError, OSError)):
        api.get("/wxaapi/newtmpl/getcategory")
    api.close()
