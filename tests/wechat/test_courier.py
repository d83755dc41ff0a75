"""The courier against servers that misbehave: every parcel lands once, and none is sent twice."""

from __future__ import annotations

import logging
import resource
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from notify_platform.wechat import courier as courier_module
from notify_platform.wechat.courier import Courier, Parcel
from notify_platform.wechat.transport import MAX_ANSWER_BYTES, Reply, TransportFailure

from .exchanges import (
    BODY,
    FAILURES_AFTER,
    TOKEN,
    closed_port,
    deliver,
    deliver_all,
    gather,
    lost,
    resets_after_body,
    resets_after_head,
    says,
)
from .raw_server import Connection, RawServer, Serve, answer, answering

OK = Reply(status=200, body=b"{}")
# Longer than the buffers of both sockets, so that it cannot have left as a whole.
LONG = b"x" * 16 * 1024 * 1024


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


# --- what goes out, what comes back ----------------------------------------------------------------------------------


def test_a_parcel_goes_out_as_it_is_and_nothing_is_added(serving, courier_to) -> None:
    server = serving(answering(b'{"errcode":0}'))
    assert deliver(courier_to(server.url), server.url) == Reply(status=200, body=b'{"errcode":0}')
    (request,) = server.requests
    assert request.line == f"POST /send?access_token={TOKEN} HTTP/1.1"
    assert request.body == BODY
    assert request.headers == {
        "host": server.url.removeprefix("http://"),
        "content-type": "application/json; charset=utf-8",
        "content-length": str(len(BODY)),
    }


def test_parcels_of_all_lengths_share_a_connection(serving, courier_to) -> None:
    server = serving(answering(b"{}"))
    courier = courier_to(server.url, concurrency=1)
    bodies = [BODY, b"", bytes(range(256)) * 8192, b"{}", BODY]
    courier.send([Parcel(number, server.url, body) for number, body in enumerate(bodies)])
    assert gather(courier, 5) == dict.fromkeys(range(5), OK)
    assert [request.body for request in server.requests] == bodies
    assert ["expect" in request.headers for request in server.requests] == [False] * 5
    assert server.connections == 1


def test_the_next_parcel_takes_the_next_token(serving, courier_to) -> None:
    server = serving(answering(b"{}"))
    courier = courier_to(server.url, concurrency=1)
    courier.send([Parcel(token, f"{server.url}/send?access_token={token}", BODY) for token in ("a", "b", "b")])
    gather_order = [courier.landed.get(timeout=10)[0] for _ in range(3)]
    assert gather_order == ["a", "b", "b"]
    assert [request.line.split("=")[1] for request in server.requests] == ["a HTTP/1.1", "b HTTP/1.1", "b HTTP/1.1"]


def test_a_parcel_leaves_no_sooner_than_it_may(serving, courier_to) -> None:
    arrived: list[float] = []

    def serve(connection: Connection) -> None:
        while connection.read_request() is not None:
            arrived.append(time.monotonic())
            connection.send(answer())

    server = serving(serve)
    courier = courier_to(server.url)
    leaves_at = time.monotonic() + 0.2
    courier.send([Parcel(number, server.url, BODY, leaves_at=leaves_at + number / 10) for number in range(2)])
    gather(courier, 2)
    assert [late >= leaves_at + number / 10 for number, late in enumerate(arrived)] == [True, True]


def test_a_parcel_that_is_too_late_does_not_leave(serving, courier_to) -> None:
    server = serving(answering(b"{}"))
    courier = courier_to(server.url)
    passed = time.monotonic() - 1
    courier.send([Parcel("late", server.url, BODY, late_at=passed), Parcel("in time", server.url, BODY)])
    landed = gather(courier, 2)
    assert (str(landed["late"]), landed["late"].body_began) == ("it could not leave in time", False)
    assert landed["in time"] == Reply(status=200, body=b"{}")
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", ["302 Found\r\nLocation: /elsewhere", "401 Who", "429 Slow", "500 Oops", "503 Busy"])
def test_every_status_is_an_answer_and_nothing_is_followed_or_sent_again(serving, courier_to, status: str) -> None:
    def serve(connection: Connection) -> None:
        while connection.read_request() is not None:
            headers = 'Retry-After: 0\r\nWWW-Authenticate: Basic realm="a"\r\n'
            connection.send(answer(b'{"errcode":-1}', status=status, headers=headers))

    server = serving(serve)
    assert deliver(courier_to(server.url), server.url) == Reply(status=int(status[:3]), body=b'{"errcode":-1}')
    assert len(server.requests) == 1


def test_cookies_are_not_kept(serving, courier_to) -> None:
    def serve(connection: Connection) -> None:
        while connection.read_request() is not None:
            connection.send(answer(headers="Set-Cookie: a=b\r\n"))

    server = serving(serve)
    deliver_all(courier_to(server.url, concurrency=1), server.url, keys=range(2))
    assert ["cookie" in request.headers for request in server.requests] == [False, False]


def test_an_answer_that_comes_before_the_body_is_out_is_taken(serving, courier_to) -> None:
    def serve(connection: Connection) -> None:
        connection.read_head()
        connection.send(answer(b"no", status="413 Too Long"))
        server.stopping.wait()

    server = serving(serve)
    assert deliver(courier_to(server.url), server.url, body=LONG) == Reply(status=413, body=b"no")


# --- connections, and waiting one's turn -----------------------------------------------------------------------------


def test_parcels_leave_in_their_order(serving, courier_to) -> None:
    server = serving(answering(b"{}"))
    courier = courier_to(server.url, concurrency=1)
    courier.send([Parcel(number, server.url, str(number).encode()) for number in range(50)])
    assert gather(courier, 50) == dict.fromkeys(range(50), OK)
    assert [request.body for request in server.requests] == [str(number).encode() for number in range(50)]
    assert server.connections == 1


def test_there_are_never_more_connections_than_asked_for(serving, courier_to) -> None:
    gate = Gate()
    server = serving(gate)
    courier = courier_to(server.url, concurrency=3)
    courier.send([Parcel(number, server.url, BODY) for number in range(30)])
    gate.wait_for(3)
    assert len(server.requests) == 3
    gate.opened.set()
    assert gather(courier, 30) == dict.fromkeys(range(30), OK)
    assert (server.connections, len(server.requests)) == (3, 30)


def test_waiting_ones_turn_does_not_count_as_time_on_the_way(serving, courier_to) -> None:
    def serve(connection: Connection) -> None:
        while connection.read_request() is not None:
            server.stopping.wait(0.1)
            connection.send(answer())

    server = serving(serve)
    courier = courier_to(server.url, concurrency=1, connect_timeout=0.3, read_timeout=0.3)
    assert deliver_all(courier, server.url, keys=range(9)) == dict.fromkeys(range(9), OK)


def test_many_threads_may_send(serving, courier_to) -> None:
    server = serving(answering(b"{}"))
    courier = courier_to(server.url, concurrency=4)
    with ThreadPoolExecutor(8) as pool:
        for number in range(200):
            pool.submit(courier.send, [Parcel(number, server.url, BODY)])
    assert gather(courier, 200) == dict.fromkeys(range(200), OK)


def test_a_courier_at_rest_wakes_up(serving, courier_to) -> None:
    server = serving(answering(b"{}"))
    courier = courier_to(server.url)
    assert [deliver(courier, server.url) for _ in range(3)] == [OK] * 3
    assert server.connections == 1


def test_a_connection_the_server_closed_while_idle_is_replaced(serving, courier_to) -> None:
    closed = threading.Event()

    def serve(connection: Connection) -> None:
        connection.read_request()
        connection.send(answer())
        connection.close()
        closed.set()

    server = serving(serve)
    courier = courier_to(server.url)
    deliver(courier, server.url)
    assert closed.wait(5)
    assert deliver(courier, server.url) == OK
    assert (server.connections, len(server.requests)) == (2, 2)


def test_a_connection_that_was_idle_for_too_long_is_not_used_again(serving, courier_to) -> None:
    server = serving(answering(b"{}"))
    courier = courier_to(server.url, idle_seconds=1)
    deliver(courier, server.url)
    server.stopping.wait(1.2)
    assert deliver(courier, server.url) == OK
    assert server.connections == 2


def test_an_answer_nobody_asked_for_is_not_taken_for_the_next_parcels(serving, courier_to) -> None:
    server = serving(says(answer(b"first") + answer(b"stray")))
    courier = courier_to(server.url, concurrency=1)
    answers = deliver_all(courier, server.url, keys=range(3))
    assert answers == dict.fromkeys(range(3), Reply(status=200, body=b"first"))
    assert server.connections == 3


def test_beyond_the_sockets_that_select_can_watch_parcels_still_land(serving, courier_to) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip("this machine allows too few open files")
    server = serving(answering(b"{}"))
    courier = courier_to(server.url, concurrency=2)
    with ExitStack() as stack:
        resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(1100):
            stack.enter_context(socket.socket())
        assert deliver_all(courier, server.url, keys=range(4)) == dict.fromkeys(range(4), OK)


# --- failures before the body: a retry is safe -----------------------------------------------------------------------


def test_a_refused_connection_sent_nothing(courier_to) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    failure = lost(courier_to(url), url)
    assert failure.body_began is False
    assert str(failure) == "libcurl: couldnt connect: Connection refused"


def test_an_unknown_host_sent_nothing(courier_to) -> None:
    url = "http://nowhere.invalid"
    failure = lost(courier_to(url), url)
    assert (failure.body_began, str(failure)) == (False, "libcurl: couldnt resolve host")


def test_a_connection_that_is_never_accepted_sent_nothing(courier_to) -> None:
    with socket.socket() as listener, socket.socket() as first:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        first.connect(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        failure = lost(courier_to(url, connect_timeout=0.2), url)
    assert (failure.body_began, str(failure)) == (False, "libcurl: operation timedout")


@pytest.mark.parametrize(
    "url", ["http://", "ftp://127.0.0.1", "file:///etc/hosts?", "http://[::1", "http://127.0.0.1:port", "http://a b"]
)
def test_a_broken_address_sent_nothing(courier_to, url: str) -> None:
    assert lost(courier_to("http://127.0.0.1"), url).body_began is False


def test_a_server_that_resets_at_once_is_a_failure(serving, courier_to) -> None:
    # Whether the body began depends on who was faster; the courier knows, the test cannot.
    server = serving(Connection.reset)
    lost(courier_to(server.url), server.url)
    assert server.requests == []


# --- failures after the body began: the fate is unknown --------------------------------------------------------------

# libcurl forgives these; what they say is none of WeChat's words, and so unknown all the same.
FORGIVEN = {"a hundred and one headers", "endless header", "gzip that is none", "a small bomb"}


@pytest.mark.parametrize("name", sorted(FAILURES_AFTER.keys() - FORGIVEN))
def test_a_failure_after_the_body_began_says_so_and_sends_nothing_again(serving, courier_to, name: str) -> None:
    server = serving(FAILURES_AFTER[name])
    failure = lost(courier_to(server.url), server.url)
    assert failure.body_began is True
    assert server.connections == 1


@pytest.mark.parametrize("serve", [resets_after_body, Connection.read_request, resets_after_head])
def test_a_kept_connection_that_dies_after_the_body_is_not_tried_again(serving, courier_to, serve: Serve) -> None:
    bodies: list[bytes] = []

    def once_then(connection: Connection) -> None:
        connection.read_request()
        connection.send(answer())
        serve(connection)

    server = serving(once_then)
    courier = courier_to(server.url)
    deliver(courier, server.url, body=b"first")
    failure = lost(courier, server.url, body=b"second")
    assert failure.body_began is True
    assert deliver(courier, server.url, body=b"third") == OK
    bodies = [request.body for request in server.requests]
    assert bodies == [body for body in (b"first", b"second", b"third") if body in bodies]


@pytest.mark.parametrize("is_kept", [False, True])
def test_a_body_of_which_only_a_part_got_out_is_not_tried_again(serving, courier_to, is_kept: bool) -> None:
    begun = 0

    def serve(connection: Connection) -> None:
        nonlocal begun
        if is_kept:
            connection.read_request()
            connection.send(answer())
        connection.read_head()
        begun += 1
        connection.reset()

    server = serving(serve)
    courier = courier_to(server.url)
    if is_kept:
        deliver(courier, server.url)
    assert lost(courier, server.url, body=LONG).body_began is True
    courier.close()
    assert begun == 1


def test_a_server_that_never_answers_runs_into_the_timeout(serving, courier_to) -> None:
    gate = Gate()
    server = serving(gate)
    failure = lost(courier_to(server.url, connect_timeout=0.1, read_timeout=0.1), server.url)
    assert (failure.body_began, str(failure)) == (True, "libcurl: operation timedout")
    gate.opened.set()


def test_an_answer_that_drips_is_given_up(serving, courier_to) -> None:
    def serve(connection: Connection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(200):
            connection.send(b" ")
            server.stopping.wait(0.02)

    server = serving(serve)
    failure = lost(courier_to(server.url, connect_timeout=0.1, read_timeout=0.2), server.url)
    assert (failure.body_began, str(failure)) == (True, "libcurl: operation timedout")


def test_a_long_answer_is_given_up_in_words(serving, courier_to) -> None:
    server = serving(FAILURES_AFTER["a long answer"])
    assert str(lost(courier_to(server.url), server.url)) == "the answer is too long"


def test_the_longest_answer_allowed_is_read(serving, courier_to) -> None:
    server = serving(answering(b" " * MAX_ANSWER_BYTES))
    assert deliver(courier_to(server.url), server.url) == Reply(status=200, body=b" " * MAX_ANSWER_BYTES)


def test_one_failure_leaves_the_others_alone(serving, courier_to) -> None:
    fates = [resets_after_body, FAILURES_AFTER["a long answer"], FAILURES_AFTER["cut body"], answering(b"{}")]
    server = serving(lambda connection: fates.pop(0)(connection))
    landed = deliver_all(courier_to(server.url, concurrency=1), server.url, keys=range(4))
    assert [isinstance(landed[key], TransportFailure) for key in range(4)] == [True, True, True, False]


@pytest.mark.parametrize("serve", FAILURES_AFTER.values(), ids=FAILURES_AFTER)
def test_neither_address_nor_token_is_in_any_reason_or_log(serving, courier_to, caplog, capfd, serve: Serve) -> None:
    caplog.set_level(logging.DEBUG)
    server = serving(serve)
    landed = deliver(courier_to(server.url), server.url)
    texts = [str(landed), repr(landed), *caplog.messages, *capfd.readouterr()]
    assert [text for text in texts if TOKEN in text or "127.0.0.1" in text or str(server.port) in text] == []
    assert TOKEN not in repr(Parcel(1, f"{server.url}?access_token={TOKEN}", BODY))


# --- the end ---------------------------------------------------------------------------------------------------------


def start_many(serving, courier_to) -> tuple[Gate, RawServer, Courier]:
    """A thousand parcels on the way, of which twenty are at the server."""
    gate = Gate()
    server = serving(gate)
    courier = courier_to(server.url, concurrency=20)
    courier.send([Parcel(number, server.url, BODY) for number in range(1000)])
    gate.wait_for(20)
    return gate, server, courier


def test_closing_hands_back_what_waits_and_waits_for_what_flies(serving, courier_to) -> None:
    gate, server, courier = start_many(serving, courier_to)
    closing = threading.Thread(target=courier.close)
    closing.start()
    handed_back = [courier.landed.get(timeout=10) for _ in range(980)]
    gate.opened.set()
    closing.join(10)
    assert not closing.is_alive()
    answered = gather(courier, 20)
    assert sorted({key for key, _failure in handed_back} | set(answered)) == list(range(1000))
    assert {(str(failure), failure.body_began) for _key, failure in handed_back} == {("the courier is closed", False)}
    assert set(answered.values()) == {OK}
    assert len(server.requests) == 20


def test_what_is_sent_to_a_closed_courier_lands_at_once(serving, courier_to) -> None:
    server = serving(answering(b"{}"))
    courier = courier_to(server.url)
    courier.close()
    courier.close()
    assert lost(courier, server.url).body_began is False
    assert server.requests == []


def test_an_accident_inside_strands_nothing_and_is_got_over(serving, courier_to, monkeypatch, caplog) -> None:
    gate, server, courier = start_many(serving, courier_to)
    with monkeypatch.context() as patched:
        patched.setattr(courier_module._Road, "wait", lambda _road, **_patience: 1 / 0)
        courier.send([Parcel(1000, server.url, BODY)])
        landed = gather(courier, 1001)
    assert {str(failure) for failure in landed.values()} == {"the courier broke down: ZeroDivisionError"}
    assert sum(failure.body_began for failure in landed.values()) == len(server.requests) == 20
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    gate.opened.set()
    assert deliver(courier, server.url) == OK


def test_without_a_thread_nothing_is_sent(serving, courier_to, monkeypatch) -> None:
    server = serving(answering(b"{}"))
    courier = courier_to(server.url)
    with monkeypatch.context() as patched:
        patched.setattr(courier_module.threading.Thread, "start", no_thread)
        assert lost(courier, server.url).body_began is False
    assert deliver(courier, server.url) == OK


def no_thread(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")
