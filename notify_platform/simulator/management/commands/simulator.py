"""Run the simulator in a process of its own."""

from __future__ import annotations

import os
import signal
from argparse import ArgumentParser
from threading import Event
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from notify_platform.simulator.server import LOOPBACK, start_simulator

WECHAT_DOMAIN = "weixin.qq.com"
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Command(BaseCommand):
    help = "Run a WeChat of our own on this machine, for development, tests and the demo."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=LOOPBACK, help="IPv4 address to listen on (default: this machine only)")
        parser.add_argument("--port", type=int, default=8090, help="port; 0 takes a free one (default: 8090)")
        parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same faults")
        parser.add_argument("--latency-ms", type=float, default=0.0, help="what a send takes, in milliseconds")

    def handle(self, *args: Any, **options: Any) -> None:
        _refuse_in_production()
        stop = Event()
        before = {number: signal.signal(number, lambda *_args: stop.set()) for number in STOP_SIGNALS}
        try:
            self._run(stop, options)
        except OSError as error:
            raise CommandError(
                _("Cannot listen on %(host)s:%(port)s (%(reason)s). Choose another address with --host and --port.")
                % {"host": options["host"], "port": options["port"], "reason": error.strerror}
            ) from error
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _run(self, stop: Event, options: dict[str, Any]) -> None:
        with start_simulator(
            host=options["host"],
            port=options["port"],
            seed=options["seed"],
            settings={"latency_ms": options["latency_ms"]},
        ) as simulator:
            self.stdout.write(_("The simulator listens on %(url)s") % {"url": simulator.url})
            self.stdout.write(_("The phone page: %(url)s/phone") % {"url": simulator.url})
            self.stdout.flush()
            stop.wait()
        self.stdout.write(_("The simulator has stopped."))


def _refuse_in_production() -> None:
    """Raise ``CommandError`` where a false WeChat could be taken for the real one."""
    if os.environ.get("NOTIFY_PLATFORM_DEMO") == "1":
        return
    host = urlsplit(settings.WECHAT_API_BASE_URL).hostname or ""
    if host == WECHAT_DOMAIN or host.endswith(f".{WECHAT_DOMAIN}"):
        raise CommandError(
            _(
                "WECHAT_API_BASE_URL is WeChat's own address, so nothing would talk to a simulator. "
                "Set it to http://127.0.0.1:8090, or run `make demo`."
            )
        )
    if not settings.DEBUG:
        raise CommandError(
            _("DEBUG is off: the simulator is for development only. Set DEBUG=True in .env, or run `make demo`.")
        )
