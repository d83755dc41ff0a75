"""What a second person needs to decide: the dry run, what changed since last time, and whether it still is the same.

Afterwards the dry run is held against what became of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from notify_platform.console.desk.audience_form import words_of
from notify_platform.console.desk.jobs import funnel
from notify_platform.console.desk.jobs.funnel import Funnel
from notify_platform.core.errors import Refused
from notify_platform.delivery.dry_runs import Rehearsal
from notify_platform.delivery.models import Delivery, Reason
from notify_platform.delivery.rehearsal import rehearse
from notify_platform.insights import funnels
from notify_platform.jobs import jobs, previews, variants, versions
from notify_platform.jobs.models import SendJob
from notify_platform.jobs.versions import Content, Difference

if TYPE_CHECKING:
    from django.contrib.auth.models import User

State = SendJob.State
# Above so many people the job's name is typed, where the mini-program has no threshold of its own.
NAME_ABOVE = 100
# Letters in the middle of a changed word agree by chance: so many in a row are no chance.
SEEN_AS_SAME = 3
_LABELS = {
    "name": gettext_lazy("name"),
    "purpose": gettext_lazy("reason"),
    "title": gettext_lazy("template"),
    "kind": gettext_lazy("kind of template"),
    "state": gettext_lazy("state of the template"),
    "people": gettext_lazy("people on the list"),
    "newest": gettext_lazy("last person added to the list"),
    "rule": gettext_lazy("who is meant"),
    "starts_at": gettext_lazy("starts at"),
    "not_after": gettext_lazy("not after"),
    "window_from": gettext_lazy("send only from"),
    "window_until": gettext_lazy("send only until"),
    "weekdays": gettext_lazy("weekdays"),
    "at_time": gettext_lazy("repeated at"),
    "starts_on": gettext_lazy("repeated from"),
    "ends_on": gettext_lazy("repeated until"),
    "within_hours": gettext_lazy("send within (hours)"),
    "pace": gettext_lazy("pace (messages per second)"),
    "page": gettext_lazy("Page"),
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text, and whether the other version lacks it."""

    text: str
    is_changed: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that reads differently now."""

    label: str
    before: Sequence[Piece]
    after: Sequence[Piece]


@dataclass(frozen=True, slots=True)
class Decision:
    """All a second person looks at. ``seen`` is the digest of it; ``since`` says what the changes are against."""

    funnel: Funnel | None
    since: str
    changes: Sequence[Change]
    stale: Sequence[Change]
    seen: str


@dataclass(frozen=True, slots=True)
class Line:
    """A number of the dry run beside the same number of the job."""

    label: str
    expected: str
    became: str
    differs: bool


# --- the verbs of the desk -----------------------------------------------------------------------------------------


def submit(job: SendJob, *, by: User) -> None:
    """Hand a draft over with its dry run. Raises ``Refused``."""
    previews.check(job)
    jobs.submit(job, by=by, rehearsal=rehearse(job).as_json())


def approve(job: SendJob, *, by: User, seen: str) -> None:
    """Agree to what the approver had before them. Raises ``Refused``."""
    fresh = rehearse(job).as_json() if is_stale(job) else None
    jobs.approve(job, by=by, seen=seen, rehearsal=fresh)


def check_name(job: SendJob, typed: str) -> None:
    """Refuse a decision about many people whose job's name was not typed."""
    if needs_name(job) and typed.strip() != job.name.strip():
        raise Refused(_("Type the name of the job exactly as it stands above."), fields={"name": _("required")})


def needs_name(job: SendJob) -> bool:
    """Whether a job reaches so many people that its name has to be typed."""
    try:
        return previews.reach(job) > (job.mini_program.approval_threshold or NAME_ABOVE)
    except Refused:
        return False


# --- what is looked at ---------------------------------------------------------------------------------------------


def is_stale(job: SendJob) -> bool:
    """Whether the audience or the template is not what was handed over."""
    handed_over = versions.submitted(job)
    return handed_over is not None and versions.digest(handed_over) != versions.digest(versions.content_of(job))


def kept(job: SendJob) -> Funnel | None:
    """Return the dry run kept with a job, as a funnel."""
    if not job.rehearsal:
        return None
    return funnel.drawn(Rehearsal.from_json(job.rehearsal), is_counted=job.template.is_counted)


def of_job(job: SendJob) -> Decision:
    """Return what is to be looked at before deciding; the dry run is made anew when the kept one is stale."""
    now = versions.content_of(job)
    handed_over = versions.submitted(job) or now
    earlier = versions.before(job)
    stale = changes(handed_over, now)
    return Decision(
        funnel=funnel.drawn(rehearse(job), is_counted=job.template.is_counted) if stale else kept(job),
        since=_since(earlier),
        changes=changes(earlier["content"], handed_over) if earlier else [],
        stale=stale,
        seen=versions.digest(now),
    )


def _since(version: Mapping[str, Any] | None) -> str:
    if version is None:
        return ""
    at = _moment(version["at"])
    if version["is_approved"]:
        return _("Changed since it was approved on %(at)s") % {"at": at}
    return _("Changed since it was submitted on %(at)s") % {"at": at}


def changes(old: Content, new: Content) -> list[Change]:
    """Return what reads differently, side by side."""
    labels = {key: row[0] for content in (old, new) for key, row in content["fields"].items()}
    return [_change(found, labels=labels) for found in versions.differences(old, new)]


def _change(found: Difference, *, labels: Mapping[str, str]) -> Change:
    before, after = (_readable(found.path, value) for value in (found.before, found.after))
    was: list[Piece] = []
    now: list[Piece] = []
    here = there = 0
    for block in SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks():
        same = before[block.a : block.a + block.size]
        if same and same.isascii() and len(same) < SEEN_AS_SAME and 0 < block.a < len(before) - block.size:
            continue
        was += [Piece(before[here : block.a], True), Piece(same, False)]
        now += [Piece(after[there : block.b], True), Piece(same, False)]
        here, there = block.a + block.size, block.b + block.size
    label = _label(found.path, labels=labels)
    return Change(label, [piece for piece in was if piece.text], [piece for piece in now if piece.text])


def _label(path: tuple[str, ...], *, labels: Mapping[str, str]) -> str:
    kind, name = path[0], path[-1]
    if kind == "words":
        title = str(_LABELS["page"]) if name == "page" else f"{labels.get(name, name)} ({name})"
        return title if path[1] == variants.NAMES[0] else f"{path[1]} · {title}"
    if kind == "fields":
        return _("field “%(name)s” of the template") % {"name": labels.get(path[1], path[1])}
    if kind == "fit":
        return _("Shorten to fit") if name == variants.NAMES[0] else f"{name} · {_('Shorten to fit')}"
    return _("audience") if path == ("audience", "name") else str(_LABELS.get(name, name))


def _readable(path: tuple[str, ...], value: str) -> str:
    if not value:
        return ""
    if path == ("audience", "rule"):
        return words_of(json.loads(value))
    if path[0] == "times" and "T" in value:
        return _moment(value)
    return "、".join(filter(None, json.loads(value)[:2])) if path[0] == "fields" else value


def _moment(value: str) -> str:
    return formats.date_format(timezone.localtime(datetime.fromisoformat(value)), "DATETIME_FORMAT")


# --- afterwards ----------------------------------------------------------------------------------------------------


def compared(job: SendJob) -> list[Line]:
    """Return the dry run beside what became of a job that is over; empty without a dry run."""
    if not job.rehearsal or job.state not in SendJob.OVER or not job.started_at:
        return []
    expected, became = Rehearsal.from_json(job.rehearsal), funnels.of_job(job)
    states = Delivery.State
    sent = became.count(states.ACCEPTED, states.DELIVERED, states.UNDELIVERED, states.UNKNOWN)
    lines = [
        _line(_("people in all"), expected.audience, became.audience),
        _line(_("got it, or may have got it"), expected.sent, sent),
    ]
    if failed := became.count(states.FAILED):
        lines.append(_line(_("refused by WeChat"), 0, failed))
    if cancelled := became.count(states.CANCELLED):
        lines.append(_line(_("cancelled"), 0, cancelled))
    foreseen = expected.by_reason
    for reason in Reason:
        if foreseen.get(reason, 0) or became.not_sent[reason]:
            lines.append(_line(str(reason.label), foreseen.get(reason, 0), became.not_sent[reason]))
    return lines


def _line(name: str, expected: int, became: int) -> Line:
    return Line(name, f"{expected:,}", f"{became:,}", expected != became)
