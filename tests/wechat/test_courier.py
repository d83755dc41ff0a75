"""The courier: what goes out, in what order and on which connections, and how it ends."""

from __future__ import annotations

import resource
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from notify_platform.wechat import courier as courier_module
from notify_platform.wechat.courier import Courier, Parcel
from notify_platform.wechat.transport import Reply

from .exchanges import BODY, LONG, OK, TOKEN, Gate, deliver, deliver_all, gather, lost, says
from .raw_server import Connection, RawServer, answer, answering

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


def test_connections_are_kept_through_quiet_times(serving, courier_to) -> None:
    gate = Gate()
    server = serving(gate)
    courier = courier_to(server.url, concurrency=6)
    for _ in range(2):
        courier.send([Parcel(number, server.url, BODY) for number in range(6)])
        gate.wait_for(6)
        gate.opened.set()
        gather(courier, 6)
        # What libcurl by itself takes for too much, once it has been idle for a second.
        server.stopping.wait(1.1)
        for _ in range(6):
            deliver(courier, server.url)
        gate.wait_for(6)
        gate.opened.clear()
    assert server.connections == 6


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


def test_nor_is_one_that_comes_later(serving, courier_to) -> None:
    landed, spoken = threading.Event(), threading.Event()

    def serve(connection: Connection) -> None:
        while connection.read_request() is not None:
            connection.send(answer(b"first"))
            landed.wait(10)
            connection.send(answer(b"stray"))
            spoken.set()

    server = serving(serve)
    courier = courier_to(server.url)
    first = deliver(courier, server.url)
    landed.set()
    assert spoken.wait(10)
    assert [first, deliver(courier, server.url)] == [Reply(status=200, body=b"first")] * 2
    assert server.connections == 2


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


def test_what_is_recalled_never_leaves_and_does_not_land(serving, courier_to) -> None:
    gate, server, courier = start_many(serving, courier_to)
    recalled = courier.recall()
    gate.opened.set()
    answered = gather(courier, 20)
    assert [parcel.key for parcel in recalled] == list(range(20, 1000))
    assert sorted(answered) == list(range(20))
    assert courier.recall() == []
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
