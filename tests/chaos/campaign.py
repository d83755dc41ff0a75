"""A campaign that is disturbed while it runs, and what has to be true of it in the end: WeChat's count is the truth."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import DatabaseError, connection
from django.utils import timezone

from notify_platform.callbacks.models import CallbackEvent
from notify_platform.delivery.models import Delivery
from notify_platform.insights import books, funnels
from notify_platform.jobs.models import SendJob
from notify_platform.simulator.control import SimulatorControl
from subscriptions.models import Subscriber
from tests import factories, wechat_world
from tests.chaos.sizes import SIZE
from tests.journeys.processes import group_of, is_stopped
from tests.journeys.waiting import until

State = Delivery.State
PACE = 200
# A lease takes a minute to lapse, and the queue half a minute to come back.
PATIENCE_SECONDS = 300


@dataclass
class Campaign:
    """One job and its WeChat. ``armed``: the deliveries that were leaving at some moment when somebody died."""

    wechat: SimulatorControl
    job: SendJob
    people: Sequence[Subscriber]
    armed: set[int] = field(default_factory=set)

    @property
    def counted(self) -> int:
        """How many messages WeChat has counted."""
        return self.wechat.counts().counted

    @property
    def is_finished(self) -> bool:
        """Whether every message has been dealt with."""
        return SendJob.objects.get(pk=self.job.pk).state == SendJob.State.FINISHED

    def reach(self, number: int) -> None:
        """Wait until WeChat has counted so many, or will count no more: what was armed and never left is missing."""
        until(lambda: self.counted >= number or self.is_finished, seconds=PATIENCE_SECONDS)

    def note_the_armed(self) -> None:
        """Somebody has just died: note what was leaving, once what he had asked of the database is done."""
        until(nobody_is_at_it)
        self.armed |= set(Delivery.objects.filter(state=State.SENDING).values_list("pk", flat=True))
        if not SIZE.waits:
            let_leases_lapse()

    def finish(self) -> None:
        """Wait for the end of the job, of WeChat's pushes, and of what follows from them."""
        until(lambda: self.is_finished, seconds=PATIENCE_SECONDS)
        assert self.wechat.wait_for_pushes(timeout_s=PATIENCE_SECONDS)
        pending = CallbackEvent.objects.filter(state=CallbackEvent.State.PENDING)
        pending.update(due_at=timezone.now())
        until(lambda: not pending.exists(), seconds=PATIENCE_SECONDS)

    def figures(self) -> dict[str, Any]:
        """Hold our books against WeChat's: nobody is lost, nobody doubled, nobody served beyond consent."""
        counts, app_id = self.wechat.counts(), self.job.mini_program.app_id
        funnel = funnels.of_job(self.job)
        unknown = Delivery.objects.filter(job=self.job, state=State.UNKNOWN)
        assert sum(funnel.by_state.values()) == funnel.audience == len(self.people)
        assert set(funnel.by_state) <= {State.ACCEPTED, State.DELIVERED, State.UNKNOWN}
        cards = Counter(row.openid for row in self.wechat.deliveries(app_id))
        assert set(cards.values()) == {1}
        assert counts.doubles == 0
        assert [row for row in self.wechat.ledger(app_id) if row.counted > row.granted] == []
        ours = Delivery.objects.filter(job=self.job, state__in=[State.ACCEPTED, State.DELIVERED])
        assert set(ours.values_list("subscriber__openid", flat=True)) <= set(cards)
        assert funnel.accepted <= counts.counted <= funnel.accepted + funnel.count(State.UNKNOWN)
        assert books.check() == []
        never_counted = {row.pk for row in unknown.select_related("subscriber") if row.subscriber.openid not in cards}
        return {
            "people": len(self.people),
            "counted": counts.counted,
            "doubles": counts.doubles,
            "armed": len(self.armed),
            "unknown": funnel.count(State.UNKNOWN),
            "unknown, never counted": len(never_counted),
            "unknown, not armed when somebody died": len(set(unknown.values_list("pk", flat=True)) - self.armed),
            "pushes given up": counts.pushes.failed,
        }


def a_campaign(
    wechat: SimulatorControl, *, people: int, callback_url: str = "", latency_ms: float = 50.0, pace: int = PACE
) -> Campaign:
    """Start a job to so many people who have agreed; WeChat pushes sent events where there is an address for them."""
    mini_program = factories.a_mini_program(pace_per_second=pace)
    template = factories.a_template(mini_program)
    persons = factories.subscribers(mini_program, count=people)
    for first in range(0, people, 1000):
        factories.grants(template, to=persons[first : first + 1000])
    address = f"{callback_url}/wechat/callback/{mini_program.app_id}" if callback_url else ""
    wechat_world.introduce(
        wechat, mini_program, people=persons, callback_url=address, settings={"latency_ms": latency_ms}
    )
    return Campaign(wechat, factories.a_running_job(template), persons)


def stop(*workers: subprocess.Popen[str]) -> None:
    """Ask workers to end, as a deployment does; each ends in time and says that nothing went wrong."""
    for worker in workers:
        worker.terminate()
    assert [worker.wait(timeout=30) for worker in workers] == [0] * len(workers)


def let_leases_lapse() -> None:
    """What a minute would do: the holder of these leases is dead."""
    Delivery.objects.filter(state__in=Delivery.IN_FLIGHT).update(lease_until=timezone.now() - timedelta(seconds=1))


def nobody_is_at_it() -> bool:
    """Whether the server has done what the dead had asked of it."""
    if connection.vendor == "sqlite":
        return True
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active'"
        )
        return bool(cursor.fetchone() == (0,))


def nobody_is_stuck() -> bool:
    """Whether others may write: who is frozen in mid transaction keeps SQLite's one lock, or some rows, for ever."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            try:
                cursor.execute("BEGIN IMMEDIATE")
                cursor.execute("ROLLBACK")
            except DatabaseError:
                return False
            return True
        # Nobody who lives idles in a transaction for a second; what the server was doing, it does to the end first.
        while True:
            cursor.execute(
                "SELECT count(*), coalesce(max(extract(epoch FROM clock_timestamp() - state_change)) "
                "FILTER (WHERE state LIKE 'idle in%%'), 0) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'",
                [],
            )
            busy, idles_for = cursor.fetchone()
            if not busy or idles_for > 1:
                return not busy


def freeze(pid: int, *, group: bool = False) -> None:
    """Stop a process, or its whole group, as a host does that swaps."""
    send = os.killpg if group else os.kill
    with suppress(ProcessLookupError):
        send(pid, signal.SIGSTOP)
        until(lambda: stands_still(pid, group=group))
        while not nobody_is_stuck():
            send(pid, signal.SIGCONT)
            until(nobody_is_stuck)
            send(pid, signal.SIGSTOP)
            until(lambda: stands_still(pid, group=group))


def stands_still(pid: int, *, group: bool) -> bool:
    """Whether who was stopped takes no lock any more: what the kernel was doing for them, it does to the end."""
    return all(is_stopped(one) for one in (group_of(pid) if group else [pid]))


def kill(pid: int, *, group: bool = False) -> None:
    """End a process, or its whole group, without asking."""
    with suppress(ProcessLookupError):
        (os.killpg if group else os.kill)(pid, signal.SIGKILL)
