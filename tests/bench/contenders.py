"""What a measured worker does. Each kind makes ready and returns the work itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Final

from django.db import connection
from django_q.cluster import Cluster
from django_q.models import OrmQ

from notify_platform.delivery import keys
from notify_platform.delivery.crew import SLICE_SECONDS
from notify_platform.delivery.engine import Engine
from notify_platform.delivery.models import Delivery
from notify_platform.wechat.courier import Parcel, courier_for
from notify_platform.wechat.gateway import gateway_for, send_result
from notify_platform.wechat.outcomes import Word
from templates_app import rendering
from templates_app.models import MessageTemplate, MiniProgram
from templates_app.rendering import Wording
from tests.bench import crowd, peers
from tests.bench.crew import Order
from tests.bench.stopwatches import watching

Work = Callable[[], object]
# Of the thread that talks to the database: each with its own part of Django and the driver.
ENGINE_DOORS: Final[Mapping[str, Sequence[str]]] = {
    "claiming: rows and people": ["notify_platform.delivery.claims._lock"],
    "claiming: the gates": ["notify_platform.delivery.gates.judge"],
    "claiming: the words": ["notify_platform.delivery.claims._body"],
    "claiming: writing": ["notify_platform.delivery.claims._write_claimed", "notify_platform.delivery.claims.claim"],
    "consent: reserving": ["subscriptions.grants.ledger.reserve"],
    "arming": ["notify_platform.delivery.claims.arm"],
    "settling": ["notify_platform.delivery.settlement.settle"],
    "consent: spending": ["subscriptions.grants.ledger.spend"],
    "the pace": ["notify_platform.delivery.pacing.book", "notify_platform.delivery.pacing.look"],
    "the engine itself": ["notify_platform.delivery.engine.Engine.run_slice"],
}
# How long a worker that found nothing to do leaves the others alone.
NAP_SECONDS = 0.02
Q2_NAP_SECONDS = 0.1


def engine(order: Order) -> Work:
    """The platform's engine, slice after slice, until no message is open."""
    sender = Engine(MiniProgram.objects.get(), concurrency=order.concurrency)

    def work() -> None:
        ends_at = time.monotonic() + order.seconds
        while (left := ends_at - time.monotonic()) > 0 and _is_open():
            if not sender.run_slice(seconds=min(left, SLICE_SECONDS), stopping=lambda: False):
                time.sleep(NAP_SECONDS)

    return work


def engine_watched(order: Order) -> Work:
    """The same, and which part of it uses how much CPU: milliseconds a message."""
    send = engine(order)

    def work() -> dict[str, Mapping[str, float]]:
        process, thread = time.process_time(), time.thread_time()
        with watching(ENGINE_DOORS, clock=time.thread_time) as watches:
            send()
        other = time.process_time() - process - (time.thread_time() - thread)
        return {
            "profile": {"the courier, a thread": other / order.messages * 1000, **watches.per_call_ms(order.messages)}
        }

    return work


def _is_open() -> bool:
    return Delivery.objects.filter(state__in=Delivery.OPEN).exists()


def ceiling(order: Order) -> Work:
    """The engine's transport without a database: make the body, post it, read the answer."""
    program = MiniProgram.objects.get()
    bodies = _bodies(program, order)
    url = gateway_for(program).send_url(token=crowd.ACCESS_TOKEN)
    courier = courier_for(program, concurrency=order.concurrency)
    connection.close()

    def work() -> None:
        flying = 0
        while True:
            parcels = [Parcel(key, url, body) for key, body in islice(bodies, 2 * order.concurrency - flying)]
            courier.send(parcels)
            flying += len(parcels)
            if not flying:
                return
            for _ in range(min(flying, order.concurrency // 2)):
                _key, landed = courier.landed.get()
                flying -= 1
                if send_result(landed, token=crowd.ACCESS_TOKEN).outcome.word is not Word.ACCEPTED:
                    raise RuntimeError("a message was not taken")

    return work


def _bodies(program: MiniProgram, order: Order) -> Iterator[tuple[int, bytes]]:
    template = MessageTemplate.objects.get()
    wording = Wording.compile(fields=rendering.specs_of(template), texts=crowd.TEXTS)
    values = {"nickname": crowd.NICKNAME, "region": "广东", "city": "深圳"}
    for number in range(order.first, order.first + order.messages):
        yield (
            number,
            rendering.body(
                openid=f"o{number:027d}",
                template=template.wechat_id,
                page=keys.add_to(crowd.PAGE, delivery_id=number),
                data=wording.render(values).data,
                miniprogram_state=program.miniprogram_state,
                lang=program.lang,
            ),
        )


def pool(order: Order) -> Work:
    """wechatpy in a pool of threads, each with connections of its own to WeChat and to the database."""
    messages = list(peers.unsent())

    def work() -> None:
        with ThreadPoolExecutor(order.concurrency) as threads:
            for _ in threads.map(peers.send, messages):
                pass

    return work


def q2(order: Order) -> Work:
    """A cluster of django-q2 until its queue is empty."""
    cluster = Cluster()

    def work() -> None:
        cluster.start()
        while peers.unsent().exists() or OrmQ.objects.exists():
            time.sleep(Q2_NAP_SECONDS)

    return work


KINDS: Final[dict[str, Callable[[Order], Work]]] = {
    "engine": engine,
    "engine-watched": engine_watched,
    "ceiling": ceiling,
    "pool": pool,
    "q2": q2,
}
