"""Lists as files for people with spreadsheets: which columns, in whose words, and how the rows are read.

Rows are read by key, a batch at a time, in the order of the list they come from: an export of a million rows keeps no
transaction open and needs no more memory than one of a thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from notify_platform.core.spreadsheets import Cell, moment
from notify_platform.delivery.models import Delivery
from notify_platform.wechat import outcomes
from subscriptions.people.models import Subscriber, mask

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

BATCH = 2_000


@dataclass(frozen=True, slots=True)
class Reading:
    """How a row is read: in which zone moments are told, and whether whole openids are shown."""

    zone: ZoneInfo
    shows_openids: bool
    said: dict[Hashable, str] = field(default_factory=dict)

    def at(self, when: datetime | None) -> str:
        """Return a moment in words."""
        return moment(timezone.localtime(when, self.zone) if when else None)

    def openid(self, person: Subscriber | None) -> str:
        """Return the openid, whole or its two ends; of somebody forgotten there is none."""
        if person is None or person.forgotten_at:
            return ""
        return person.openid if self.shows_openids else mask(person.openid)

    def words(self, key: Hashable, look_up: Callable[[], object]) -> str:
        """Return words that many rows share: translated once for a file, and not once a row."""
        if key not in self.said:
            self.said[key] = str(look_up())
        return self.said[key]


Column = tuple["_StrPromise", Callable[[Any, Reading], Cell]]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One kind of file: its title, which relations its rows need (``shared``: few for many rows), and its columns."""

    title: _StrPromise
    joined: Sequence[str]
    shared: Sequence[str]
    columns: Sequence[Column]
    # Rows that one question finds dear are read by that one; the others by key, a batch at a time.
    is_asked_once: bool = False

    @property
    def headings(self) -> list[str]:
        """The first line."""
        return [str(words) for words, _read in self.columns]

    def rows(self, found: QuerySet[Any], reading: Reading, *, most: int) -> Iterator[list[Cell]]:
        """Yield the cells of each row, newest first, at most so many."""
        found = found.select_related(*self.joined) if self.joined else found
        found = found.prefetch_related(*self.shared)
        for row in _once(found, most=most) if self.is_asked_once else _by_key(found, most=most):
            yield [read(row, reading) for _words, read in self.columns]


def _once(found: QuerySet[Any], *, most: int) -> Iterator[Any]:
    return found.order_by("-pk")[:most].iterator(chunk_size=BATCH)


def _by_key(found: QuerySet[Any], *, most: int) -> Iterator[Any]:
    below, left = None, most
    while left > 0:
        rows = found.order_by("-pk") if below is None else found.filter(pk__lt=below).order_by("-pk")
        batch = list(rows[: min(BATCH, left)])
        yield from batch
        if len(batch) < min(BATCH, left):
            return
        below, left = batch[-1].pk, left - len(batch)


def _person(read: Callable[[Subscriber], Cell]) -> Callable[[Any, Reading], Cell]:
    return lambda row, _reading: read(row.subscriber) if row.subscriber else ""


def _moment(name: str) -> Callable[[Any, Reading], Cell]:
    return lambda row, reading: reading.at(getattr(row, name))


def _words(name: str) -> Callable[[Any, Reading], Cell]:
    return lambda row, reading: reading.words((name, getattr(row, name)), getattr(row, f"get_{name}_display"))


def _meaning(row: Delivery, reading: Reading) -> Cell:
    code = row.error_code
    if code is None:
        return reading.words(("reason", row.reason), row.get_reason_display)
    return reading.words(("meaning", code), lambda: outcomes.describe(code)[0])


def _next_step(row: Delivery, reading: Reading) -> Cell:
    code = row.error_code
    return "" if code is None else reading.words(("next step", code), lambda: outcomes.describe(code)[1])


_OPENID: Column = (_("openid"), lambda row, reading: reading.openid(row.subscriber))
_NICKNAME: Column = (_("nickname"), _person(lambda person: person.nickname))

DELIVERIES = Sheet(
    _("Messages in detail"),
    ("subscriber",),
    ("job", "trigger", "template"),
    (
        (_("number"), lambda row, _reading: str(row.pk)),
        _OPENID,
        _NICKNAME,
        (_("job or trigger"), lambda row, _reading: str(row.job or row.trigger or "")),
        (_("template"), lambda row, _reading: row.template.title),
        (_("state"), _words("state")),
        (_("why"), _meaning),
        (_("next step"), _next_step),
        (_("code"), lambda row, _reading: "" if row.error_code is None else str(row.error_code)),
        (_("WeChat's message id"), lambda row, _reading: row.msgid),
        (_("attempts"), lambda row, _reading: row.attempts),
        (_("created"), _moment("created_at")),
        (_("due"), _moment("due_at")),
        (_("left us"), _moment("armed_at")),
        (_("settled"), _moment("settled_at")),
    ),
)
SKIPS = Sheet(
    _("People left out"),
    ("subscriber",),
    ("job",),
    (_OPENID, _NICKNAME, (_("job"), lambda row, _reading: str(row.job)), (_("reason"), _words("reason"))),
)
GRANTS = Sheet(
    _("Grants"),
    ("subscriber",),
    ("template",),
    (
        _OPENID,
        _NICKNAME,
        (_("template"), lambda row, _reading: row.template.title),
        (_("state"), _words("state")),
        (_("granted"), _moment("granted_at")),
        (_("valid until"), _moment("expires_at")),
        (_("spent, lapsed or revoked"), _moment("settled_at")),
    ),
)
FEEDBACK = Sheet(
    _("Feedback"),
    ("subscriber",),
    (),
    (
        (_("at"), _moment("at")),
        _OPENID,
        _NICKNAME,
        (_("kind"), _words("kind")),
        (_("words"), lambda row, _reading: row.text),
        (_("number of the message"), lambda row, _reading: str(row.delivery_id)),
    ),
)
PEOPLE = Sheet(
    _("People of an audience"),
    (),
    (),
    (
        (_("openid"), lambda row, reading: reading.openid(row)),
        (_("nickname"), lambda row, _reading: row.nickname),
        (_("region"), lambda row, _reading: row.region),
        (_("city"), lambda row, _reading: row.city),
        (_("tags"), lambda row, _reading: "、".join(map(str, row.tags))),
        (_("interests"), lambda row, _reading: "、".join(map(str, row.interests))),
        (_("last visit"), _moment("last_visit_at")),
        (_("known since"), _moment("created_at")),
    ),
    is_asked_once=True,
)
SHEETS: Mapping[str, Sheet] = {
    "delivery.delivery": DELIVERIES,
    "delivery.skip": SKIPS,
    "delivery.feedback": FEEDBACK,
    "subscriptions.grant": GRANTS,
    "subscriptions.audience": PEOPLE,
}
