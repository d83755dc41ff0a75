"""The sink of the benchmarks counts what comes, and answers as late as it was told."""

from __future__ import annotations

import time

from notify_platform.wechat.courier import Courier, Parcel
from notify_platform.wechat.gateway import Gateway, TokenReply, send_result
from notify_platform.wechat.outcomes import Word
from notify_platform.wechat.transport import RequestsTransport
from tests.bench import sink


def test_the_sink_counts_messages_and_doubles() -> None:
    with sink.running() as running:
        courier = Courier(base_url=running.url, concurrency=2)
        courier.send([Parcel(number, running.url, b'{"touser":"o%d"}' % (number % 8)) for number in range(10)])
        results = [send_result(courier.landed.get(timeout=10)[1], token="t") for _ in range(10)]
        courier.close()
        counts = running.counts()
    assert {result.outcome.word for result in results} == {Word.ACCEPTED}
    assert len({result.msgid for result in results}) == 10
    assert (counts["requests"], counts["doubles"]) == (10, 2)


def test_the_sink_waits_and_gives_out_a_token() -> None:
    with sink.running(latency_ms=50) as running:
        transport = RequestsTransport(base_url=running.url)
        gateway = Gateway(app_id="wx1", base_url=running.url, transport=transport)
        assert gateway.stable_token(secret="s") == TokenReply(token="50_sink", expires_in=7200)
        began_at = time.monotonic()
        reply = transport.exchange(method="POST", url=running.url, params={}, body=b"{}")
        assert send_result(reply, token="50_sink").outcome.word is Word.ACCEPTED
        assert time.monotonic() - began_at >= 0.05
        gateway.close()


def test_the_sink_notes_when_a_message_to_whom_came() -> None:
    with sink.running() as running:
        transport = RequestsTransport(base_url=running.url)
        before = time.monotonic()
        for number in range(3):
            body = b'{"touser":"o%d","data":{}}' % number
            transport.exchange(method="POST", url=running.url, params={}, body=body)
        transport.close()
        diary = running.diary()
    moments = [before, *(moment for moment, _openid in diary), time.monotonic()]
    assert ([openid for _moment, openid in diary], moments) == (["o0", "o1", "o2"], sorted(moments))
