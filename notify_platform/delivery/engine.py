"""The engine: claim → arm → POST → settle, for one mini-program, in slices.

The thread that runs a slice is the only one that touches the database; the courier only talks to WeChat. A slice keeps
three queues: ``ready`` (claimed, with a slot booked), ``flying`` (armed and handed over) and the courier's ``landed``.
"""

from __future__ import annotations

import logging
import queue
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.db.models import OuterRef, QuerySet, Subquery

from notify_platform.core import outages
from notify_platform.core.errors import Refused
from notify_platform.delivery import claims, pacing, settlement, speed
from notify_platform.delivery.claims import Claim, Wordings
from notify_platform.delivery.models import Pace
from notify_platform.delivery.settlement import Landed
from notify_platform.delivery.slots import Slot, Slots, Spacing, by_claim
from notify_platform.delivery.watch import Watch
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob
from notify_platform.wechat import tokens
from notify_platform.wechat.courier import Courier, Parcel, courier_for
from notify_platform.wechat.gateway import (
    Gateway,
    SendResult,
    WeChatRefused,
    WeChatUnreachable,
    gateway_for,
    send_result,
)
from notify_platform.wechat.outcomes import NOT_SENT, JobEffect, Word
from templates_app.models import MiniProgram

logger = logging.getLogger(__name__)

# A claim takes this many seconds of pace, and a wave arms what leaves within as many.
HORIZON_SECONDS = 0.25
# Slots are booked no further ahead than this, all workers together; and a batch more.
AHEAD_SECONDS = 4 * HORIZON_SECONDS
MAX_BATCH = 500
# Where less than a batch was due; well within the horizon, so that no slot is lost.
LOOK_AGAIN_SECONDS = HORIZON_SECONDS / 4
SETTLE_EVERY_SECONDS = 0.2
TOKEN_CHECK_SECONDS = 30.0
# Without a token nothing can leave; WeChat's answer or the network may be better soon.
TOKEN_RETRY_SECONDS = 5.0
BREAKER_SECONDS = 10.0
# A message that could not leave for so long does not leave any more: we slept, and its lease may have lapsed.
SLEPT_SECONDS = 20.0
SETTLE_PATIENCE_SECONDS = 20.0  # well within the lease of what is being sent
SETTLE_RETRY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Flight:
    """A message on its way, and the access token it carries."""

    slot: Slot
    access_token: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """What became of it."""

    flight: Flight
    result: SendResult

    @property
    def refuses_token(self) -> bool:
        """Whether WeChat did not take the access token."""
        return self.result.outcome.word is Word.TOKEN


class Engine:
    """Sends the due messages of one mini-program. Make it in the thread that runs it, and ``close`` it."""

    def __init__(self, mini_program: MiniProgram, *, concurrency: int | None = None) -> None:
        """``concurrency``: connections for messages, SEND_CONCURRENCY when not said."""
        self.mini_program = mini_program
        self.concurrency = concurrency or settings.SEND_CONCURRENCY
        self.gateway: Gateway = gateway_for(mini_program, concurrency=1)
        self.pace = pacing.pace_of(mini_program)
        self.rate = mini_program.pace_per_second
        self.courier: Courier = courier_for(mini_program, concurrency=self.concurrency)
        self.wordings = Wordings()
        self.ready, self.spacing = Slots(), Spacing()
        self.flying = 0
        self.watch = Watch()
        self.turn = 0
        self.found_little_at = -LOOK_AGAIN_SECONDS
        self.urgent_asked_at = 0.0
        self.left: Counter[int] = Counter()
        self.speed_noted_at = time.monotonic()
        self.access_token = ""
        self.refused_token = ""
        self.token_checked_at = 0.0

    def close(self) -> None:
        """Close the connections."""
        self.courier.close()
        self.gateway.close()

    def run_slice(self, *, seconds: float, stopping: Callable[[], bool]) -> int:
        """Send for up to ``seconds``, or until nothing is due or ``stopping()`` says so; returns how many left.

        On the way out claimed rows go back to the queue and everything in flight is settled.
        """
        ends_at = time.monotonic() + seconds
        sent, is_told = 0, False
        try:
            while not (is_told := stopping()) and time.monotonic() < (lasts_until := self._until_last_slot(ends_at)):
                if not self._have_token():
                    break
                # In this order, so that the connections have work while we claim.
                sent += self._launch()
                if time.monotonic() < ends_at:
                    self._refill()
                if not self.ready and not self.flying:
                    break
                self._settle_landed(wait_until=self._next_deadline(lasts_until))
                self._note_speed()
        finally:
            with suppress(*outages.AWAY):
                # Else their leases lapse; what flies has to be settled all the same.
                self._give_back_ready()
                if is_told:
                    sent -= self._recall()
            while self.flying:
                self._settle_landed(wait_until=time.monotonic() + SETTLE_EVERY_SECONDS)
            self._note_speed(is_last=True)
        return sent

    def _until_last_slot(self, ends_at: float) -> float:
        """A slice lasts until the slots it has booked are used: the pace would lose them."""
        last = self.ready.last_at if self.ready else ends_at
        return max(ends_at, min(last, ends_at + AHEAD_SECONDS))

    def _note_speed(self, *, is_last: bool = False) -> None:
        """Say now and then how many have left; a page shows it, and nothing else hangs on it."""
        if not is_last and time.monotonic() - self.speed_noted_at < speed.EVERY_SECONDS:
            return
        with suppress(*outages.AWAY):
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
        """Claim the next batch while the last one is still leaving, so that no slot is lost between them.

        What somebody waits for does not wait until there is room for more.
        """
        if self._have_enough():
            self._claim_urgent()
            return
        if self._have_just_looked():
            return
        free_in, booked = pacing.look(self.pace)
        if free_in <= AHEAD_SECONDS:
            self._claim_in_turn(booked)
        if not self._have_enough():
            self.found_little_at = time.monotonic()

    def _claim_in_turn(self, booked: int) -> None:
        """Let the jobs claim until there is enough; ``booked``: of the day's slots."""
        for job in self._in_turn(self._running_jobs()):
            self.rate = job.mini_program.pace_per_second
            if self._have_enough() or booked >= job.mini_program.daily_budget:
                return
            self._claim_or_pause(job)

    def _claim_urgent(self) -> None:
        if time.monotonic() - self.urgent_asked_at < HORIZON_SECONDS:
            return
        self.urgent_asked_at = time.monotonic()
        for job in self._running_jobs().filter(test_of__isnull=False):
            self._claim_or_pause(job)

    def _claim_or_pause(self, job: SendJob) -> None:
        try:
            self._claim_for(job)
        except Refused as refusal:
            reason = SendJob.PauseReason.TEMPLATE if refusal.code == "template" else SendJob.PauseReason.CONTENT
            jobs.pause_all(reason=reason, detail=refusal.message, job_ids={job.pk})

    def _have_enough(self) -> bool:
        return len(self.ready) >= self._batch(self.rate)

    def _have_just_looked(self) -> bool:
        """Whether less than a batch was due a moment ago, and there is something to do meanwhile."""
        is_recent = time.monotonic() - self.found_little_at < LOOK_AGAIN_SECONDS
        return is_recent and bool(self.ready or self.flying)

    def _running_jobs(self) -> QuerySet[SendJob]:
        running = SendJob.objects.filter(mini_program=self.mini_program, state=SendJob.State.RUNNING)
        # Not "exists": PostgreSQL would join, and look at every message that waits.
        first = Subquery(claims.due_of(OuterRef("pk")).order_by("due_at", "id").values("pk")[:1])
        running = running.alias(first_due=first).filter(first_due__isnull=False)
        return running.select_related("template", "mini_program").defer("versions").order_by("started_at", "pk")

    def _in_turn(self, running: Iterable[SendJob]) -> list[SendJob]:
        """Tests first, for somebody waits for them; the others take turns, or the longest would have all to itself."""
        tests: list[SendJob] = []
        others: list[SendJob] = []
        for job in running:
            (tests if job.test_of_id else others).append(job)
        self.turn += 1
        first = self.turn % len(others) if others else 0
        return [*tests, *others[first:], *others[:first]]

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
            Slot(at=start + number / rate, day=day, per_second=app.pace_per_second, token=claim.token, message=message)
            for number, message in enumerate(claim.messages)
        ]
        (self.ready.add_first if job.test_of_id else self.ready.add)(slots)

    @staticmethod
    def _batch(per_second: int) -> int:
        return max(1, min(MAX_BATCH, round(per_second * HORIZON_SECONDS)))

    # --- arm and launch --------------------------------------------------------------------------------------------

    def _launch(self) -> int:
        """Arm the next wave and hand it over; each message leaves at its slot. Returns how many."""
        wave = self._next_wave()
        if not wave:
            return 0
        armed: set[int] = set()
        for (token, day), ids in by_claim(wave).items():
            armed |= claims.arm(token, delivery_ids=ids)
            left = [pk for pk in ids if pk not in armed]
            if left:
                self._release(token, day, left)
        leaving = [slot for slot in wave if slot.message.delivery_id in armed]
        url = self.gateway.send_url(token=self.access_token)
        now = time.monotonic()
        self.flying += len(leaving)
        self.left.update(slot.message.job_id for slot in leaving)
        self.courier.send(
            Parcel(Flight(slot, self.access_token), url, slot.message.body, leaves_at=at, late_at=now + SLEPT_SECONDS)
            for slot, at in zip(leaving, self.spacing.moments(leaving, now=now), strict=True)
        )
        return len(leaving)

    def _next_wave(self) -> list[Slot]:
        """Take a wave that leaves soon, once no more messages are out than there are connections.

        So up to three times as many are armed: what flies, and what keeps the connections busy while we claim.
        """
        now = time.monotonic()
        if self.flying > self.concurrency or not self.ready:
            return []
        if now - self.ready.first_at > HORIZON_SECONDS:
            # We are late (WeChat hung): what waits leaves at the pace, not all at once.
            self.ready.put_off(by=now - self.ready.first_at)
        return self.ready.take(until=now + HORIZON_SECONDS / 2, most=2 * self.concurrency)

    # --- settle ----------------------------------------------------------------------------------------------------

    def _next_deadline(self, ends_at: float) -> float:
        """Return until when to wait for answers: the next wave needs us earlier, unless there is no room for it."""
        settle_at = time.monotonic() + SETTLE_EVERY_SECONDS
        if self.ready and self.flying <= self.concurrency:
            settle_at = min(settle_at, self.ready.first_at - HORIZON_SECONDS / 2)
        return min(settle_at, ends_at)

    def _settle_landed(self, *, wait_until: float) -> None:
        """Write what has landed by ``wait_until`` (monotonic clock), or when there is room for the next wave."""
        if not self.flying:
            time.sleep(max(0.0, wait_until - time.monotonic()))
            return
        arrived = self._arrivals(wait_until=wait_until)
        settled = self._settle(arrived)
        for example in self.watch.look_at(settled).values():
            settlement.pause_job(self.mini_program, [example])
        if self.watch.is_flooded():
            pacing.hold(self.pace, seconds=BREAKER_SECONDS)
        if strange := self.watch.strange():
            settlement.tell_of_strange(self.mini_program, strange)
        if any(one.refuses_token and one.flight.access_token == self.access_token for one in arrived):
            self.refused_token = self.access_token
            self._fetch_token()

    def _arrivals(self, *, wait_until: float) -> list[Arrival]:
        """Wait until there is room for a wave, or all have landed; take along what else is there."""
        enough = self.flying - self.concurrency if self.ready and self.flying > self.concurrency else self.flying
        arrived: list[Arrival] = []
        while self.flying and len(arrived) < MAX_BATCH:
            wait = max(0.0, wait_until - time.monotonic()) if len(arrived) < enough else 0.0
            try:
                flight, landed = self.courier.landed.get(timeout=wait)
            except queue.Empty:
                break
            self.flying -= 1
            arrived.append(Arrival(flight, send_result(landed, token=flight.access_token)))
        return arrived

    def _settle(self, arrived: list[Arrival]) -> list[Landed]:
        """Write answers down; a database that is away for a moment must not cost us what WeChat has said."""
        newest = tokens.stored_token(self.mini_program) if any(one.refuses_token for one in arrived) else None
        groups: dict[uuid.UUID, list[Landed]] = {}
        for one in arrived:
            landed = Landed(
                message=one.flight.slot.message,
                result=one.result,
                fresh_token=newest is None or one.flight.access_token == newest,
            )
            groups.setdefault(one.flight.slot.token, []).append(landed)
        return [item for token, landed in groups.items() for item in self._settle_group(token, landed)]

    def _settle_group(self, token: uuid.UUID, landed: list[Landed]) -> list[Landed]:
        give_up_at = time.monotonic() + SETTLE_PATIENCE_SECONDS
        while True:
            try:
                return settlement.settle(self.mini_program, token=token, landed=landed)
            except outages.AWAY as error:
                if time.monotonic() > give_up_at:
                    raise
                logger.error("the database did not take %d answers: %s", len(landed), outages.next_step(error))
                connection.close()
                time.sleep(SETTLE_RETRY_SECONDS)

    def _give_back_ready(self) -> None:
        for (token, day), ids in by_claim(self.ready.take_all()).items():
            self._release(token, day, ids)

    def _recall(self) -> int:
        """Let wait again what waits behind other requests: while WeChat hangs it would hold us up as long again.

        Nobody has refused it, so the watch does not hear of it. Returns how many there were.
        """
        flights = [parcel.key for parcel in self.courier.recall()]
        self.flying -= len(flights)
        result = SendResult(NOT_SENT, code=None, detail="it was called back")
        self._settle([Arrival(flight, result) for flight in flights])
        for day, number in Counter(flight.slot.day for flight in flights).items():
            pacing.give_back(self.pace, count=number, day=day)
        return len(flights)

    def _release(self, token: uuid.UUID, day: int, delivery_ids: list[int]) -> None:
        pacing.give_back(self.pace, count=claims.release(token, delivery_ids=delivery_ids), day=day)
