"""What the journeys share: waiting for other processes, and a web server of their own."""

from __future__ import annotations

import socket

import pytest

from tests.journeys.waiting import until


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def web(spawn) -> str:
    """The address of a web server on the test's database."""
    port = a_free_port()
    address = f"127.0.0.1:{port}"
    spawn("-m", "gunicorn", "notify_platform.wsgi", "--bind", address, "--threads", "4", "--log-level", "warning")
    until(lambda: listens(port))
    return f"http://{address}"
