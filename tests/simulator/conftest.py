from __future__ import annotations

from collections.abc import Iterator

import pytest

from notify_platform.simulator.control import SimulatorControl
from notify_platform.simulator.server import RunningSimulator, start_simulator
from tests.simulator.stage import ANNA, APP, BEN, PICKUP, Api, Receiver, app, receiving


@pytest.fixture(scope="session")
def running() -> Iterator[RunningSimulator]:
    with start_simulator() as simulator:
        yield simulator


@pytest.fixture
def control(running: RunningSimulator) -> SimulatorControl:
    """A fresh world: the app, Anna with two units of PICKUP, Ben with none."""
    running.control.reset()
    running.control.setup(apps=[app()])
    running.control.add_users(APP, [{"openid": ANNA, "balances": {PICKUP: 2}}, {"openid": BEN}])
    return running.control


@pytest.fixture
def api(running: RunningSimulator, control: SimulatorControl) -> Iterator[Api]:
    """A client with a token."""
    client = Api(running.url)
    client.log_in()
    yield client
    client.close()


@pytest.fixture(scope="session")
def callback_url() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def receiver(callback_url: Receiver) -> Receiver:
    callback_url.clear()
    return callback_url
