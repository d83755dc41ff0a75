"""Row ``sent-events``: WeChat's sent events, from the wire to settled messages."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random
from statistics import median
from typing import Any
from urllib.parse import urlencode

from django.test import Client

from notify_platform.callbacks import inbox
from notify_platform.callbacks.models import CallbackEvent
from notify_platform.delivery.models import Delivery
from notify_platform.insights import books
from notify_platform.simulator import events
from notify_platform.simulator.world import App
from templates_app.models import MiniProgram
from tests.bench import cast, servers
from tests.bench.load import Request, fire
from tests.bench.rows import Goal, Raw, Scale
from tests.bench.stopwatches import DATABASE_DOORS, watching

PER_SECOND = 400
SETTLEMENT_MS = 0.15
GOOD = "200 success"

STORE_DOORS: Mapping[str, Sequence[str]] = {
    "Django: the request, eight middlewares": ["django.core.handlers.base.BaseHandler.get_response"],
    "Django: routing": ["django.core.handlers.base.BaseHandler._get_response"],
    "the view": ["notify_platform.callbacks.views.CallbackView.post"],
    "opening the mini-program's secrets": ["notify_platform.core.encrypted.EncryptedTextField.from_db_value"],
    "signature, decryption, parsing": ["notify_platform.callbacks.pushes.read"],
    "the inbox": ["notify_platform.callbacks.inbox.store"],
    **DATABASE_DOORS,
}
SETTLE_DOORS: Mapping[str, Sequence[str]] = {
    "the inbox": ["notify_platform.callbacks.inbox.handle_due"],
    "opening the mini-program's secrets": ["notify_platform.core.encrypted.EncryptedTextField.from_db_value"],
    "matching events and messages": ["notify_platform.delivery.reports.settle_events"],
    "set-based writes": ["notify_platform.delivery.reports.update_from_values"],
    **DATABASE_DOORS,
}


def measure(scale: Scale) -> dict[str, Any]:
    """Take the pushes over HTTP, round by round; then settle them; then the same once more under stopwatches."""
    mini_program = cast.a_shop()
    count = scale.requests * (scale.rounds + 1) + 2 * scale.profiled
    pushes = _pushes(mini_program, cast.accepted_messages(mini_program.templates.get(), count=count))
    intake: list[dict[str, Any]] = []
    with servers.serving(settings="notify_platform.settings") as server:
        for number in range(scale.rounds + 1):
            one = _one_round(list(itertools.islice(pushes, scale.requests)), server=server)
            # The first is for warming up.
            if number:
                intake.append(one)
    settlement = _settle()
    profile = _profile(pushes, count=scale.profiled)
    _insist_that_none_is_lost(count)
    return {"intake": intake, "settlement": settlement, "messages": count, "lost": 0, "profile": profile}


def _pushes(mini_program: MiniProgram, messages: Iterable[tuple[str, str]]) -> Iterator[Request]:
    """Write each message's sent event as WeChat does: JSON, encrypted and signed."""
    app = App(
        app_id=mini_program.app_id,
        secret="",
        original_id=mini_program.original_id,
        callback_url="",
        callback_token=mini_program.callback_token,
        aes_key=mini_program.callback_aes_key,
        mode=events.SAFE,
        format=events.JSON,
        pages=None,
        templates={},
    )
    template = mini_program.templates.get()
    rng = Random(1)
    for openid, msgid in list(messages):
        now = time.time()
        item = {"TemplateId": template.wechat_id, "MsgID": msgid, "ErrorCode": "0", "ErrorStatus": "success"}
        event = events.Event(events.SENT, openid, int(now), [item])
        letter = events.letter(app, event, rng=rng, now=now, nested=False, create_time_text=False)
        yield Request(f"/wechat/callback/{app.app_id}?{urlencode(letter.query)}", letter.body.decode())


def _one_round(requests: Sequence[Request], *, server: servers.Server) -> dict[str, Any]:
    cpu = server.cpu_seconds()
    done = fire(requests, port=server.port)
    cpu = server.cpu_seconds() - cpu
    if done.answers != {GOOD: done.requests}:
        raise RuntimeError(f"{done.requests} pushes: answers {done.answers}")
    return {
        "per_second": round(done.per_second, 1),
        "p50_ms": done.p50_ms,
        "p99_ms": done.p99_ms,
        "cpu_ms": round(cpu / done.requests * 1000, 3),
    }


def _settle() -> list[dict[str, float]]:
    """Handle what is due; milliseconds for each event, batch by batch."""
    batches: list[dict[str, float]] = []
    while True:
        wall, cpu = time.perf_counter(), time.process_time()
        handled = inbox.handle_due()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if not handled:
            return batches
        batches.append({"ms": round(wall / handled * 1000, 4), "cpu_ms": round(cpu / handled * 1000, 4)})


def _profile(pushes: Iterator[Request], *, count: int) -> dict[str, dict[str, float]]:
    client = Client()

    def post(requests: Iterable[Request]) -> None:
        for one in requests:
            client.post(one.path, one.body, content_type="application/json", headers={"Host": "127.0.0.1"})

    # A first half without stopwatches: everything is loaded, and there is enough to settle in sets.
    post(itertools.islice(pushes, count))
    with watching(STORE_DOORS) as storing:
        post(itertools.islice(pushes, count))
    with watching(SETTLE_DOORS) as settling:
        cast.empty_inbox()
    return {"store": storing.per_call_ms(count), "settle": settling.per_call_ms(2 * count)}


def _insist_that_none_is_lost(count: int) -> None:
    delivered = Delivery.objects.filter(state=Delivery.State.DELIVERED).count()
    handled = CallbackEvent.objects.filter(state=CallbackEvent.State.HANDLED).count()
    broken = books.check()
    if (delivered, handled, Delivery.objects.count()) != (count, count, count) or broken:
        raise RuntimeError(f"{count} messages: {delivered} delivered, {handled} pushes handled; {broken}")


# --- reading the figures -------------------------------------------------------------------------------------------


def medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The medians of some rounds."""
    return {name: median(one[name] for one in rounds) for name in rounds[0]}


def goals(raw: Raw) -> list[Goal]:
    """Hold the figures against the promises."""
    rate, each = medians(raw["intake"])["per_second"], medians(raw["settlement"])["ms"]
    return [
        Goal(f"≥ {PER_SECOND} a second on one gunicorn worker", f"{rate:.0f}", rate >= PER_SECOND),
        Goal(f"settlement ≤ {SETTLEMENT_MS} ms each", f"{each:.3f}", each <= SETTLEMENT_MS),
        Goal("none lost", f"{raw['lost']} of {raw['messages']:,}", raw["lost"] == 0),
    ]


def table(raw: Raw) -> dict[str, Mapping[str, str]]:
    """Step → heading → figure."""
    intake, settled = medians(raw["intake"]), medians(raw["settlement"])
    rate = {"events/s": f"{intake['per_second']:.0f}", "p50 ms": f"{intake['p50_ms']:.1f}"}
    cpu = {"p99 ms": f"{intake['p99_ms']:.1f}", "CPU ms an event": f"{intake['cpu_ms']:.2f}"}
    settlement = {
        "events/s": f"{1000 / settled['ms']:.0f}",
        "p50 ms": f"{settled['ms']:.3f}",
        "p99 ms": "",
        "CPU ms an event": f"{settled['cpu_ms']:.3f}",
    }
    return {"taken, verified, stored": rate | cpu, "settled, in sets of 500": settlement}


def profiles(raw: Raw) -> dict[str, Mapping[str, float]]:
    """Where the time of an event goes."""
    return {"taking": raw["profile"]["store"], "settling": raw["profile"]["settle"]}
