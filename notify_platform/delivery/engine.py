"""The engine: claim → arm → POST → settle, for one mini-program, in slices.

The thread that runs a slice is the only one that touches the database; the senders only talk to WeChat. A slice keeps
three queues: ``ready`` (claimed, with a slot booked), ``flying`` (armed, its request under way) and ``landed``.
"""

from __future__ import annotations

import logging
import queue
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

from django.db import InterfaceError, OperationalError, connection
from django.db.models import F

from notify_platform.core.errors import Refused
from notify_platform.delivery import claims, pacing, settlement, speed
from notify_platform.delivery.claims import Claim, Message, Wordings
from notify_platform.delivery.models import Pace
from notify_platform.delivery.settlement import Landed
from notify_platform.delivery.watch import Watch
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob
from notify_platform.wechat import tokens
from notify_platform.wechat.gateway import Gateway, SendResult, WeChatRefused, WeChatUnreachable, gateway_for
from notify_platform.wechat.outcomes import JobEffect, Word
from templates_app.models import MiniProgram

logger = logging.getLogger(__name__)

CONCURRENCY = 20
# A claim takes this many seconds of pace, and a wave arms what leaves within as many.
HORIZON_SECONDS = 0.25
MAX_BATCH = 500
SETTLE_EVERY_SECONDS = 0.2
TOKEN_CHECK_SECONDS = 30.0
# Without a token nothing can leave; WeChat's answer or the network may be better soon.
TOKEN_RETRY_SECONDS = 5.0
BREAKER_SECONDS = 10.0
# Well within the lease of what is being sent.
SETTLE_PATIENCE_SECONDS = 20.0
SETTLE_RETRY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Slot:
    """A claimed message and the moment (monotonic clock) from which it may leave; ``day``: whose budget it uses."""

    at: float
    day: int
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
        self.watch = Watch()
        self.left: Counter[int] = Counter()
        self.speed_noted_at = time.monotonic()
        self.access_token = ""
        self.refused_token = ""
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
                self._note_speed()
        finally:
            with suppress(OperationalError, InterfaceError):
                # Else their leases lapse; what flies has to be settled all the same.
                self._give_back_ready()
            while self.flying:
                self._settle_landed(wait_until=time.monotonic() + SETTLE_EVERY_SECONDS)
            self._note_speed(is_last=True)
        return sent

    def _note_speed(self, *, is_last: bool = False) -> None:
        """Say now and then how many have left; a page shows it, and nothing else hangs on it."""
        if not is_last and time.monotonic() - self.speed_noted_at < speed.EVERY_SECONDS:
            return
        with suppress(OperationalError, InterfaceError):
            speed.note(self.left)
        self.left.clear()
        self.speed_noted_at = time.monotonic()

    # --- the token -------------------------------------------------------------------------------------------------

    def _have_token(self) -> bool:
        if self.access_token and time.monotonic() - self.token_checked_at < TOKEN_CHECK_SECONDS:
            return True
        return self._fetch_token()

    def _fetch_token(self) -> bool:
        """Get a token other than the one WeChat has refused, or hold the pace until there may be one."""
        self.access_token = ""
        try:
            self.access_token = tokens.current_token(self.mini_program, gateway=self.gateway, stale=self.refused_token)
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
        free_in, booked = pacing.look(self.pace)
        if free_in > 4 * HORIZON_SECONDS:
            return
        for job in self._running_jobs():
            if booked >= job.mini_program.daily_budget:
                return
            if len(self.ready) >= self._batch(job.mini_program.pace_per_second):
                return
            try:
                self._claim_for(job)
            except Refused as refusal:
                reason = SendJob.PauseReason.TEMPLATE if refusal.code == "template" else SendJob.PauseReason.CONTENT
                jobs.pause_all(reason=reason, detail=refusal.message, job_ids={job.pk})

    def _running_jobs(self) -> list[SendJob]:
        running = SendJob.objects.filter(mini_program=self.mini_program, state=SendJob.State.RUNNING)
        # A test is a few messages somebody waits for, and has an hour.
        order = (F("test_of").desc(nulls_last=True), "started_at", "pk")
        return list(running.select_related("template", "mini_program").defer("versions").order_by(*order))

    def _claim_for(self, job: SendJob) -> None:
        app_rate = job.mini_program.pace_per_second
        rate = min(app_rate, job.pace_per_second or app_rate)
        job_pace = pacing.pace_of(job) if rate < app_rate else None
        if job_pace and pacing.seconds_until_free(job_pace) > HORIZON_SECONDS:
            return
        wanted, ends_at = self._batch(rate), time.monotonic() + HORIZON_SECONDS
        # Many rows may be held back at the gates: look at more of them, but not for longer than a batch leaves in.
        while wanted > 0:
            claim = claims.claim(job, limit=wanted, wordings=self.wordings)
            if claim.messages:
                self._book(claim, job, rate=rate, job_pace=job_pace)
            if claim.looked_at < wanted or time.monotonic() > ends_at:
                return
            wanted -= len(claim.messages)

    def _book(self, claim: Claim, job: SendJob, *, rate: int, job_pace: Pace | None) -> None:
        app, count = job.mini_program, len(claim.messages)
        first, count, day = pacing.book(self.pace, count=count, per_second=app.pace_per_second, budget=app.daily_budget)
        claim = claims.shorten(claim, to=count)
        if job_pace:
            first = max(first, pacing.book(job_pace, count=count, per_second=rate).starts_in)
        start = time.monotonic() + first
        slots = [
            Slot(at=start + number / rate, day=day, token=claim.token, message=message)
            for number, message in enumerate(claim.messages)
        ]
        # In the order of their slots: a slow job's must not keep a fast job's waiting.
        self.ready = deque(sorted([*self.ready, *slots], key=lambda slot: slot.at))

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
        for (token, day), ids in _by_claim(wave).items():
            armed |= claims.arm(token, delivery_ids=ids)
            left = [pk for pk in ids if pk not in armed]
            if left:
                self._release(token, day, left)
        leaving = [slot for slot in wave if slot.message.delivery_id in armed]
        for slot in leaving:
            time.sleep(max(0.0, slot.at - time.monotonic()))
            self._send(slot)
        return len(leaving)

    def _next_wave(self) -> list[Slot]:
        room = 2 * self.concurrency - self.flying
        now = time.monotonic()
        soon = now + HORIZON_SECONDS / 2
        if room and self.ready and now - self.ready[0].at > HORIZON_SECONDS:
            # We are late (WeChat hung): what waits leaves at the pace, not all at once.
            late = now - self.ready[0].at
            self.ready = deque(replace(slot, at=slot.at + late) for slot in self.ready)
        wave: list[Slot] = []
        while self.ready and len(wave) < room and self.ready[0].at <= soon:
            wave.append(self.ready.popleft())
        return wave

    def _send(self, slot: Slot) -> None:
        self.flying += 1
        self.left[slot.message.job_id] += 1
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
        settled = self._settle(arrived)
        for job_id, example in self.watch.look_at(settled).items():
            detail = settlement.sentence(example.result)
            jobs.pause_all(reason=SendJob.PauseReason.CONTENT, detail=detail, job_ids={job_id})
        if self.watch.is_flooded():
            pacing.hold(self.pace, seconds=BREAKER_SECONDS)
        refused = {flight.access_token for flight in arrived if _refuses_token(flight)}
        if self.access_token in refused:
            self.refused_token = self.access_token
            self._fetch_token()

    def _settle(self, arrived: list[Flight]) -> list[Landed]:
        """Write answers down; a database that is away for a moment must not cost us what WeChat has said."""
        newest = tokens.stored_token(self.mini_program) if any(_refuses_token(one) for one in arrived) else None
        groups: dict[uuid.UUID, list[Landed]] = {}
        for flight in arrived:
            landed = Landed(
                message=flight.slot.message,
                result=flight.future.result(),
                fresh_token=newest is None or flight.access_token == newest,
            )
            groups.setdefault(flight.slot.token, []).append(landed)
        return [item for token, landed in groups.items() for item in self._settle_group(token, landed)]

    def _settle_group(self, token: uuid.UUID, landed: list[Landed]) -> list[Landed]:
        give_up_at = time.monotonic() + SETTLE_PATIENCE_SECONDS
        while True:
            try:
                return settlement.settle(self.mini_program, token=token, landed=landed)
            except (OperationalError, InterfaceError):
                if time.monotonic() > give_up_at:
                    raise
                logger.exception("the database did not take %d answers; trying again", len(landed))
                connection.close()
                time.sleep(SETTLE_RETRY_SECONDS)

    def _give_back_ready(self) -> None:
        for (token, day), ids in _by_claim(self.ready).items():
            self._release(token, day, ids)
        self.ready.clear()

    def _release(self, token: uuid.UUID, day: int, delivery_ids: list[int]) -> None:
        pacing.give_back(self.pace, count=claims.release(token, delivery_ids=delivery_ids), day=day)


def _by_claim(slots: deque[Slot] | list[Slot]) -> dict[tuple[uuid.UUID, int], list[int]]:
    grouped: dict[tuple[uuid.UUID, int], list[int]] = {}
    for slot in slots:
        grouped.setdefault((slot.token, slot.day), []).append(slot.message.delivery_id)
    return grouped


def _refuses_token(flight: Flight) -> bool:
    return flight.future.result().outcome.word is Word.TOKEN
