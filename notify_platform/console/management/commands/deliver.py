"""The whole background work in one process, without django-q2."""

from __future__ import annotations

import logging
import signal
import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand
from django.db import close_old_connections

from notify_platform.callbacks import inbox
from notify_platform.core import outages
from notify_platform.delivery import limits, upkeep
from notify_platform.delivery.crew import Crew
from notify_platform.insights import rollup

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.25
AFTER_ERROR_SECONDS = 2.0


class Command(BaseCommand):
    help = (
        "Send what is due, keep jobs moving and handle WeChat's callbacks, until stopped (SIGTERM or Ctrl-C: what is "
        "under way is settled first). Several may run at once, on several hosts."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--until-idle", action="store_true", help="end when nothing is due any more, now or within a minute"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        crew = Crew(stopping=stop.is_set)
        try:
            while not stop.is_set():
                more, idle = self._round(crew)
                if idle and not more and options["until_idle"]:
                    break
                if not more:
                    stop.wait(TICK_SECONDS)
        finally:
            stop.set()
            crew.dismiss()

    def _round(self, crew: Crew) -> tuple[bool, bool]:
        """Look after everything once; return whether there is more to do at once, and whether all is done."""
        close_old_connections()
        busy = self._guarded(crew.call)
        # Asked before the upkeep, which then finishes what the engines have just sent.
        idle = not busy and self._guarded(upkeep.is_idle)
        work = (upkeep.tick, limits.ask_in_turn, self._handle_callbacks, rollup.tick)
        # All of them, also when the first has more to do.
        return True in [self._guarded(do) for do in work], idle

    def _handle_callbacks(self) -> bool:
        return inbox.handle_due() > 0

    def _guarded(self, do: Callable[[], bool]) -> bool:
        """Whatever breaks in one of these must not stop the others; it is tried again in the next round."""
        try:
            return do()
        except Exception as error:
            logger.error(
                "%s failed; trying again: %s",
                do.__qualname__,
                outages.next_step(error),
                exc_info=outages.unexplained(error),
            )
            time.sleep(AFTER_ERROR_SECONDS)
            return False
