"""The postmen: a small pool of threads that deliver events to the callback URLs.

WeChat's docs, "message push": the receiver has five seconds to answer; without a 200 the event comes up to three times.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from random import Random
from threading import Condition, Lock, Thread

import requests

from notify_platform.simulator.events import CHANGE, POPUP, SENT, Event, letter
from notify_platform.simulator.world import App, Message, World

TRIES = 3
STOP_WAIT_S = 2.0

_SUCCESS = {"ErrorCode": "0", "ErrorStatus": "success"}
# No other value is documented; readers must take anything but "0" as a failure.
_FAILURE = {"ErrorCode": "1", "ErrorStatus": "system error"}

logger = logging.getLogger(__name__)


@dataclass
class PushCounts:
    """One app's pushes: waiting or under way, answered with 200, given up, dropped on order, and requests made."""

    queued: int = 0
    ok: int = 0
    failed: int = 0
    dropped: int = 0
    tries: int = 0

    def add(self, other: PushCounts) -> None:
        """Add another app's counts."""
        self.queued += other.queued
        self.ok += other.ok
        self.failed += other.failed
        self.dropped += other.dropped
        self.tries += other.tries


@dataclass(order=True)
class _Parcel:
    """An event on its way; ordered by its due time (monotonic seconds), then by age."""

    due: float
    number: int
    app: App = field(compare=False)
    event: Event = field(compare=False)
    counts: PushCounts = field(compare=False)
    tries: int = field(default=0, compare=False)


class Pusher:
    """Takes events and delivers them in the background, each up to three times."""

    def __init__(self, world: World, *, workers: int) -> None:
        self._world = world
        self._lock = Lock()
        # Two conditions, or a waiter for quiet could swallow the wake-up meant for a postman.
        self._work_came = Condition(self._lock)
        self._went_quiet = Condition(self._lock)
        self._heap: list[_Parcel] = []
        self._counts: dict[str, PushCounts] = {}
        self._numbers = itertools.count()
        self._rng = Random(f"{world.seed}:pushes")  # noqa: S311 - repeatable on purpose
        self._stopping = False
        self._threads = [Thread(target=self._work, name=f"simulator-push-{n}", daemon=True) for n in range(workers)]
        for thread in self._threads:
            thread.start()

    def message_sent(self, app: App, message: Message) -> None:
        """Push the result of a counted message, ``sent_delay_ms`` from now."""
        settings = self._world.settings
        item = {"TemplateId": message.template_id}
        if settings.sent_msgid:
            item["MsgID"] = str(message.msgid)
        failed = settings.sent_failure_rate > 0 and self._draw() < settings.sent_failure_rate
        item |= _FAILURE if failed else _SUCCESS
        self._post(app, Event(SENT, message.openid, int(message.at), [item]), delay_s=settings.sent_delay_ms / 1000)

    def popup_answered(self, app: App, *, openid: str, answers: Mapping[str, str]) -> None:
        """Push what a user answered in a popup (template id → accept or reject)."""
        items = [
            {"TemplateId": template_id, "SubscribeStatusString": answer, "PopupScene": "0"}
            for template_id, answer in answers.items()
        ]
        self._post(app, Event(POPUP, openid, int(self._world.now()), items))

    def turned_off(self, app: App, *, openid: str, template_ids: Sequence[str]) -> None:
        """Push that a user turned templates off."""
        items = [{"TemplateId": each, "SubscribeStatusString": "reject"} for each in template_ids]
        self._post(app, Event(CHANGE, openid, int(self._world.now()), items))

    def counts(self, app_id: str) -> PushCounts:
        """Return the counts of one app, or the sums of all for the empty id."""
        total = PushCounts()
        with self._lock:
            for each, counts in self._counts.items():
                if app_id in {"", each}:
                    total.add(counts)
        return total

    def wait_until_quiet(self, *, timeout_s: float) -> bool:
        """Wait until nothing is queued or under way; return whether that came true in time."""
        with self._lock:
            return self._went_quiet.wait_for(
                lambda: not any(counts.queued for counts in self._counts.values()), timeout=timeout_s
            )

    def reset(self) -> None:
        """Forget what waits and all counts; a push under way still ends."""
        with self._lock:
            self._heap.clear()
            self._counts.clear()
            self._went_quiet.notify_all()

    def stop(self) -> None:
        """End the threads; pushes that wait are lost, one under way gets two seconds."""
        with self._lock:
            self._stopping = True
            self._work_came.notify_all()
        ends_at = time.monotonic() + STOP_WAIT_S
        for thread in self._threads:
            thread.join(max(0.0, ends_at - time.monotonic()))

    def _draw(self) -> float:
        with self._lock:
            return self._rng.random()

    def _post(self, app: App, event: Event, *, delay_s: float = 0.0) -> None:
        if not app.callback_url:
            return
        settings = self._world.settings
        with self._lock:
            counts = self._counts.setdefault(app.app_id, PushCounts())
            if settings.push_drop_rate and self._rng.random() < settings.push_drop_rate:
                counts.dropped += 1
                return
            twice = settings.push_duplicate_rate > 0 and self._rng.random() < settings.push_duplicate_rate
            for _ in range(2 if twice else 1):
                counts.queued += 1
                due = time.monotonic() + delay_s
                heapq.heappush(self._heap, _Parcel(due, next(self._numbers), app, event, counts))
            self._work_came.notify()

    def _work(self) -> None:
        with requests.Session() as session:
            session.trust_env = False  # no proxy between us and the receiver
            while (parcel := self._next()) is not None:
                arrived = self._deliver(session, parcel)
                self._settle(parcel, arrived=arrived)

    def _next(self) -> _Parcel | None:
        """Wait for a due parcel; None means stop."""
        with self._lock:
            while not self._stopping:
                now = time.monotonic()
                if self._heap and self._heap[0].due <= now:
                    if len(self._heap) > 1:
                        self._work_came.notify()
                    return heapq.heappop(self._heap)
                self._work_came.wait(self._heap[0].due - now if self._heap else None)
            return None

    def _deliver(self, session: requests.Session, parcel: _Parcel) -> bool:
        settings = self._world.settings
        with self._lock:
            parcel.counts.tries += 1
            parcel.tries += 1
            rng = Random(self._rng.random())  # noqa: S311 - repeatable on purpose
        try:
            post = letter(
                parcel.app,
                parcel.event,
                rng=rng,
                now=self._world.now(),
                nested=settings.push_nested,
                create_time_text=settings.push_create_time_text,
            )
            answer = session.post(
                parcel.app.callback_url,
                params=post.query,
                data=post.body,
                headers={"Content-Type": post.content_type},
                timeout=settings.push_timeout_s,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            logger.info("a push of %s failed: %s", parcel.event.name, type(error).__name__)
            return False
        return answer.status_code == HTTPStatus.OK

    def _settle(self, parcel: _Parcel, *, arrived: bool) -> None:
        with self._lock:
            if not arrived and parcel.tries < TRIES:
                parcel.due = time.monotonic() + self._world.settings.push_retry_ms / 1000
                heapq.heappush(self._heap, parcel)
                self._work_came.notify()
                return
            parcel.counts.queued -= 1
            parcel.counts.ok += arrived
            parcel.counts.failed += not arrived
            if not parcel.counts.queued:
                self._went_quiet.notify_all()
