"""``manage.py simulator`` in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from notify_platform.simulator.control import SimulatorControl
from tests.simulator.stage import ANNA, APP, PICKUP, Api, app

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {
    "SECRET_KEY": "test-only",
    "DEBUG": "True",
    "WECHAT_API_BASE_URL": "http://127.0.0.1:9",
    "DJANGO_SETTINGS_MODULE": "notify_platform.settings",
    "LANGUAGE_CODE": "en",
}


@pytest.fixture(autouse=True)
def _no_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_PLATFORM_DEMO", raising=False)


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port nobody can listen on: a command that does not refuse ends all the same."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_tells_its_address_serves_and_stops_with_exit_0(number: signal.Signals) -> None:
    command = [sys.executable, "manage.py", "simulator", "--port", "0", "--latency-ms", "1", "--seed", "4"]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **ENVIRONMENT}, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert found is not None
        assert process.stdout.readline() == f"The phone page: {found[0]}/phone\n"
        with SimulatorControl(found[0]) as control:
            control.setup(apps=[app()])
            control.add_users(APP, [{"openid": ANNA, "balances": {PICKUP: 1}}])
            api = Api(found[0])
            api.log_in()
            assert api.send()["errcode"] == 0
            assert control.counts(app_id=APP).counted == 1
            assert control.change_settings()["latency_ms"] == 1.0
            process.send_signal(number)
            assert process.wait(timeout=20) == 0
        api.close()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "url", ["https://api.weixin.qq.com", "https://sh.api.weixin.qq.com:443/", "HTTP://WEIXIN.QQ.COM"]
)
def test_it_refuses_beside_the_real_wechat(settings: Any, taken_port: int, url: str) -> None:
    settings.DEBUG = True
    settings.WECHAT_API_BASE_URL = url

    with pytest.raises(CommandError) as refusal:
        call_command("simulator", port=taken_port)

    assert str(refusal.value) == (
        "WECHAT_API_BASE_URL is WeChat's own address, so nothing would talk to a simulator. "
        "Set it to http://127.0.0.1:8090, or run `make demo`."
    )


def test_it_refuses_when_debug_is_off(settings: Any, taken_port: int) -> None:
    settings.DEBUG = False

    with pytest.raises(CommandError) as refusal:
        call_command("simulator", port=taken_port)

    assert str(refusal.value) == (
        "DEBUG is off: the simulator is for development only. Set DEBUG=True in .env, or run `make demo`."
    )


def test_the_demo_may_run_it_anywhere_and_a_taken_port_is_told(
    settings: Any, monkeypatch: pytest.MonkeyPatch, taken_port: int
) -> None:
    monkeypatch.setenv("NOTIFY_PLATFORM_DEMO", "1")
    settings.DEBUG = False
    settings.WECHAT_API_BASE_URL = "https://api.weixin.qq.com"
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    with pytest.raises(CommandError) as refusal:
        call_command("simulator", port=taken_port)

    assert str(refusal.value) == (
        f"Cannot listen on 127.0.0.1:{taken_port} (Address already in use). "
        "Choose another address with --host and --port."
    )
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
