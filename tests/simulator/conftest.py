from __future__ import annotations

from collections.abc import Iterator

import pytest

from notify_platform.simulator.control import SimulatorControl
from notify_platform.simulator.server import RunningSimulator, start_simulator
from tests.simulator.browsing import SCENES, Browser
from tests.simulator.platform_api import FakePlatform, platform
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


@pytest.fixture(scope="session")
def running_platform() -> Iterator[FakePlatform]:
    with platform() as fake:
        yield fake


@pytest.fixture
def fake(running: RunningSimulator, running_platform: FakePlatform) -> FakePlatform:
    running_platform.begin(running.url)
    return running_platform


@pytest.fixture
def browser(running: RunningSimulator, control: SimulatorControl, fake: FakePlatform) -> Iterator[Browser]:
    """A browser; the app names the platform and two scenes."""
    control.setup(apps=[app(name="鲜果到家", api_url=fake.url, scenes=SCENES)])
    client = Browser(running.url)
    yield client
    client.connection.close()
