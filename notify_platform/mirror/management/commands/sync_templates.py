"""Fetch the templates from WeChat."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from notify_platform.mirror.sync import sync
from notify_platform.wechat.gateway import WeChatRefused, WeChatUnreachable
from templates_app.catalog import SnapshotReport
from templates_app.models import MiniProgram


class Command(BaseCommand):
    help = (
        "Make the templates here what WeChat lists for each mini-program. Nothing is deleted: what WeChat does not "
        "list any more is marked as gone. Exit status 1 when a mini-program could not be synced; the others are."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--app-id", help="only this mini-program (default: all of them)")

    def handle(self, *args: Any, **options: Any) -> None:
        problems = []
        for mini_program in _mini_programs(options["app_id"]):
            try:
                report = sync(mini_program)
            except (WeChatRefused, WeChatUnreachable) as error:
                problems.append(f"{_label(mini_program)}: {_problem(error)}")
            else:
                self._show(mini_program, report)
        if problems:
            raise CommandError("\n".join(problems))

    def _show(self, mini_program: MiniProgram, report: SnapshotReport) -> None:
        counts = _("%(added)d added, %(changed)d changed, %(unchanged)d unchanged, %(missing)d gone at WeChat.") % {
            "added": report.added,
            "changed": report.changed,
            "unchanged": report.unchanged,
            "missing": report.missing,
        }
        self.stdout.write(self.style.SUCCESS(f"{_label(mini_program)}: {counts}"))
        for row in report.skipped:
            row_id = row.wechat_id or _("a row without an id")
            self.stdout.write(_("  left alone: %(row)s. %(reason)s") % {"row": row_id, "reason": row.reason})


def _mini_programs(app_id: str | None) -> list[MiniProgram]:
    everyone = MiniProgram.objects.order_by("pk")
    found = list(everyone.filter(app_id=app_id) if app_id else everyone)
    if not found:
        raise CommandError(_("There is no such mini-program. Add it at the desk, with its app id and app secret."))
    return found


def _label(mini_program: MiniProgram) -> str:
    return f"{mini_program.name} ({mini_program.app_id})"


def _problem(error: WeChatRefused | WeChatUnreachable) -> str:
    if isinstance(error, WeChatRefused):
        outcome = error.outcome
        return f"{outcome.meaning} {outcome.next_step} ({error.code}: {error.detail})"
    return _(
        "WeChat did not answer (%(reason)s). Check the network, the proxy and WECHAT_API_BASE_URL, then try again."
    ) % {"reason": error}
