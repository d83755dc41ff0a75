"""Reset the second step of somebody who has lost the phone."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from notify_platform.console import second_step


class Command(BaseCommand):
    help = "Forget the phone and the spare codes of an account: the password alone lets in until another is set up."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", help="The account's user name.")

    def handle(self, *args: Any, username: str, **options: Any) -> None:
        user = User.objects.filter(username=username).first()
        if user is None or not second_step.drop(user, by=None):
            raise CommandError(f"No phone is set up for “{username}”.")
        self.stdout.write(f"The second step of {username} was reset.")
