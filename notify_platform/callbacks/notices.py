"""What WeChat tells about the mini-program itself, and about what people allow it to know.

All of these are rare, and none of their fields is sure to have the type the documentation gives it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.utils.formats import date_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from notify_platform.alerts import alerts
from notify_platform.alerts.models import Alert
from notify_platform.callbacks import pushes
from notify_platform.callbacks.effects import UNREADABLE, Effects, Handler
from notify_platform.callbacks.models import CallbackEvent
from notify_platform.delivery import forgetting
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob
from subscriptions.people import people
from templates_app.models import MiniProgram

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

PUNISHED = "wxa_punish_event"
REVOKED, MODIFIED = "user_authorization_revoke", "user_info_modified"
CANCELLED = "user_authorization_cancellation"
# event_type (WeChat's docs, "wxa_punish_event").
PUNISHMENTS: dict[str, _StrPromise] = {
    "1": _("a warning"),
    "2": _("functions are banned"),
    "3": _("the mini-program is taken down"),
    "4": _("the account is banned"),
    "5": _("a page is banned"),
    "10": _("a page is banned"),
}
# After these a message may be refused, or lead nowhere; a warning or a banned page stops no message.
STOPPING = frozenset({"2", "3", "4"})
# RevokeInfo (the same docs): nickname and avatar. Of what the other numbers stand for, we keep nothing.
NICKNAME = "6"
PART_LENGTH = 200
LATEST = datetime(2100, 1, 1, tzinfo=UTC).timestamp()


def _handle_punishments(mini_program: MiniProgram, batch: Sequence[CallbackEvent]) -> Effects:
    """Tell a person what WeChat holds against the mini-program; after a ban nothing more is sent until one looks."""
    for push in batch:
        kind = pushes.text(push.body.get("event_type"))
        sentence = _punishment(push.body, zone=mini_program.zone)
        subject = pushes.text(push.body.get("punish_id")) or kind
        alerts.raise_alert(mini_program, kind=Alert.Kind.PUNISHED, subject=subject, detail=sentence)
        if kind in STOPPING:
            jobs.pause_all(reason=SendJob.PauseReason.ACCOUNT, detail=sentence, mini_program=mini_program)
    return {}


def _punishment(body: pushes.Document, *, zone: ZoneInfo) -> str:
    """Return what happened, why, until when, and where to read on: as much of it as the push says."""
    detail = _detail(body.get("detail"))
    kind = pushes.text(body.get("event_type"))
    parts = [
        (gettext("What"), str(PUNISHMENTS.get(kind) or gettext("punishment of kind %(kind)s") % {"kind": kind or "?"})),
        (gettext("Reason"), _words(body.get("illegal_reason"))),
        (gettext("Content"), _words(body.get("illegal_content"))),
        (gettext("Functions"), _words(detail.get("banned_function_names") or detail.get("warned_function_names"))),
        (gettext("Page"), _words(detail.get("path"))),
        (gettext("Days"), _days(detail)),
        (gettext("Mend it until"), _deadline(detail.get("rectify_deadline"), zone=zone)),
        (gettext("Rule"), " ".join(filter(None, [_words(body.get("rule_name")), _words(body.get("rule_url"))]))),
        (gettext("How to mend it"), _words(body.get("adjust_guide_url"))),
    ]
    told = gettext("%(title)s: %(words)s")
    return " · ".join(told % {"title": title, "words": words} for title, words in parts if words)


def _detail(value: object) -> dict[str, Any]:
    """Return the detail, documented as JSON inside a text; an object is as good, anything else says nothing."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def _words(value: object) -> str:
    """Return a text, or several texts as one; what an object says is not for a sentence."""
    values = value if isinstance(value, list) else [value]
    return ", ".join(filter(None, map(pushes.text, values)))[:PART_LENGTH]


def _days(detail: dict[str, Any]) -> str:
    names = ("banned_days", "suspended_days", "warned_ban_days")
    return next((words for name in names if (words := _words(detail.get(name)))), "")


def _deadline(value: object, *, zone: ZoneInfo) -> str:
    try:
        seconds = int(pushes.text(value))
    except ValueError:
        return ""
    if not 0 < seconds < LATEST:
        return ""
    return date_format(datetime.fromtimestamp(seconds, tz=zone), "DATETIME_FORMAT")


def _handle_withdrawn(mini_program: MiniProgram, batch: Sequence[CallbackEvent]) -> Effects:
    """Drop what people took back, or changed, of what we keep of them: the nickname."""
    names = {push.pk: pushes.text(push.body.get("OpenID")) for push in batch}
    theirs = [push for push in batch if NICKNAME in re.findall(r"[0-9]+", _words(push.body.get("RevokeInfo")))]
    people.blank_nicknames(mini_program, openids={names[push.pk] for push in theirs})
    return _unreadable_without(names)


def _handle_cancelled(mini_program: MiniProgram, batch: Sequence[CallbackEvent]) -> Effects:
    """Forget the people who closed their account with the mini-program."""
    names = {push.pk: pushes.text(push.body.get("OpenID")) for push in batch}
    forgetting.forget(mini_program, openids=set(names.values()) - {""}, by=None)
    return _unreadable_without(names)


def _unreadable_without(names: Mapping[int, str]) -> Effects:
    return {number: UNREADABLE for number, name in names.items() if not name}


HANDLERS: dict[str, Handler] = {
    PUNISHED: _handle_punishments,
    REVOKED: _handle_withdrawn,
    MODIFIED: _handle_withdrawn,
    CANCELLED: _handle_cancelled,
}
