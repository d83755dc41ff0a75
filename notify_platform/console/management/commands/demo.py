"""The whole platform on one machine, with a WeChat of its own."""

from __future__ import annotations

import os
import signal
import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from notify_platform.console.demo import cast as casting
from notify_platform.console.demo import stage, story
from notify_platform.delivery.models import Delivery, Reason
from notify_platform.insights.funnels import JobFunnel
from notify_platform.jobs.models import SendJob
from notify_platform.simulator.control import SimulatorControl
from notify_platform.simulator.crowd import Asked
from templates_app.models import MiniProgram

BAR_WIDTH = 32
START_SECONDS = 30
State = Delivery.State


class Command(BaseCommand):
    help = (
        "Show the platform at work: believable data, a WeChat of its own, one campaign. Needs nothing but this machine "
        "and touches no installation: it has its own database (or DATABASE_URL, which must be empty). Ctrl-C stops it."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="end after the campaign; status 1 if a book is wrong")
        parser.add_argument("--subscribers", type=int, default=5000, help="how many people (default: 5000)")
        parser.add_argument("--pace", type=int, default=200, help="messages per second (default: 200)")
        parser.add_argument("--port", type=int, default=8000, help="of the desk; another if taken (default: 8000)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["subscribers"] < 100 or not 1 <= options["pace"] <= 2000:
            raise CommandError(_("The demo needs at least 100 subscribers and a pace from 1 to 2000."))
        if not stage.is_prepared():
            environment = stage.environment(settings.BASE_DIR, port=options["port"])
            os.execve(sys.executable, [sys.executable, *sys.argv], environment)  # noqa: S606 - ourselves, prepared
        # A shell that starts us in the background has SIGINT ignored: said anew, for both.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        try:
            self._play(options)
        except KeyboardInterrupt:
            self._say("\n" + _("Stopped."))
        except RuntimeError as error:
            raise CommandError(_("The demo broke down: %(error)s.") % {"error": error}) from error

    def _play(self, options: dict[str, Any]) -> None:
        began = time.monotonic()
        self._say(_("Preparing the database …"))
        call_command("migrate", verbosity=0)
        if MiniProgram.objects.exists() or User.objects.exists():
            raise CommandError(_("DATABASE_URL names a database that is in use; the demo wants an empty one."))
        cast = casting.build(subscribers=options["subscribers"], pace=options["pace"])
        with stage.Stage(settings.BASE_DIR) as theatre:
            control = self._open(theatre, cast)
            crowd = story.crowd_of(cast, simulator_url=settings.WECHAT_API_BASE_URL, public_url=settings.PUBLIC_URL)
            self._say(
                _("On stage after %(seconds)d s. People come in and are asked …")
                % {"seconds": time.monotonic() - began}
            )
            asked = story.ask(crowd, cast)
            self._say(_("The campaign starts."))
            job = story.run_campaign(cast)
            story.follow(job, show=self._show_progress, look_after=lambda: self._look_after(theatre))
            self._say("\n" + _("Sent in %(seconds)d s. Waiting for WeChat's last word …") % {"seconds": _duration(job)})
            story.wait_for_the_last_word(control, look_after=lambda: self._look_after(theatre))
            opened = story.open_some(crowd, control, cast)
            reckoning = story.reckon(control, cast, job)
            self._show_funnel(reckoning, asked=asked, opened=opened)
            self._judge(reckoning)
            if not options["once"]:
                self._stay(theatre, cast)

    def _open(self, theatre: stage.Stage, cast: casting.Cast) -> SimulatorControl:
        """Start WeChat, the web and the delivery, and wait until they listen."""
        wechat = settings.WECHAT_API_BASE_URL
        theatre.manage("simulator", "--port", wechat.rpartition(":")[2])
        theatre.web(port=int(settings.PUBLIC_URL.rpartition(":")[2]))
        for url in (wechat, settings.PUBLIC_URL):
            self._wait_for(url, theatre)
        control = SimulatorControl(wechat)
        story.prepare_wechat(control, cast, public_url=settings.PUBLIC_URL)
        theatre.manage("worker")
        return control

    def _look_after(self, theatre: stage.Stage) -> None:
        for name in theatre.look_after():
            self._say(
                "\n"
                + _("%(name)s has fallen; it is started again. What it had under way settles within minutes.")
                % {"name": name}
            )

    def _wait_for(self, url: str, theatre: stage.Stage) -> None:
        ends_at = time.monotonic() + START_SECONDS
        while not stage.listens(url):
            self._look_after(theatre)
            if time.monotonic() > ends_at:
                raise RuntimeError(_("nobody listens at %(url)s") % {"url": url})
            time.sleep(0.1)

    def _show_progress(self, funnel: JobFunnel) -> None:
        done = funnel.audience - funnel.left
        share = done / funnel.audience if funnel.audience else 0.0
        bar = "█" * round(share * BAR_WIDTH)
        numbers = _("%(done)d of %(all)d people, %(accepted)d accepted by WeChat") % {
            "done": done,
            "all": funnel.audience,
            "accepted": funnel.accepted,
        }
        line = f"{bar:░<{BAR_WIDTH}} {share:4.0%}  {numbers}"
        if self.stdout.isatty():
            self.stdout.write(f"\r{line}", ending="")
            self.stdout.flush()
        elif not funnel.left or int(time.monotonic() * 2) % 10 == 0:
            self._say(line)

    def _show_funnel(self, reckoning: story.Reckoning, *, asked: Asked, opened: int) -> None:
        funnel, wechat = reckoning.funnel, reckoning.wechat
        rows: list[tuple[str, int]] = [
            (_("planned by the prompt"), asked.planned),
            (_("gave an answer"), asked.answered),
            (_("agreed"), asked.agreed),
            (_("audience of the job"), funnel.audience),
            *(
                ("  " + _("not sent: %(reason)s") % {"reason": Reason(reason).label}, count)
                for reason, count in funnel.not_sent.most_common()
            ),
            ("  " + _("refused by WeChat"), funnel.count(State.FAILED)),
            ("  " + _("result unknown"), funnel.count(State.UNKNOWN)),
            (_("consent reserved"), funnel.accepted + funnel.count(State.UNKNOWN, State.FAILED)),
            (_("accepted by WeChat"), funnel.accepted),
            (_("delivered (sent event)"), funnel.count(State.DELIVERED)),
            (_("opened"), opened),
            (_("counted at WeChat's side"), wechat.counted),
            (_("requests that reached WeChat"), wechat.requests),
            (_("counted twice at WeChat's side"), wechat.doubles),
        ]
        for label, count in rows:
            self._say(f"{count:>8,}  {label}")

    def _judge(self, reckoning: story.Reckoning) -> None:
        for breach in reckoning.breaches:
            self.stdout.write(self.style.ERROR(f"✗ {breach.check}: {breach.count} {breach.sentence}"))
        if reckoning.breaches:
            raise CommandError(_("The books do not add up."))
        self._say(self.style.SUCCESS(_("✓ The books add up, ours and WeChat's.")))

    def _stay(self, theatre: stage.Stage, cast: casting.Cast) -> None:
        accounts = _("%(composer)s (composes), %(approver)s (approves), admin (everything)") % {
            "composer": cast.composer.username,
            "approver": cast.approver.username,
        }
        self._say("\n" + _("The desk:") + f"  {settings.PUBLIC_URL}/admin/")
        self._say(_("The phone:") + f"  {settings.WECHAT_API_BASE_URL}/phone")
        self._say(_("Accounts:") + f"  {accounts}")
        self._say(_("Password:") + f"  {cast.password}")
        self._say(
            _("Try it: agree on the phone; compose, approve and start a job at the desk; the card comes to the phone.")
        )
        self._say(_("Ctrl-C stops everything."))
        while True:
            self._look_after(theatre)
            time.sleep(1)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _duration(job: SendJob) -> float:
    """Return how many seconds a job ran."""
    return (job.ended_at - job.started_at).total_seconds() if job.started_at and job.ended_at else 0.0
