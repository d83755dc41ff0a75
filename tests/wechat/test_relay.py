"""Passing a push on: the same bytes there, the same answer back, and no patience."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from notify_platform.wechat import relay
from notify_platform.wechat.relay import NotPassedOn
from notify_platform.wechat.transport import Reply
from tests.wechat.exchanges import closed_port, resets_after_head
from tests.wechat.raw_server import Connection, RawServer, Serve, answer, answering

Serving = Callable[[Serve], RawServer]
BODY = "<xml><Content>你好</Content></xml>".encode()


@pytest.fixture(autouse=True)
def no_connection_outlives_the_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(relay, "READ_SECONDS", 0.3)
    relay._transport.cache_clear()
    made: list[relay.RequestsTransport] = []
    build = relay._transport.__wrapped__

    def noted(origin: str) -> relay.RequestsTransport:
        made.append(build(origin))
        return made[-1]

    monkeypatch.setattr(relay, "_transport", noted)
    yield
    for transport in made:
        transport.close()


def pass_on(url: str, *, query: str = "signature=a%2Bb&nonce=1", content_type: str = "text/xml") -> Reply:
    return relay.pass_on(url, query=query, body=BODY, content_type=content_type)


def test_body_query_and_content_type_arrive_as_they_came(serving: Serving) -> None:
    server = serving(answering(b"success"))

    pass_on(f"{server.url}/wechat", query="signature=a%2Bb&nonce=1&openid=o1", content_type="text/xml; charset=x")

    (request,) = server.requests
    assert request.line == "POST /wechat?signature=a%2Bb&nonce=1&openid=o1 HTTP/1.1"
    assert request.headers["content-type"] == "text/xml; charset=x"
    assert request.headers["content-length"] == str(len(BODY))
    assert request.headers["x-passed-on-by"] == "notify_platform"
    assert request.body == BODY


@pytest.mark.parametrize(
    ("path", "query", "target"),
    [
        ("/in?key=1", "nonce=2", "/in?key=1&nonce=2"),
        ("/in?key=1", "", "/in?key=1"),
        ("/in#part", "nonce=2", "/in?nonce=2"),
        ("", "nonce=2", "/?nonce=2"),
    ],
)
def test_a_query_of_the_address_itself_is_kept(serving: Serving, path: str, query: str, target: str) -> None:
    server = serving(answering(b"success"))

    pass_on(server.url + path, query=query)

    assert server.requests[0].line == f"POST {target} HTTP/1.1"


@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "302 Found", "404 Not Found", "500 Oh"])
def test_the_answer_comes_back_whatever_its_status(serving: Serving, status: str) -> None:
    body = b"" if status.startswith("204") else "回复".encode()
    head = "Content-Type: text/xml\r\nLocation: http://127.0.0.1:9/elsewhere\r\n"
    server = serving(lambda connection: _answer(connection, answer(body, status=status, headers=head)))

    reply = pass_on(server.url)

    assert (reply.status, reply.body, reply.content_type) == (int(status[:3]), body, "text/xml")
    assert len(server.requests) == 1


def _answer(connection: Connection, whole: bytes) -> None:
    connection.read_request()
    connection.send(whole)


def _keeps_silent(connection: Connection) -> None:
    connection.read_request()
    connection.read_request()


FAILING: dict[str, Serve] = {
    "silence": _keeps_silent,
    "reset": resets_after_head,
    "hangs up": lambda connection: None,
    "no HTTP": lambda connection: _answer(connection, b"hello\r\n\r\n"),
    "a strange status": lambda connection: _answer(connection, answer(status="999 Oh")),
    "too long": lambda connection: _answer(connection, answer(b"x" * (relay.MAX_ANSWER_BYTES + 1))),
}


@pytest.mark.parametrize("serve", FAILING.values(), ids=FAILING.keys())
def test_a_receiver_that_gives_no_answer_is_asked_once_and_not_named(serving: Serving, serve: Serve) -> None:
    server = serving(serve)

    with pytest.raises(NotPassedOn) as caught:
        pass_on(f"{server.url}/secret-path")

    assert server.connections == 1
    assert "secret-path" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/x", "file:///etc/hostname", "gopher://127.0.0.1:9/x", "//x", "", "http://[x"]
)
def test_only_http_is_spoken(url: str) -> None:
    with pytest.raises(NotPassedOn):
        pass_on(url)


def test_nobody_at_home_is_no_answer() -> None:
    with pytest.raises(NotPassedOn):
        pass_on(f"http://127.0.0.1:{closed_port()}/x")


def test_all_the_waiting_ends_before_wechat_gives_up() -> None:
    wechat_waits = 5.0
    assert wechat_waits > relay.CONNECT_SECONDS + 3.0
