"""The transport against servers that misbehave in every way a network knows."""

from __future__ import annotations

import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from notify_platform.wechat.transport import MAX_ANSWER_BYTES, Reply, TransportFailure

from .exchanges import BODY, FAILURES_AFTER, TOKEN, closed_port, failure_of, post, resets_after_body, says
from .raw_server import Connection, Serve, answer, answering

# --- what goes out, what comes back ----------------------------------------------------------------------------------


def test_a_post_carries_its_body_as_it_is_with_its_length(serving, transport_to) -> None:
    server = serving(answering(b'{"errcode":0}'))
    reply = post(transport_to(server.url), server.url)
    assert reply == Reply(status=200, body=b'{"errcode":0}')
    (request,) = server.requests
    assert request.line == f"POST /send?access_token={TOKEN} HTTP/1.1"
    assert request.body == BODY
    assert request.headers["content-length"] == str(len(BODY))
    assert request.headers["content-type"] == "application/json; charset=utf-8"
    assert "transfer-encoding" not in request.headers


def test_a_get_has_no_body_and_encodes_its_parameters(serving, transport_to) -> None:
    server = serving(answering(b"[]"))
    transport_to(server.url).exchange(method="GET", url=f"{server.url}/login", params={"code": "a&b=c d"}, body=None)
    (request,) = server.requests
    assert request.line == "GET /login?code=a%26b%3Dc+d HTTP/1.1"
    assert request.body == b""
    assert "content-type" not in request.headers


def test_a_body_of_many_pieces_arrives_whole(serving, transport_to) -> None:
    server = serving(answering(b"{}"))
    long = bytes(range(256)) * 1000
    transport_to(server.url).exchange(method="POST", url=server.url, params={}, body=long)
    assert server.requests[0].body == long


@pytest.mark.parametrize("status", ["302 Found\r\nLocation: /elsewhere", "429 Slow", "500 Oops", "502 Bad", "503 Busy"])
def test_every_status_is_an_answer_and_nothing_is_followed_or_sent_again(serving, transport_to, status: str) -> None:
    def serve(connection: Connection) -> None:
        while connection.read_request() is not None:
            connection.send(answer(b"page", status=status, headers="Retry-After: 0\r\n"))

    server = serving(serve)
    assert post(transport_to(server.url), server.url) == Reply(status=int(status[:3]), body=b"page")
    assert len(server.requests) == 1


def test_cookies_are_not_kept(serving, transport_to) -> None:
    def serve(connection: Connection) -> None:
        while connection.read_request() is not None:
            connection.send(answer(headers="Set-Cookie: a=b\r\n"))

    server = serving(serve)
    transport = transport_to(server.url)
    post(transport, server.url)
    post(transport, server.url)
    assert "cookie" not in server.requests[1].headers


# --- connections -----------------------------------------------------------------------------------------------------


def test_connections_are_kept(serving, transport_to) -> None:
    server = serving(answering(b"{}"))
    transport = transport_to(server.url)
    for _ in range(3):
        post(transport, server.url)
    assert (server.connections, len(server.requests)) == (1, 3)


def test_many_threads_share_no_more_connections_than_asked_for(serving, transport_to) -> None:
    server = serving(answering(b"{}"))
    transport = transport_to(server.url, concurrency=3)
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: post(transport, server.url), range(24)))
    assert replies == [Reply(status=200, body=b"{}")] * 24
    assert len(server.requests) == 24
    assert server.connections <= 3


def test_a_connection_the_server_closed_while_idle_is_replaced(serving, transport_to) -> None:
    closed = threading.Event()

    def serve(connection: Connection) -> None:
        connection.read_request()
        connection.send(answer())
        connection.close()
        closed.set()

    server = serving(serve)
    transport = transport_to(server.url)
    post(transport, server.url)
    assert closed.wait(5)
    assert post(transport, server.url).status == 200
    assert (server.connections, len(server.requests)) == (2, 2)


def test_a_connection_older_than_idle_seconds_is_not_used_again(serving, transport_to) -> None:
    server = serving(answering(b"{}"))
    transport = transport_to(server.url, idle_seconds=0.0)
    for _ in range(3):
        post(transport, server.url)
    assert (server.connections, len(server.requests)) == (3, 3)


def test_a_closed_transport_can_be_used_again(serving, transport_to) -> None:
    server = serving(answering(b"{}"))
    transport = transport_to(server.url)
    post(transport, server.url)
    transport.close()
    assert post(transport, server.url).status == 200
    assert server.connections == 2


# --- failures before the body: a retry is safe -----------------------------------------------------------------------


def test_a_refused_connection_sent_nothing(transport_to) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    failure = failure_of(transport_to(url), url)
    assert failure.body_began is False
    assert str(failure) == "ConnectionError: ConnectionRefusedError: Connection refused"


def test_an_unknown_host_sent_nothing(transport_to) -> None:
    url = "http://nowhere.invalid"
    assert failure_of(transport_to(url), url).body_began is False


def test_a_connection_that_is_never_accepted_sent_nothing(transport_to) -> None:
    with socket.socket() as listener, socket.socket() as first:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        first.connect(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        failure = failure_of(transport_to(url, connect_timeout=0.2), url)
    assert failure.body_began is False
    assert str(failure).startswith("ConnectTimeout")


@pytest.mark.parametrize(
    "url", ["http://", "nothing", "ftp://127.0.0.1", "http://[::1", "http://127.0.0.1:port", "http://a..b"]
)
def test_a_broken_address_sent_nothing(transport_to, url: str) -> None:
    assert failure_of(transport_to("http://127.0.0.1"), url).body_began is False


def test_a_server_that_resets_at_once_is_a_failure(serving, transport_to) -> None:
    # Whether the body began depends on who was faster; the transport knows, the test cannot.
    server = serving(Connection.reset)
    failure_of(transport_to(server.url), server.url)
    assert server.requests == []


# --- failures after the body began: the fate is unknown --------------------------------------------------------------


@pytest.mark.parametrize("name", FAILURES_AFTER)
def test_a_failure_after_the_body_began_says_so_and_sends_nothing_again(serving, transport_to, name: str) -> None:
    server = serving(FAILURES_AFTER[name])
    failure = failure_of(transport_to(server.url), server.url)
    assert failure.body_began is True
    assert server.connections == 1


def test_a_kept_connection_that_dies_after_the_body_is_not_tried_again(serving, transport_to) -> None:
    def serve(connection: Connection) -> None:
        connection.read_request()
        connection.send(answer())
        connection.read_request()
        connection.reset()

    server = serving(serve)
    transport = transport_to(server.url)
    post(transport, server.url)
    assert failure_of(transport, server.url).body_began is True
    assert (server.connections, len(server.requests)) == (1, 2)


def test_a_server_that_never_answers_runs_into_the_read_timeout(serving, transport_to) -> None:
    def serve(connection: Connection) -> None:
        connection.read_request()
        server.stopping.wait()

    server = serving(serve)
    failure = failure_of(transport_to(server.url, read_timeout=0.2), server.url)
    assert failure.body_began is True
    assert str(failure).startswith("ReadTimeout")


def test_an_answer_that_drips_is_given_up(serving, transport_to) -> None:
    def serve(connection: Connection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(200):
            connection.send(b" ")
            server.stopping.wait(0.02)

    server = serving(serve)
    failure = failure_of(transport_to(server.url, connect_timeout=0.1, read_timeout=0.2), server.url)
    assert failure.body_began is True
    assert str(failure) == "the answer takes too long"


def test_a_long_answer_is_given_up_in_words(serving, transport_to) -> None:
    server = serving(FAILURES_AFTER["a long answer"])
    assert str(failure_of(transport_to(server.url), server.url)) == "the answer is too long"


def test_the_longest_answer_allowed_is_read(serving, transport_to) -> None:
    server = serving(answering(b" " * MAX_ANSWER_BYTES))
    assert len(post(transport_to(server.url), server.url).body) == MAX_ANSWER_BYTES


def test_a_failed_get_never_sent_a_body_and_is_not_tried_again(serving, transport_to) -> None:
    server = serving(resets_after_body)
    with pytest.raises(TransportFailure) as caught:
        transport_to(server.url).exchange(method="GET", url=server.url, params={}, body=None)
    assert caught.value.body_began is False
    assert server.connections == 1


def test_the_transport_works_after_any_failure(serving, transport_to) -> None:
    fates = [resets_after_body, FAILURES_AFTER["a long answer"], FAILURES_AFTER["cut body"], answering(b"{}")]
    server = serving(lambda connection: fates.pop(0)(connection))
    transport = transport_to(server.url, concurrency=1)
    for _ in range(3):
        failure_of(transport, server.url)
    assert post(transport, server.url) == Reply(status=200, body=b"{}")


# --- secrets ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger="urllib3")
    return caplog


@pytest.mark.parametrize("serve", FAILURES_AFTER.values(), ids=FAILURES_AFTER)
def test_the_access_token_is_in_no_failure_and_no_log(serving, transport_to, logged, serve: Serve) -> None:
    server = serving(serve)
    failure = failure_of(transport_to(server.url), server.url)
    assert (failure.__cause__, failure.__context__) == (None, None)
    texts = [str(failure), *(logged.handler.format(record) for record in logged.records)]
    assert len(texts) > 1
    assert [text for text in texts if TOKEN in text] == []


def test_a_warning_about_damaged_headers_has_no_token(serving, transport_to, logged) -> None:
    server = serving(says(b"HTTP/1.1 200 OK\r\nbroken\r\nContent-Length: 2\r\n\r\n{}"))
    assert post(transport_to(server.url), server.url) == Reply(status=200, body=b"{}")
    (warning,) = (record.getMessage() for record in logged.records if record.levelno == logging.WARNING)
    assert warning.startswith(f"Failed to parse headers (url={server.url}/send?access_token=***): ")


def test_what_urllib3_logs_has_its_secrets_redacted(serving, transport_to, logged) -> None:
    server = serving(answering(b"{}"))
    transport_to(server.url).exchange(
        method="GET", url=server.url, params={"appid": "wx1", "secret": "hush", "js_code": "033"}, body=None
    )
    lines = [line for line in logged.messages if "GET" in line]
    assert lines[0] == f'{server.url} "GET /?appid=wx1&secret=***&js_code=*** HTTP/1.1" 200 2'


def test_an_answer_does_not_show_its_body() -> None:
    assert repr(Reply(status=200, body=b'{"access_token":"50_x"}')) == "Reply(status=200)"
