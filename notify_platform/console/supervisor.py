"""The worker's supervisor: keeps one django-q2 cluster alive, and rings when something is due."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import DatabaseError, InterfaceError, close_old_connections
from django.db.models import BooleanField, Exists, ExpressionWrapper, Q
from django.db.models.functions import Now

from notify_platform.callbacks import inbox
from notify_platform.core import outages, queue
from notify_platform.core.models import WorkerNode
from notify_platform.delivery import upkeep
from notify_platform.insights import rollup

logger = logging.getLogger(__name__)

TICK_SECONDS = 1.0
PULSE_EVERY_TICKS = 3
# A healthy queue answers within a second; one idle worker killed by the system freezes django-q2 for good.
FROZEN_AFTER = timedelta(seconds=9)
# On a host with too much to do a cluster is slow to start: starting it again and again would make it no faster.
STARTING_SECONDS = 60.0
# Slices end within a second of the stop flag; what is in flight may take as long as a request (13 s). Whoever asks is
# promised 20.
STOP_SECONDS = 18


class Supervisor:
    """Runs until ``stopping()`` is true; then everything under way is settled and the cluster is gone."""

    def __init__(self, *, stopping: Callable[[], bool]) -> None:
        self.stopping = stopping
        self.node = queue.register_node()
        self.started_at = 0.0
        # What the node's row says until the cluster answers for the first time.
        self.first_pulse: datetime | None = None
        self.cluster = self._start()
        self.ticks = 0

    def run(self) -> None:
        """Tick each second."""
        try:
            while not self.stopping():
                began = time.monotonic()
                try:
                    self._tick()
                except (DatabaseError, InterfaceError) as error:
                    logger.error(
                        "the database did not answer; trying again: %s",
                        outages.next_step(error),
                        exc_info=outages.unexplained(error),
                    )
                time.sleep(max(0.0, TICK_SECONDS - (time.monotonic() - began)))
        finally:
            self._stop()

    def _tick(self) -> None:
        close_old_connections()
        queue.beat(self.node)
        due = self._look()
        if self.cluster.poll() is not None or due["frozen"]:
            logger.warning("the cluster %s; starting another", "is frozen" if due["frozen"] else "has ended")
            self._kill()
            queue.clear_after_cluster(self.node)
            self.cluster = self._start()
        if self.ticks % PULSE_EVERY_TICKS == 0:
            queue.ring("pulse", self.node.pk)
        for task in ("upkeep", "callbacks", "insights"):
            if due[task]:
                queue.ring(task)
        self.ticks += 1

    def _look(self) -> dict[str, bool]:
        """Ask the one question of every second: is anything due, and does the queue still answer?"""
        row = WorkerNode.objects.filter(pk=self.node.pk).annotate(
            upkeep=ExpressionWrapper(upkeep.due(), BooleanField()),
            callbacks=Exists(inbox.due()),
            insights=ExpressionWrapper(rollup.due(), BooleanField()),
            frozen=ExpressionWrapper(Q(pulse_at__lt=Now() - FROZEN_AFTER), BooleanField()),
        )
        names = ("upkeep", "callbacks", "insights", "frozen")
        found = row.values(*names, "pulse_at").first()
        due = {name: bool(found and found[name]) for name in names}
        # Asked each time: what the row says at first must be noted before the first answer, not when all is frozen.
        is_starting = self._is_starting(found["pulse_at"] if found else None)
        return due | {"frozen": due["frozen"] and not is_starting}

    def _is_starting(self, pulse_at: datetime | None) -> bool:
        """Whether the cluster has not answered yet, and need not have."""
        self.first_pulse = self.first_pulse or pulse_at
        return self.first_pulse == pulse_at and time.monotonic() - self.started_at < STARTING_SECONDS

    def _start(self) -> subprocess.Popen[bytes]:
        self.started_at, self.first_pulse = time.monotonic(), None
        # A session of its own: Ctrl-C reaches the supervisor alone, and the whole group can be killed.
        return subprocess.Popen(queue.cluster_command(self.node), start_new_session=True)  # noqa: S603 - a fixed command

    def _stop(self) -> None:
        try:
            queue.tell_to_stop(self.node)
        except (DatabaseError, InterfaceError):
            logger.exception("the stop flag could not be raised")
        self.cluster.terminate()
        try:
            self.cluster.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            logger.warning("the cluster did not stop in %s s; it is killed", STOP_SECONDS)
        self._kill()
        queue.sign_off(self.node)

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.cluster.pid, signal.SIGKILL)
        self.cluster.wait()
