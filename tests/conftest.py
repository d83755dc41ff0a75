"""What many suites share."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from notify_platform.simulator.control import SimulatorControl
from notify_platform.simulator.server import start_simulator

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """A developer's proxy must not stand between a test and a server on this machine."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def wechat(settings) -> Iterator[SimulatorControl]:
    """A WeChat of our own, which the gateways of this process talk to."""
    with start_simulator() as simulator:
        settings.WECHAT_API_BASE_URL = simulator.url
        yield simulator.control


def database_url_of_the_test() -> str:
    """Return the address of the database the running test uses."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return re.sub(r"/[^/?]*(\?|$)", rf"/{name}\1", os.environ["DATABASE_URL"])


Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def spawn(transactional_db, settings) -> Iterator[Spawn]:
    """Start ``python …`` in a process of its own on the test's database; whoever is left at the end is stopped."""
    children: list[subprocess.Popen[str]] = []

    def start(*arguments: str, stdin: int | None = None, **env: str) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "notify_platform.settings",
            "DATABASE_URL": database_url_of_the_test(),
            "WECHAT_API_BASE_URL": settings.WECHAT_API_BASE_URL,
            **env,
        }
        child = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=environment, stdin=stdin, stdout=subprocess.PIPE, text=True
        )
        children.append(child)
        return child

    yield start
    for child in children:
        # Asked first: a worker that is killed leaves its cluster to the kernel, which takes a moment.
        child.terminate()
    for child in children:
        try:
            child.wait(timeout=20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout:
            child.stdout.close()
