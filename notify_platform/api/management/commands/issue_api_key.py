"""Issue a key to a back end."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.translation import gettext as _

from notify_platform.api import keys
from notify_platform.api.models import ApiKey
from notify_platform.core.errors import Refused
from templates_app.models import MiniProgram


class Command(BaseCommand):
    help = (
        "Issue an API key and print it. It is the only time the key can be seen: only its digest is stored. The key "
        "alone goes to standard output, so that it can be piped to where it is kept."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--app-id", required=True, help="the mini-program")
        parser.add_argument("--name", required=True, help="which of your systems uses it")
        parser.add_argument(
            "--scope",
            required=True,
            action="append",
            choices=ApiKey.Scope.values,
            help="what it may be used for; may be given several times",
        )
        parser.add_argument("--expires-in-days", type=int, metavar="N", help="default: until it is revoked")

    def handle(self, *args: Any, **options: Any) -> None:
        mini_program = MiniProgram.objects.filter(app_id=options["app_id"]).first()
        if mini_program is None:
            raise CommandError(_("There is no such mini-program."))
        days = options["expires_in_days"]
        if days is not None and not 1 <= days <= keys.LONGEST_DAYS:
            raise CommandError(_("A key is valid for 1 to %(limit)d days.") % {"limit": keys.LONGEST_DAYS})
        try:
            issued = keys.issue(
                mini_program,
                name=options["name"],
                scopes=options["scope"],
                by=None,
                expires_at=None if days is None else timezone.now() + timedelta(days=days),
            )
        except Refused as refusal:
            raise CommandError(refusal.message) from refusal
        self.stderr.write(
            _("%(name)s begins with %(prefix)s. Keep the key now; it is not shown again.")
            % {
                "name": issued.key.name,
                "prefix": issued.key.prefix,
            }
        )
        self.stdout.write(issued.plaintext)
