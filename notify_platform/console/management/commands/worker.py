"""The background work of one host."""

from __future__ import annotations

import signal
import threading
from argparse import SUPPRESS, ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from notify_platform.console.supervisor import Supervisor
from notify_platform.core import queue


class Command(BaseCommand):
    help = (
        "Run the background work of this host through django-q2, watched over: a frozen cluster is restarted, nothing "
        "outlives a killed supervisor. SIGTERM or Ctrl-C: what is under way is settled first. One for each host."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        # The child that the supervisor starts; nobody types it.
        parser.add_argument("--cluster", metavar="NODE", help=SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["cluster"]:
            queue.run_cluster(options["cluster"])
            return
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        Supervisor(stopping=stop.is_set).run()
