"""Look the installation over."""

from __future__ import annotations

import dataclasses
import json
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.translation import gettext as _

from notify_platform.console.doctor import examination
from notify_platform.insights import days, sending, stock
from notify_platform.insights.books import Finding


class Command(BaseCommand):
    help = (
        "Look the installation over: settings, database, clock, secrets, tokens, callbacks, workers, queue, series, "
        "tallies, and every invariant of the books. Each finding says how to mend it. Changes nothing. "
        "Exit status 1 when something was found."
    )
    # They are among its own questions: what they find is to be told with the rest.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the findings as JSON")
        parser.add_argument(
            "--deep",
            action="store_true",
            help=f"read all rows, not the newest {examination.NEWEST:,} of each table, and all of SQLite's file",
        )
        parser.add_argument(
            "--recount", action="store_true", help="first count the tallies of the last fortnight again"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["recount"]:
            today = timezone.localdate()
            sending.rebuild(first=today - timedelta(days=days.FURTHEST), last=today + timedelta(days=1))
            stock.tally()
        found: list[Finding] = []
        for finding in examination.examine(deep=options["deep"]):
            found.append(finding)
            if not options["json"]:
                self._say(finding)
        if options["json"]:
            self.stdout.write(json.dumps([dataclasses.asdict(one) for one in found], ensure_ascii=False))
        if found:
            raise CommandError(_("%(number)d findings.") % {"number": len(found)})
        if not options["json"]:
            self.stdout.write(self.style.SUCCESS(_("✓ Nothing was found: the books add up, and the work gets done.")))

    def _say(self, finding: Finding) -> None:
        number = f"{finding.count:,} " if finding.count > 1 else ""
        self.stdout.write(self.style.ERROR(f"✗ {finding.check}: {number}{finding.sentence}"))
        if finding.cure:
            self.stdout.write(f"  → {finding.cure}")
