"""Delete what is too old."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand
from django.utils.translation import gettext as _

from notify_platform.delivery import retention
from notify_platform.delivery.retention import Rule

_DEFAULTS = ", ".join(f"{rule.name}={rule.days}" for rule in retention.rules())


def _kept(text: str) -> tuple[str, int]:
    name, _sign, days = text.partition("=")
    if name not in {rule.name for rule in retention.rules()} or not days.isdecimal() or not 1 <= int(days) <= 3650:
        raise ArgumentTypeError(f"say NAME=DAYS, e.g. one of {_DEFAULTS}")
    return name, int(days)


class Command(BaseCommand):
    help = (
        "Delete what is too old and in no book: raw pushes, visits, people left out of ended jobs (their sums stay), "
        "the data of events (their keys stay), failed log-ins. The worker does the same once a day by itself."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count")
        parser.add_argument(
            "--keep",
            type=_kept,
            action="append",
            default=[],
            metavar="NAME=DAYS",
            help=f"keep something else than the default ({_DEFAULTS}); may be given several times",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        keep = dict(options["keep"])
        if options["dry_run"]:
            counts = retention.count(keep=keep)
        else:
            counts = retention.prune(keep=keep, progress=self._show_progress)
        sentence = _("%(number)s %(what)s, older than %(days)d days")
        for rule in retention.rules():
            days = keep.get(rule.name, rule.days)
            told = sentence % {"number": f"{counts.get(rule.name, 0):,}", "what": rule.label, "days": days}
            self.stdout.write(told)

    def _show_progress(self, rule: Rule, number: int) -> None:
        if number == retention.BATCH:
            self.stderr.write(_("%(what)s: %(number)d more …") % {"what": rule.label, "number": number})
