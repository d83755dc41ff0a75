"""Everything the books hold about one person."""

from __future__ import annotations

from argparse import ArgumentParser
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from notify_platform.core.models import audit
from notify_platform.insights import portrait
from subscriptions.models import Subscriber


class Command(BaseCommand):
    help = (
        "Write everything that is known about one person as JSON: to standard output, or into a new file that nobody "
        "else can read. The export leaves a row in the audit trail."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("openid", help="the whole openid")
        parser.add_argument("--app-id", help="the mini-program; may be left out when only one knows this openid")
        parser.add_argument("--output", type=Path, metavar="FILE", help="must not exist yet")

    def handle(self, *args: Any, **options: Any) -> None:
        person = self._person(options["openid"], app_id=options["app_id"])
        try:
            target = _new_file(options["output"]) if options["output"] else nullcontext(self.stdout)
        except FileExistsError as error:
            raise CommandError(_("There is a file %(file)s already.") % {"file": options["output"]}) from error
        audit(None, action="export", subject=f"subscriber {person.pk}", mini_program=person.mini_program_id)
        with target as out:
            for piece in portrait.of_person(person):
                out.write(piece)

    def _person(self, openid: str, *, app_id: str | None) -> Subscriber:
        found = Subscriber.objects.filter(openid=openid).select_related("mini_program")
        rows = list(found.filter(mini_program__app_id=app_id) if app_id else found)
        if len(rows) != 1:
            raise CommandError(
                _("Say which mini-program with --app-id.") if rows else _("Nobody here has this openid.")
            )
        return rows[0]


def _new_file(path: Path) -> Any:
    path.touch(mode=0o600, exist_ok=False)
    return path.open("w", encoding="utf-8")
