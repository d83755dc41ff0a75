"""Forget one person."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from notify_platform.delivery.forgetting import forget
from templates_app.models import MiniProgram


class Command(BaseCommand):
    help = (
        "Erase a person everywhere: the record, uploaded lists, raw pushes, event data, free texts, the audit trail. "
        "Sums stay, of nobody. It cannot be taken back; doing it again changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("openid", help="the whole openid")
        parser.add_argument("--app-id", help="only in this mini-program (default: in all of them)")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, **options: Any) -> None:
        programs = MiniProgram.objects.order_by("pk")
        if options["app_id"]:
            programs = programs.filter(app_id=options["app_id"])
        if not programs:
            raise CommandError(_("There is no such mini-program."))
        if not options["yes"]:
            self._ask()
        known = sum(forget(program, openids=[options["openid"]], by=None) for program in programs)
        if known:
            self.stdout.write(self.style.SUCCESS(_("The person is forgotten.")))
        else:
            self.stdout.write(_("Nobody here has this openid; what quoted it was cleared."))

    def _ask(self) -> None:
        if not sys.stdin.isatty():
            raise CommandError(_("Nobody is there to be asked: say --yes."))
        if input(_("Erase this person for good? Type “yes”: ")).strip() != "yes":
            raise CommandError(_("Nothing was done."))
