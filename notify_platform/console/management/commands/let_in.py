"""Let somebody log in again who gave too many wrong passwords."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from notify_platform.console import doors


class Command(BaseCommand):
    help = "Let an account log in again at once after too many wrong passwords; the audit trail keeps that it was done."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", help="The account's user name.")

    def handle(self, *args: Any, username: str, **options: Any) -> None:
        if not doors.let_in(username, by=None):
            raise CommandError(f"No wrong passwords are counted for “{username}”.")
        self.stdout.write(f"{username} can log in again.")
