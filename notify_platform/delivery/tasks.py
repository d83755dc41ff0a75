"""What the doorbell calls: thin, on ids, safe to run twice."""

from __future__ import annotations

import time

from notify_platform.core import logs, queue
from notify_platform.delivery import limits
from notify_platform.delivery import upkeep as keeping
from notify_platform.delivery.engine import Engine
from templates_app.models import MiniProgram

SLICE_SECONDS = 10.0
# While other mini-programs have work too, they wait no longer than this for each other.
SHARED_SLICE_SECONDS = 2.0
UPKEEP_SECONDS = 5.0

# One engine per mini-program and process: its connections and its TLS context outlive a slice.
_engines: dict[int, Engine] = {}


def deliver(mini_program_id: int) -> None:
    """Send the due messages of a mini-program for one slice, and ring again while some are left."""
    queue.answer("deliver", mini_program_id)
    stopping = queue.StopFlag()
    mini_program = MiniProgram.objects.filter(pk=mini_program_id).first()
    if mini_program is None or stopping():
        return
    with logs.about(mini_program=mini_program_id), queue.driver_place() as have_place:
        if not have_place:
            return  # whoever holds the places rings on, and so does the next tick
        is_alone = len(keeping.mini_programs_with_work()) <= 1
        seconds = SLICE_SECONDS if is_alone else SHARED_SLICE_SECONDS
        _engine(mini_program).run_slice(seconds=seconds, stopping=stopping)
    if not stopping() and mini_program in keeping.mini_programs_with_work():
        queue.ring("deliver", mini_program_id)


def upkeep() -> None:
    """Keep jobs moving; ring for every mini-program that has messages due."""
    queue.answer("upkeep")
    stopping = queue.StopFlag()
    ends_at = time.monotonic() + UPKEEP_SECONDS
    while keeping.tick() and time.monotonic() < ends_at and not stopping():
        _ring_for_work()
    _ring_for_work()


def quota(mini_program_id: int) -> None:
    """Ask WeChat whether a mini-program that reached its daily limit may go on."""
    queue.answer("quota", mini_program_id)
    if mini_program := MiniProgram.objects.filter(pk=mini_program_id).first():
        with logs.about(mini_program=mini_program_id):
            limits.ask(mini_program)


def _ring_for_work() -> None:
    for mini_program in keeping.mini_programs_with_work():
        queue.ring("deliver", mini_program.pk)
    for pk in limits.whose_turn():
        queue.ring("quota", pk)


def _engine(mini_program: MiniProgram) -> Engine:
    known = _engines.get(mini_program.pk)
    if known is None or known.mini_program.proxy_url != mini_program.proxy_url:
        if known is not None:
            known.close()
        known = _engines[mini_program.pk] = Engine(mini_program)
    return known
