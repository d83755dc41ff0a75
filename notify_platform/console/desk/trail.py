"""The audit trail in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from notify_platform.console.desk.base import name_of, subject_of
from notify_platform.core.models import AuditEvent
from notify_platform.jobs.models import SendJob

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

ACTIONS: Mapping[str, _StrPromise] = {
    "add": _("added it"),
    "change": _("changed it"),
    "delete": _("deleted it"),
    "submit": _("submitted it"),
    "approve": _("approved it"),
    "refuse": _("refused it"),
    "reopen": _("took it back to draft"),
    "start": _("started it"),
    "pause": _("paused it"),
    "resume": _("resumed it"),
    "cancel": _("cancelled it"),
    "repeat": _("set a schedule"),
    "unrepeat": _("ended the schedule"),
    "occur": _("made it by the schedule"),
    "outgrown": _("found more people than go out without a second person, so it waits for approval"),
    "miss": _("left out a time that had passed"),
    "end": _("ended it"),
    "follow_up": _("made it for those who did not get an earlier one"),
    "settle_unknown": _("settled unknown results"),
    "copy": _("copied it from another job"),
    "process_again": _("had it processed again"),
    "settle_alert": _("settled it"),
    "lift_ban": _("lifted the ban"),
    "issue_key": _("issued it"),
    "revoke_key": _("revoked it"),
    "forget": _("forgot the person"),
    "test": _("tried it out"),
    "add_tester": _("made somebody a tester"),
    "remove_tester": _("took somebody off the testers"),
    "export": _("exported the person's data"),
    "upload_list": _("uploaded it"),
    "export_rows": _("exported rows"),
    "save_view": _("saved the view"),
    "drop_view": _("deleted the view"),
    "log_in": _("logged in"),
    "log_out": _("logged out"),
    "log_in_failed": _("gave a wrong password"),
    "locked_out": _("has to wait after too many wrong passwords"),
    "let_in": _("let in again"),
    "own_password": _("changed their own password"),
    "second_step_on": _("turned the second step on"),
    "second_step_off": _("turned the second step off"),
    "second_step_failed": _("gave a wrong code"),
    "spare_code": _("logged in with a spare code"),
    "give_access": _("changed the mini-programs of a colleague"),
    "sync_templates": _("fetched the templates"),
    "add_template": _("added the template"),
    "delete_template": _("deleted the template at WeChat"),
    "prune": _("deleted what was too old"),
}
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One action: when, who, what, and what was said about it."""

    at: datetime
    who: str
    what: str
    why: str


def of_job(job: SendJob) -> Sequence[Entry]:
    """Return what people and the engine did with a job, newest first."""
    rows = AuditEvent.objects.filter(subject=subject_of(job)).select_related("actor").order_by("-at", "-pk")
    return [Entry(row.at, who(row), action(row), why(row)) for row in rows[:SHOWN]]


def who(row: AuditEvent) -> str:
    """Return the colleague's name, or that it was the platform itself."""
    return name_of(row.actor) if row.actor_id else gettext("the platform")


def action(row: AuditEvent) -> str:
    """Return the action as a word; one nobody has named is shown as it is."""
    return str(ACTIONS.get(row.action, row.action))


def why(row: AuditEvent) -> str:
    """Return the sentence of the detail, if it has one."""
    detail: Any = row.detail
    if not isinstance(detail, dict):
        return ""
    if "reach" in detail:
        return gettext("%(number)s people could be reached") % {"number": f"{detail['reach']:,}"}
    reason = str(detail.get("detail") or detail.get("reason") or "")
    return str(SendJob.PauseReason(reason).label) if reason in SendJob.PauseReason.values else reason
