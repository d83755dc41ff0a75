"""Servers and transports that end with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from notify_platform.wechat.transport import RequestsTransport

from .raw_server import RawServer, Serve


@pytest.fixture(autouse=True)
def no_proxy_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own proxy settings out."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def serving() -> Iterator[Callable[[Serve], RawServer]]:
    """Start servers that stop when the test ends."""
    started: list[RawServer] = []

    def start(serve: Serve) -> RawServer:
        server = RawServer(serve).__enter__()
        started.append(server)
        return server

    yield start
    for server in started:
        server.__exit__(None, None, None)


@pytest.fixture
def transport_to() -> Iterator[Callable[..., RequestsTransport]]:
    """Make transports with short timeouts that are closed when the test ends."""
    made: list[RequestsTransport] = []

    def make(url: str, **options: object) -> RequestsTransport:
        times = {"connect_timeout": 2.0, "read_timeout": 2.0}
        transport = RequestsTransport(base_url=url, **{**times, **options})  # type: ignore[arg-type]
        made.append(transport)
        return transport

    yield make
    for transport in made:
        transport.close()
