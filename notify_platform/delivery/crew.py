"""One engine for every mini-program that has work, each in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from django.db import close_old_connections, connection

from notify_platform.core import logs, outages
from notify_platform.delivery import upkeep
from notify_platform.delivery.engine import Engine
from templates_app.models import MiniProgram

logger = logging.getLogger(__name__)

# Between two slices what flies is waited for, and the pace loses that time; told to stop, a slice ends at once.
SLICE_SECONDS = 60.0
# A slice that found nothing to send (the pace is held, the network is down) must not spin.
PAUSE_SECONDS = 0.2
AFTER_ERROR_SECONDS = 2.0


class Crew:
    """Keeps an engine running for each mini-program with due messages, until ``stopping()`` is true."""

    def __init__(self, *, stopping: Callable[[], bool]) -> None:
        self.stopping = stopping
        self._threads: dict[int, threading.Thread] = {}

    def call(self) -> bool:
        """Start an engine wherever there is work and none runs; return whether any runs."""
        self._threads = {pk: thread for pk, thread in self._threads.items() if thread.is_alive()}
        for mini_program in upkeep.mini_programs_with_work():
            if mini_program.pk not in self._threads:
                thread = threading.Thread(target=self._run, args=(mini_program,), name=f"engine-{mini_program.pk}")
                self._threads[mini_program.pk] = thread
                thread.start()
        return bool(self._threads)

    def dismiss(self) -> None:
        """Wait until every engine has settled what it had under way."""
        for thread in self._threads.values():
            thread.join()

    def _run(self, mini_program: MiniProgram) -> None:
        logs.add(mini_program=mini_program.pk)
        engine = Engine(mini_program)
        try:
            while not self.stopping() and mini_program in upkeep.mini_programs_with_work():
                close_old_connections()
                if not engine.run_slice(seconds=SLICE_SECONDS, stopping=self.stopping):
                    time.sleep(PAUSE_SECONDS)
        except Exception as error:
            # Whatever it was, the other engines go on, and what was under way lapses by its lease. The next call
            # starts a fresh engine, after a pause: the same may happen to it.
            logger.error(
                "the engine of mini-program %s stopped: %s",
                mini_program.pk,
                outages.next_step(error),
                exc_info=outages.unexplained(error),
            )
            time.sleep(AFTER_ERROR_SECONDS)
        finally:
            engine.close()
            connection.close()
