"""What the tests of the transport share: one request, and the ways to lose its answer."""

from __future__ import annotations

import socket

import pytest

from notify_platform.wechat.transport import Reply, RequestsTransport, TransportFailure

from .raw_server import Connection, Serve

BODY = '{"touser":"o9AgO5Kd5ggOC-bXrbNODIiE3bGY","data":"你好"}'.encode()
TOKEN = "50_Im7secret-token"


def post(transport: RequestsTransport, url: str) -> Reply:
    return transport.exchange(method="POST", url=f"{url}/send", params={"access_token": TOKEN}, body=BODY)


def failure_of(transport: RequestsTransport, url: str) -> TransportFailure:
    with pytest.raises(TransportFailure) as caught:
        post(transport, url)
    return caught.value


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def resets_after_head(connection: Connection) -> None:
    connection.read_head()
    connection.reset()


def says(text: bytes) -> Serve:
    def serve(connection: Connection) -> None:
        connection.read_request()
        connection.send(text)

    return serve
