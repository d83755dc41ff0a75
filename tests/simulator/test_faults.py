"""Faults on order: each action on real connections, and what WeChat's side counted."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from typing import Any

import pytest

from notify_platform.simulator.control import ControlError, SimulatorControl
from notify_platform.simulator.server import RunningSimulator, start_simulator
from tests.simulator.stage import ANNA, APP, BEN, ORIGINAL, PICKUP, SEND, Api, Receiver, app, said

TOKEN_CALL = "/cgi-bin/stable_token"


@pytest.fixture
def fault(control: SimulatorControl, receiver: Receiver) -> Iterator[Any]:
    """Order one fault for sends; pushes go to the receiver."""
    control.setup(apps=[app(callback_url=receiver.url, callback_token="t", original_id=ORIGINAL)])
    yield lambda action, **more: control.set_faults([{"endpoint": SEND, "action": action, **more}])
    control.set_faults([])


def outcome(control: SimulatorControl) -> tuple[int, int, int]:
    """Counted messages, Anna's balance, pushes that arrived or wait."""
    assert control.wait_for_pushes() is True
    counts = control.counts(app_id=APP)
    (row,) = [row for row in control.ledger(APP) if row.openid == ANNA]
    return counts.counted, row.balance, counts.pushes.ok


NOTHING_COUNTED = (0, 2, 0)
ONE_COUNTED = (1, 1, 1)


def test_a_code_is_answered_and_nothing_counted(api: Api, control: SimulatorControl, fault: Any) -> None:
    fault("code", code=45011)

    assert said(api.send()) == (45011, "api minute-quota reach limit, must slower, retry next minute")
    assert outcome(control) == NOTHING_COUNTED
    assert control.counts(app_id=APP).refused_by_code == {45011: 1}
    assert control.counts(app_id=APP).faults == {"code": 1}


@pytest.mark.parametrize(("action", "expected"), [("reset_before", NOTHING_COUNTED), ("reset_after", ONE_COUNTED)])
def test_a_reset_kills_the_connection(
    api: Api, control: SimulatorControl, fault: Any, *, action: str, expected: tuple[int, int, int]
) -> None:
    fault(action)

    with pytest.raises(ConnectionResetError) as end:
        api.send()

    # Not RemoteDisconnected, its subclass: that is an orderly end without a reply.
    assert end.type is ConnectionResetError
    assert outcome(control) == expected


@pytest.mark.parametrize(("action", "expected"), [("status_before", NOTHING_COUNTED), ("status_after", ONE_COUNTED)])
@pytest.mark.parametrize("http_status", [429, 500, 503, 504])
def test_a_status_comes_without_json(
    api: Api, control: SimulatorControl, fault: Any, *, action: str, expected: tuple[int, int, int], http_status: int
) -> None:
    fault(action, http_status=http_status)
    body = f'{{"touser":"{ANNA}","template_id":"{PICKUP}","data":{{"character_string1":{{"value":"A"}},'
    body += '"thing2":{"value":"x"}}}'

    status, content_type, reply = api.raw("POST", SEND, {"access_token": api.token}, body.encode())

    assert (status, content_type) == (http_status, "text/html")
    assert reply == b"<html><body>gateway trouble</body></html>"
    assert outcome(control) == expected


def test_garbage_is_200_with_half_a_document_and_the_message_counted(
    api: Api, control: SimulatorControl, fault: Any
) -> None:
    fault("garbage")

    with pytest.raises(ValueError, match="Unterminated string"):
        api.send()

    assert outcome(control) == ONE_COUNTED


def test_a_hang_never_answers_and_counts_nothing(
    running: RunningSimulator, api: Api, control: SimulatorControl, fault: Any
) -> None:
    fault("hang")
    impatient = Api(running.url)
    impatient.token = api.token
    impatient.connection = http.client.HTTPConnection(api.connection.host, api.connection.port, timeout=0.3)

    with pytest.raises(TimeoutError):
        impatient.send()
    impatient.close()

    assert outcome(control) == NOTHING_COUNTED
    assert control.counts(app_id=APP).requests == 1


def test_a_delay_is_answered_and_counted_as_usual(api: Api, control: SimulatorControl, fault: Any) -> None:
    fault("delay", delay_ms=5)

    assert api.send()["errcode"] == 0
    assert outcome(control) == ONE_COUNTED
    assert control.counts(app_id=APP).faults == {"delay": 1}


def test_a_delayed_send_counts_although_its_client_has_left(
    running: RunningSimulator, api: Api, control: SimulatorControl, fault: Any
) -> None:
    fault("delay", delay_ms=400)
    impatient = Api(running.url)
    impatient.token = api.token
    impatient.connection = http.client.HTTPConnection(api.connection.host, api.connection.port, timeout=0.1)

    with pytest.raises(TimeoutError):
        impatient.send()
    impatient.close()
    while control.health()["in_flight"]:
        pass

    assert outcome(control)[:2] == ONE_COUNTED[:2]


def test_a_reset_of_a_refused_send_counts_nothing(api: Api, control: SimulatorControl, fault: Any) -> None:
    fault("reset_after")

    with pytest.raises(ConnectionResetError):
        api.send(touser=BEN)

    assert outcome(control) == NOTHING_COUNTED


def test_a_limit_ends_the_trouble(api: Api, fault: Any) -> None:
    fault("code", code=-1, limit=2)

    assert [api.send()["errcode"] for _ in range(3)] == [-1, -1, 0]


def test_only_the_users_named_are_hit(api: Api, fault: Any) -> None:
    fault("code", code=43107, openids=[BEN])

    assert [api.send(touser=openid)["errcode"] for openid in (ANNA, BEN)] == [0, 43107]


def test_other_endpoints_go_wrong_by_their_own_rules(api: Api, control: SimulatorControl) -> None:
    control.set_faults([{"endpoint": TOKEN_CALL, "action": "code", "code": 40164}])
    assert (api.stable_token()["errcode"], api.send()["errcode"]) == (40164, 0)

    control.set_faults([{"endpoint": "*", "action": "code", "code": -1}])
    assert (api.stable_token()["errcode"], api.send()["errcode"]) == (-1, -1)

    control.set_faults([])
    assert "access_token" in api.stable_token()


def test_delays_pass_on_to_the_next_rule(api: Api, control: SimulatorControl) -> None:
    control.set_faults(
        [
            {"endpoint": SEND, "action": "delay", "delay_ms": 1},
            {"endpoint": SEND, "action": "code", "code": 45009, "limit": 1},
            {"endpoint": SEND, "action": "code", "code": -1},
        ]
    )

    assert [api.send()["errcode"] for _ in range(2)] == [45009, -1]
    assert control.counts(app_id=APP).faults == {"code": 2, "delay": 2}


def codes_of(seed: int) -> list[int]:
    """The errcodes of forty sends to strangers at a rate of a half."""
    with start_simulator(seed=seed) as simulator:
        simulator.control.setup(apps=[app()])
        simulator.control.set_faults([{"endpoint": SEND, "action": "code", "code": -1, "rate": 0.5}])
        api = Api(simulator.url)
        api.log_in()
        codes = [api.send()["errcode"] for _ in range(40)]
        api.close()
    return codes


def test_the_same_seed_gives_the_same_faults() -> None:
    first, again, other = codes_of(7), codes_of(7), codes_of(8)

    assert first == again
    assert first != other
    assert set(first) == {-1, 40003}


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"endpoint": SEND}, "a fault rule needs an endpoint and an action"),
        ({"endpoint": SEND, "action": "explode"}, "'explode' is not a valid Action"),
        (
            {"endpoint": SEND, "action": "hang", "openid": "x"},
            "a fault rule has no openid; it has action, code, delay_ms, endpoint, http_status, limit, openids, rate",
        ),
    ],
)
def test_an_unknown_rule_is_refused_in_words(control: SimulatorControl, rule: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ControlError) as refusal:
        control.set_faults([rule])

    assert str(refusal.value) == sentence
