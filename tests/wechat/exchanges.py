"""What the tests of the transport share: one request, and the ways to lose its answer."""

from __future__ import annotations

import socket
import ssl
import threading
import zlib
from collections.abc import Hashable, Iterable
from pathlib import Path

import pytest

from notify_platform.wechat.courier import Courier, Landed, Parcel
from notify_platform.wechat.transport import MAX_ANSWER_BYTES, Reply, RequestsTransport, TransportFailure

from .raw_server import Connection, Serve, answer, answering

BODY = '{"touser":"o9AgO5Kd5ggOC-bXrbNODIiE3bGY","data":"你好"}'.encode()
# Longer than the buffers of both sockets, so that it cannot have left as a whole.
LONG = b"x" * 16 * 1024 * 1024
TOKEN = "50_Im7secret-token"
OK = Reply(status=200, body=b"{}")


def post(transport: RequestsTransport, url: str) -> Reply:
    return transport.exchange(method="POST", url=f"{url}/send", params={"access_token": TOKEN}, body=BODY)


def failure_of(transport: RequestsTransport, url: str) -> TransportFailure:
    with pytest.raises(TransportFailure) as caught:
        post(transport, url)
    return caught.value


def deliver(courier: Courier, url: str, *, body: bytes = BODY) -> Landed:
    """What becomes of one parcel."""
    (landed,) = deliver_all(courier, url, keys=["one"], body=body).values()
    return landed


def deliver_all(courier: Courier, url: str, *, keys: Iterable[Hashable], body: bytes = BODY) -> dict[Hashable, Landed]:
    parcels = [Parcel(key, f"{url}/send?access_token={TOKEN}", body) for key in keys]
    courier.send(parcels)
    return gather(courier, len(parcels))


def gather(courier: Courier, count: int) -> dict[Hashable, Landed]:
    """What has landed, once it is ``count`` parcels; it must be neither fewer nor more, and none twice."""
    landed = [courier.landed.get(timeout=10) for _ in range(count)]
    assert courier.landed.empty()
    assert len(dict(landed)) == count
    return dict(landed)


def lost(courier: Courier, url: str, *, body: bytes = BODY) -> TransportFailure:
    landed = deliver(courier, url, body=body)
    assert isinstance(landed, TransportFailure), landed
    return landed


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def resets_after_head(connection: Connection) -> None:
    connection.read_head()
    connection.reset()


class Gate:
    """Holds every answer back until it is opened; ``arrived`` counts the requests that are there."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)
        self.opened = threading.Event()

    def __call__(self, connection: Connection) -> None:
        while connection.read_request() is not None:
            self.arrived.release()
            self.opened.wait(10)
            connection.send(answer())

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self.arrived.acquire(timeout=10)


def says(text: bytes) -> Serve:
    def serve(connection: Connection) -> None:
        connection.read_request()
        connection.send(text)

    return serve


def resets_after_body(connection: Connection) -> None:
    connection.read_request()
    connection.reset()


def hangs_up_after_body(connection: Connection) -> None:
    connection.read_request()


FAILURES_AFTER: dict[str, Serve] = {
    "reset after the head": resets_after_head,
    "reset after the body": resets_after_body,
    "hang-up after the body": hangs_up_after_body,
    "no HTTP": says(b"220 mail.example.com ESMTP\r\n"),
    "binary noise": says(bytes(range(256))),
    "endless header": says(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000),
    "a hundred and one headers": says(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n"),
    "cut body": says(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"errcode":0'),
    "two lengths": says(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}"),
    "chunks that are none": says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnope\r\n{}"),
    "chunks that are cut": says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{}"),
    "gzip that is none": says(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"),
    "a long answer": says(answer(b" " * (MAX_ANSWER_BYTES + 1))),
    "a small bomb": says(answer(zlib.compress(b" " * (MAX_ANSWER_BYTES + 1)), headers="Content-Encoding: deflate\r\n")),
}


def over_tls(certificate: Path) -> Serve:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def serve(connection: Connection) -> None:
        connection.start_tls(context)
        answering(b"{}")(connection)

    return serve
