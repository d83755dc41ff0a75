"""The doorbell: the only file that knows django-q2.

A task is a name and some ids; the rows of the rooms know what there is to do, so a task may run twice, late or never.
A bell is one row, rung only if none waits; whoever answers takes it down first. A bell nobody answers in time (its
worker died with it) is rung again.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import Exists, Q
from django.db.models.functions import Now
from django_q.models import OrmQ
from django_q.tasks import async_task

from notify_platform.core.clock import database_now
from notify_platform.core.models import Bell, DriverLease, WorkerNode

# Tasks by name. A name never disappears while an old bell may still carry it.
TASKS = {
    "deliver": "notify_platform.delivery.tasks.deliver",
    "upkeep": "notify_platform.delivery.tasks.upkeep",
    "quota": "notify_platform.delivery.tasks.quota",
    "callbacks": "notify_platform.callbacks.tasks.handle",
    "insights": "notify_platform.insights.tasks.refresh",
    "unmatched": "notify_platform.callbacks.tasks.process_unmatched",
    "pulse": "notify_platform.core.queue.answer_pulse",
}

UNANSWERED = timedelta(seconds=15)
# What the names of turns begin with, among the leases.
TURN = "turn/"
# A driver's slice is 10 s, and settling what is in flight takes at most as long as a request may.
DRIVER_LEASE = timedelta(seconds=30)
# Without its supervisor nobody would stop or restart a cluster: it must not go on alone.
ORPHANED_AFTER = timedelta(seconds=10)
STOP_CHECK_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class _Here:
    """Which node this process belongs to, and with whom it dies; a cluster's processes inherit it by being forked."""

    node: str = ""
    parent: int = 0


_here = _Here()


# --- bells ---------------------------------------------------------------------------------------------------------


def ring(task: str, *ids: int | str) -> bool:
    """Ask for a task unless a bell for it is waiting; returns whether one was rung. Rolls back with its caller."""
    name = _name(task, ids)
    with transaction.atomic():
        _bell, made = Bell.objects.get_or_create(name=name, defaults={"rung_at": Now()})
        stale = Bell.objects.filter(name=name, rung_at__lt=Now() - UNANSWERED)
        if not made and not stale.update(rung_at=Now()):
            return False
        async_task(TASKS[task], *ids, task_name=name, save=False)
    return True


def answer(task: str, *ids: int | str) -> None:
    """Take the bell down: first thing in a task, so that what happens from now on rings again."""
    Bell.objects.filter(name=_name(task, ids)).delete()


def waiting() -> int:
    """Return how many tasks lie in the queue, those that are being worked on included."""
    return int(OrmQ.objects.count())


def _name(task: str, ids: tuple[int | str, ...]) -> str:
    return ":".join([task, *map(str, ids)])


# --- nodes ---------------------------------------------------------------------------------------------------------


def register_node() -> WorkerNode:
    """Write this host's new worker down."""
    now = database_now()
    # Its end is the supervisor's process, for its cluster to know.
    name = f"{socket.gethostname()[:40]}:{os.getpid()}"
    node, _made = WorkerNode.objects.update_or_create(
        name=name, defaults={"started_at": now, "beat_at": now, "pulse_at": now, "is_stopping": False}
    )
    WorkerNode.objects.filter(beat_at__lt=now - timedelta(days=1)).delete()
    return node


def beat(node: WorkerNode) -> None:
    """The supervisor is alive."""
    WorkerNode.objects.filter(pk=node.pk).update(beat_at=Now())


def clear_after_cluster(node: WorkerNode) -> None:
    """The node's cluster is dead, and bells with it: its places are free, and a fresh one has as long to answer as any.

    Which bells it had taken nobody knows, so all are taken down; what is still due rings again within a second.
    """
    Bell.objects.all().delete()
    DriverLease.objects.filter(name__startswith=f"{node.pk}/").update(holder=None, until=Now())
    WorkerNode.objects.filter(pk=node.pk).update(pulse_at=Now())


def tell_to_stop(node: WorkerNode) -> None:
    """Raise the stop flag: drivers end their slice within a second."""
    WorkerNode.objects.filter(pk=node.pk).update(is_stopping=True)


def sign_off(node: WorkerNode) -> None:
    """The worker has stopped in good order."""
    WorkerNode.objects.filter(pk=node.pk).delete()


def answer_pulse(node: str = "") -> None:
    """The task that shows that a node's tasks run; the cluster of another node hands it on.

    All clusters fetch from one queue: an answer by anybody would make the healthy ones look frozen, and the frozen one
    healthy. Where nobody waits for the answer any more the bell is taken down.
    """
    nodes = WorkerNode.objects.filter(pk=node or _here.node)
    if node not in {"", _here.node} and nodes.filter(beat_at__gt=Now() - ORPHANED_AFTER).exists():
        async_task(TASKS["pulse"], node, task_name=_name("pulse", (node,)), save=False)
        return
    answer("pulse", *filter(None, [node]))
    nodes.filter(pk=_here.node).update(pulse_at=Now())


class StopFlag:
    """Asks now and then whether this process should stop: told to, or orphaned. Cheap to call often."""

    def __init__(self) -> None:
        self._name = _here.node
        self._checked_at = 0.0
        self._stopping = False

    def __call__(self) -> bool:
        """Whether to stop; a process without a supervisor (a plain qcluster) is never told to."""
        if self._name and time.monotonic() - self._checked_at > STOP_CHECK_SECONDS:
            self._checked_at = time.monotonic()
            alive = WorkerNode.objects.filter(pk=self._name, is_stopping=False, beat_at__gt=Now() - ORPHANED_AFTER)
            self._stopping = not alive.exists()
        return self._stopping


# --- drivers -------------------------------------------------------------------------------------------------------


@contextmanager
def driver_place() -> Iterator[bool]:
    """Take one of this node's places to send from; gives False when all are taken.

    SQLite has one writer, and is not fair: of several who send one would starve.
    """
    node = _here.node or socket.gethostname()
    places = 1 if connection.vendor == "sqlite" else max(1, settings.Q_CLUSTER["workers"] - 1)
    holder = uuid.uuid4()
    taken = next((name for name in (f"{node}/{n}" for n in range(places)) if _take(name, holder)), None)
    try:
        yield taken is not None
    finally:
        if taken is not None:
            DriverLease.objects.filter(name=taken, holder=holder).update(holder=None, until=Now())


def _take(name: str, holder: uuid.UUID) -> bool:
    DriverLease.objects.get_or_create(name=name, defaults={"until": database_now() - DRIVER_LEASE})
    free = DriverLease.objects.filter(name=name, until__lte=Now())
    return free.update(holder=holder, until=Now() + DRIVER_LEASE) == 1


# --- turns ---------------------------------------------------------------------------------------------------------


def take_turn(name: str, *, every: timedelta) -> bool:
    """Take the turn for work that is done every so often: of all hosts one gets it, once in that time."""
    turn = DriverLease.objects.filter(name=_turn(name))
    if turn.filter(until__gt=Now()).exists():
        return False
    DriverLease.objects.get_or_create(name=_turn(name), defaults={"until": Now()})
    return turn.filter(until__lte=Now()).update(until=Now() + every) == 1


def turn_is_due(name: str) -> Q:
    """Return the condition that somebody should take the turn."""
    return ~Q(Exists(DriverLease.objects.filter(name=_turn(name), until__gt=Now())))


def _turn(name: str) -> str:
    return f"{TURN}{name}"


# --- the cluster ---------------------------------------------------------------------------------------------------


def cluster_command(node: WorkerNode) -> list[str]:
    """Return the command line that runs a node's cluster as a child which does not outlive its parent."""
    return [sys.executable, str(settings.BASE_DIR / "manage.py"), "worker", "--cluster", node.pk]


def run_cluster(node: str) -> None:
    """Run a django-q2 cluster in this process; none of its processes outlives its parent (Linux).

    django-q2 leaves orphans behind when its parent is killed, and they go on taking tasks.
    """
    _here.node = node
    _here.parent = int(node.rpartition(":")[2])
    os.register_at_fork(before=_become_parent, after_in_child=_die_with_parent)
    _die_with_parent()
    call_command("qcluster")


def _become_parent() -> None:
    _here.parent = os.getpid()


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != _here.parent:
        os._exit(1)  # it died before we could ask to die with it: starting a cluster takes seconds
