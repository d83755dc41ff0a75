"""Look the installation over."""

from __future__ import annotations

import dataclasses
import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from notify_platform.insights import books


class Command(BaseCommand):
    help = "Check that the books add up, invariant by invariant. Exit status 1 when one is broken."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the findings as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        breaches = books.check()
        if options["json"]:
            self.stdout.write(json.dumps([dataclasses.asdict(breach) for breach in breaches], ensure_ascii=False))
        else:
            for breach in breaches:
                self.stdout.write(self.style.ERROR(f"✗ {breach.invariant}: {breach.count} {breach.sentence}"))
        if breaches:
            raise CommandError(
                _("%(broken)d of %(all)d invariants are broken.")
                % {"broken": len(breaches), "all": len(books.QUESTIONS)}
            )
        if not options["json"]:
            self.stdout.write(self.style.SUCCESS(_("✓ All %(all)d invariants hold.") % {"all": len(books.QUESTIONS)}))
