"""The engine: claim → arm → POST → settle, for one mini-program, in slices.

The thread that runs a slice is the only one that touches the database; the senders only talk to WeChat. A slice keeps
three queues: ``ready`` (claimed, with a slot booked), ``flying`` (armed, its request under way) and ``landed``.
"""

from __future__ import annotations

import queue
import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from notify_platform.delivery import claims, pacing, settlement
from notify_platform.delivery.claims import Message, Wordings
from notify_platform.jobs.models import SendJob
from notify_platform.wechat import tokens
from notify_platform.wechat.gateway import Gateway, SendResult, WeChatRefused, WeChatUnreachable, gateway_for
from notify_platform.wechat.outcomes import JobEffect, Word
from templates_app.models import MiniProgram

CONCURRENCY = 20
# A claim takes this many seconds of pace, and a wave arms what leaves within as many.
HORIZON_SECONDS = 0.25
MAX_BATCH = 500
SETTLE_EVERY_SECONDS = 0.2
TOKEN_CHECK_SECONDS = 30.0
# Without a token nothing can leave; WeChat's answer or the network may be better soon.
TOKEN_RETRY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Slot:
    """A claimed message and the moment (monotonic clock) from which it may leave."""

    at: float
    token: uuid.UUID
    message: Message


@dataclass(frozen=True, slots=True)
class Flight:
    """A request under way, and the access token it carries."""

    slot: Slot
    access_token: str
    future: Future[SendResult]


class Engine:
    """Sends the due messages of one mini-program. Make it in the thread that runs it, and ``close`` it."""

    def __init__(self, mini_program: MiniProgram, *, concurrency: int = CONCURRENCY) -> None:
        self.mini_program = mini_program
        self.concurrency = concurrency
        self.gateway: Gateway = gateway_for(mini_program, concurrency=concurrency)
        self.pace = pacing.pace_of(mini_program)
        self.senders = ThreadPoolExecutor(concurrency, thread_name_prefix="sender")
        self.wordings = Wordings()
        self.ready: deque[Slot] = deque()
        self.flying = 0
        self.landed: queue.SimpleQueue[Flight] = queue.SimpleQueue()
        self.access_token = ""
        self.token_checked_at = 0.0

    def close(self) -> None:
        """Let the senders go home and close the connections."""
        self.senders.shutdown(wait=True)
        self.gateway.close()

    def run_slice(self, *, seconds: float, stopping: Callable[[], bool]) -> int:
        """Send for up to ``seconds``, or until nothing is due or ``stopping()`` says so; returns how many left.

        On the way out claimed rows go back to the queue and everything in flight is settled.
        """
        ends_at = time.monotonic() + seconds
        sent = 0
        try:
            while not stopping() and time.monotonic() < ends_at:
                if not self._have_token():
                    break
                self._refill()
                sent += self._launch()
                if not self.ready and not self.flying:
                    break
                self._settle_landed(wait_until=self._next_deadline(ends_at))
        finally:
            self._give_back_ready()
            while self.flying:
                self._settle_landed(wait_until=time.monotonic() + SETTLE_EVERY_SECONDS)
        return sent

    # --- the token -------------------------------------------------------------------------------------------------

    def _have_token(self) -> bool:
        if self.access_token and time.monotonic() - self.token_checked_at < TOKEN_CHECK_SECONDS:
            return True
        return self._fetch_token(stale="")

    def _fetch_token(self, *, stale: str) -> bool:
        self.access_token = ""
        try:
            self.access_token = tokens.current_token(self.mini_program, gateway=self.gateway, stale=stale)
        except WeChatRefused as refusal:
            if refusal.outcome.job_effect(retries_used=0) is JobEffect.PAUSE_APP:
                settlement.pause_app(self.mini_program, outcome=refusal.outcome, code=refusal.code)
            pacing.hold(self.pace, seconds=TOKEN_RETRY_SECONDS)
        except WeChatUnreachable:
            pacing.hold(self.pace, seconds=TOKEN_RETRY_SECONDS)
        self.token_checked_at = time.monotonic()
        return bool(self.access_token)

    # --- claim -----------------------------------------------------------------------------------------------------

    def _refill(self) -> None:
        """Claim the next batch while the last one is still leaving, so that no slot is lost between them."""
        if self._is_stocked() or pacing.seconds_until_free(self.pace) > 4 * HORIZON_SECONDS:
            return
        for job in self._running_jobs():
            self._claim(job)
            if self._is_stocked():
                return

    def _is_stocked(self) -> bool:
        """Whether what is claimed lasts for longer than one batch takes to claim."""
        return bool(self.ready) and self.ready[-1].at > time.monotonic() + HORIZON_SECONDS

    def _running_jobs(self) -> list[SendJob]:
        running = SendJob.objects.filter(mini_program=self.mini_program, state=SendJob.State.RUNNING)
        return list(running.select_related("template", "mini_program").order_by("started_at", "pk"))

    def _claim(self, job: SendJob) -> None:
        app_rate = job.mini_program.pace_per_second
        rate = min(app_rate, job.pace_per_second or app_rate)
        job_pace = pacing.pace_of(job) if rate < app_rate else None
        if job_pace and pacing.seconds_until_free(job_pace) > HORIZON_SECONDS:
            return
        claim = claims.claim(job, limit=self._batch(rate), wordings=self.wordings)
        if not claim.messages:
            return
        first = pacing.book(self.pace, count=len(claim.messages), per_second=app_rate)
        if job_pace:
            first = max(first, pacing.book(job_pace, count=len(claim.messages), per_second=rate))
        start = time.monotonic() + first
        self.ready.extend(
            Slot(at=start + number / rate, token=claim.token, message=message)
            for number, message in enumerate(claim.messages)
        )

    @staticmethod
    def _batch(per_second: int) -> int:
        return max(1, min(MAX_BATCH, round(per_second * HORIZON_SECONDS)))

    # --- arm and launch --------------------------------------------------------------------------------------------

    def _launch(self) -> int:
        """Arm the next wave and hand over what may leave now; the rest of the wave follows at its slots."""
        wave = self._next_wave()
        if not wave:
            return 0
        armed: set[int] = set()
        for token, ids in _by_token(wave).items():
            armed |= claims.arm(token, delivery_ids=ids)
            left = [pk for pk in ids if pk not in armed]
            if left:
                claims.release(token, delivery_ids=left)
        leaving = [slot for slot in wave if slot.message.delivery_id in armed]
        for slot in leaving:
            time.sleep(max(0.0, slot.at - time.monotonic()))
            self._send(slot)
        return len(leaving)

    def _next_wave(self) -> list[Slot]:
        room = 2 * self.concurrency - self.flying
        soon = time.monotonic() + HORIZON_SECONDS / 2
        wave: list[Slot] = []
        while self.ready and len(wave) < room and self.ready[0].at <= soon:
            wave.append(self.ready.popleft())
        return wave

    def _send(self, slot: Slot) -> None:
        self.flying += 1
        access_token = self.access_token
        future = self.senders.submit(self.gateway.send, token=access_token, body=slot.message.body)
        future.add_done_callback(lambda done: self.landed.put(Flight(slot, access_token, done)))

    # --- settle ----------------------------------------------------------------------------------------------------

    def _next_deadline(self, ends_at: float) -> float:
        """Return until when to wait for answers: the next wave needs us earlier, unless there is no room for it."""
        settle_at = time.monotonic() + SETTLE_EVERY_SECONDS
        if self.ready and self.flying < 2 * self.concurrency:
            settle_at = min(settle_at, self.ready[0].at - HORIZON_SECONDS / 2)
        return min(settle_at, ends_at)

    def _settle_landed(self, *, wait_until: float) -> None:
        """Write what has landed by ``wait_until`` (monotonic clock), or one wave's worth, whichever comes first."""
        if not self.flying:
            time.sleep(max(0.0, wait_until - time.monotonic()))
            return
        arrived: list[Flight] = []
        while self.flying and len(arrived) < self.concurrency:
            try:
                flight = self.landed.get(timeout=max(0.0, wait_until - time.monotonic()))
            except queue.Empty:
                break
            self.flying -= 1
            arrived.append(flight)
        for token, landed in _landed_by_token(arrived).items():
            settlement.settle(self.mini_program, token=token, landed=landed)
        self._renew_refused_token(arrived)

    def _renew_refused_token(self, arrived: list[Flight]) -> None:
        # Only for the token in use: answers to requests that left with the last one keep coming for a while.
        refused = {flight.access_token for flight in arrived if flight.future.result().outcome.word is Word.TOKEN}
        if self.access_token in refused:
            self._fetch_token(stale=self.access_token)

    def _give_back_ready(self) -> None:
        for token, ids in _by_token(self.ready).items():
            claims.release(token, delivery_ids=ids)
        self.ready.clear()


def _by_token(slots: deque[Slot] | list[Slot]) -> dict[uuid.UUID, list[int]]:
    grouped: dict[uuid.UUID, list[int]] = {}
    for slot in slots:
        grouped.setdefault(slot.token, []).append(slot.message.delivery_id)
    return grouped


def _landed_by_token(arrived: list[Flight]) -> dict[uuid.UUID, list[settlement.Landed]]:
    grouped: dict[uuid.UUID, list[settlement.Landed]] = {}
    for flight in arrived:
        landed = settlement.Landed(message=flight.slot.message, result=flight.future.result())
        grouped.setdefault(flight.slot.token, []).append(landed)
    return grouped
