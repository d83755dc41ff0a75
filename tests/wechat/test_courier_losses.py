"""The courier against servers that misbehave: no parcel is lost or sent twice, and no failure tells secrets."""

from __future__ import annotations

import logging
import random
import socket
from collections import Counter

import pytest

from notify_platform.wechat.courier import Parcel
from notify_platform.wechat.transport import MAX_ANSWER_BYTES, Reply, TransportFailure

from .exchanges import (
    BODY,
    FAILURES_AFTER,
    LONG,
    OK,
    TOKEN,
    Gate,
    closed_port,
    deliver,
    deliver_all,
    gather,
    lost,
    resets_after_body,
    resets_after_head,
)
from .raw_server import Connection, Serve, answer, answering

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


@pytest.mark.parametrize("concurrency", [1, 5])
def test_in_a_storm_nothing_is_sent_twice_and_not_sent_is_a_promise(serving, courier_to, concurrency: int) -> None:
    dice = random.Random(7)

    def serve(connection: Connection) -> None:
        while True:
            fate = dice.randrange(12)
            if fate == 0 or (fate == 1 and connection.read_head()):
                return connection.reset()
            if fate == 2 or connection.read_request() is None:
                return connection.close()
            if fate in (3, 4):
                return connection.reset() if fate == 3 else connection.close()
            connection.send(b"220 mail\r\n" if fate == 5 else answer())
            if fate in (6, 7):
                return connection.reset() if fate == 6 else connection.close()

    server = serving(serve)
    courier = courier_to(server.url, concurrency=concurrency)
    courier.send([Parcel(number, server.url, str(number).encode()) for number in range(400)])
    landed = gather(courier, 400)
    courier.close()
    counted = Counter(int(request.body) for request in server.requests)
    assert set(counted.values()) == {1}
    answered = {key for key, one in landed.items() if isinstance(one, Reply)}
    not_sent = {key for key, one in landed.items() if isinstance(one, TransportFailure) and not one.body_began}
    assert (answered - counted.keys(), not_sent & counted.keys()) == (set(), set())
    assert len(answered) > 100
