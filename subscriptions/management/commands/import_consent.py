"""Import consent that people gave before this platform kept the books."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from notify_platform.core.errors import Refused
from subscriptions.grants.importing import import_consent
from templates_app.models import MiniProgram


class Command(BaseCommand):
    help = (
        "Import consents from a CSV file with the columns openid, template_id, count (default 1) and granted_at "
        "(default now). One wrong line and nothing is imported; the same file twice adds nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="CSV, UTF-8 or GBK, first line names the columns")
        parser.add_argument("--app-id", help="the mini-program; may be left out when there is only one")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["file"].is_file():
            raise CommandError(_("There is no file %(file)s.") % {"file": options["file"]})
        try:
            result = import_consent(
                self._mini_program(options["app_id"]), path=options["file"], progress=self._show_progress
            )
        except Refused as refusal:
            raise CommandError(refusal.message) from refusal
        self.stdout.write(
            self.style.SUCCESS(
                _("%(lines)d lines read, %(units)d consents granted.") % {"lines": result.lines, "units": result.units}
            )
        )

    def _show_progress(self, done: int) -> None:
        if done % 10_000 == 0:
            self.stderr.write(_("%(done)d lines …") % {"done": done})

    def _mini_program(self, app_id: str | None) -> MiniProgram:
        found = MiniProgram.objects.filter(app_id=app_id) if app_id else MiniProgram.objects.all()
        if len(found) != 1:
            raise CommandError(
                _("Say which mini-program with --app-id.") if len(found) > 1 else _("There is no such mini-program.")
            )
        return found[0]
