"""Existing consent from a CSV file: all of it, or none of it and a list of what is wrong.

Columns: ``openid``, ``template_id``, ``count`` (units, default 1), ``granted_at`` (date or moment, default now).
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _

from notify_platform.core.errors import Refused
from subscriptions.grants import ledger
from subscriptions.grants.models import Source
from subscriptions.grants.pairing import NewAnswer
from subscriptions.people import people
from templates_app.models import MessageTemplate, MiniProgram

COLUMNS = ("openid", "template_id", "count", "granted_at")
REQUIRED = COLUMNS[:2]
OPENID = re.compile(r"[A-Za-z0-9_-]{10,64}")
MAX_UNITS = 100
# WeChat had no subscription messages before; a year typed wrong must not become a consent of the year 1.
FIRST_DAY = date(2019, 9, 1)
BATCH = 500
REPORTED_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Row:
    """One good line of the file."""

    line: int
    openid: str
    template: MessageTemplate
    units: int
    granted_at: datetime


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: lines read, people new or known, units granted (fewer when lines were known already)."""

    lines: int
    units: int


class _Lines:
    """The file as checked rows; problems are collected, not raised one by one."""

    def __init__(self, mini_program: MiniProgram, *, path: Path) -> None:
        self.path = path
        self.encoding = encoding_of(path)
        self.zone = ZoneInfo(mini_program.time_zone)
        self.now = timezone.now()
        self.templates = {template.wechat_id: template for template in mini_program.templates.all()}
        self.problems: list[str] = []
        self.problem_count = 0

    def __iter__(self) -> Iterator[Row]:
        with self.path.open(encoding=self.encoding, newline="") as file:
            reader = csv.DictReader(file, restkey="…")
            self._check_header(reader)
            for number, record in enumerate(self._records(reader), start=2):
                try:
                    yield self._row(number, record)
                except ValueError as error:
                    self._note(number, str(error))

    def _check_header(self, reader: csv.DictReader[str]) -> None:
        try:
            columns = reader.fieldnames or ()
        except csv.Error as error:
            raise _not_csv(error) from error
        missing = ", ".join(name for name in REQUIRED if name not in columns)
        if missing:
            raise Refused(_("The first line must name the columns; missing: %(columns)s.") % {"columns": missing})

    def _records(self, reader: csv.DictReader[str]) -> Iterator[dict[str, str]]:
        try:
            yield from reader
        except csv.Error as error:
            raise _not_csv(error) from error

    def _note(self, line: int, problem: str) -> None:
        self.problem_count += 1
        if len(self.problems) < REPORTED_PROBLEMS:
            self.problems.append(_("line %(line)d: %(problem)s") % {"line": line, "problem": problem})

    def _row(self, number: int, record: dict[str, str]) -> Row:
        values = {name: (record.get(name) or "").strip() for name in COLUMNS}
        if not OPENID.fullmatch(values["openid"]):
            raise ValueError(_("that is not an openid"))
        template = self.templates.get(values["template_id"])
        if template is None:
            raise ValueError(_("this mini-program has no template “%(id)s”") % {"id": values["template_id"][:64]})
        return Row(
            line=number,
            openid=values["openid"],
            template=template,
            units=self._units(values["count"]),
            granted_at=self._moment(values["granted_at"]),
        )

    def _units(self, text: str) -> int:
        if not text:
            return 1
        if not (len(text) <= len(str(MAX_UNITS)) and text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_UNITS):
            raise ValueError(_("the count must be a number from 1 to %(most)d") % {"most": MAX_UNITS})
        return int(text)

    def _moment(self, text: str) -> datetime:
        if not text:
            return self.now
        moment = _parsed(text)
        if moment is None:
            raise ValueError(_("the date must look like 2026-11-23 or 2026-11-23 14:05"))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=self.zone)
        if moment > self.now + timedelta(minutes=5):
            raise ValueError(_("the date lies in the future"))
        if moment.date() < FIRST_DAY:
            raise ValueError(_("there were no subscription messages before %(day)s") % {"day": FIRST_DAY})
        return moment


def _not_csv(error: csv.Error) -> Refused:
    return Refused(_("This is not a CSV file: %(error)s.") % {"error": error}, code="bad_file")


def _parsed(text: str) -> datetime | None:
    try:
        day = parse_date(text)
        return datetime.combine(day, time()) if day else parse_datetime(text)
    except ValueError:
        return None  # the right shape, but no such day


def encoding_of(path: Path) -> str:
    """Return the encoding of a text file made by a spreadsheet: UTF-8 (with or without a mark) or GBK."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            with path.open(encoding=encoding) as file:
                for _chunk in iter(lambda: file.read(1 << 20), ""):
                    pass
        except UnicodeDecodeError:
            continue
        return encoding
    raise Refused(_("The file is neither UTF-8 nor GBK text."), code="bad_file")


def import_consent(
    mini_program: MiniProgram, *, path: Path, progress: Callable[[int], None] = lambda done: None
) -> Imported:
    """Import a file of consents; the same file twice adds nothing.

    ``progress`` is called with the count of lines done. Raises ``Refused`` (nothing written) when any line is wrong,
    with the first problems as the message.
    """
    lines = _Lines(mini_program, path=path)
    total = sum(1 for _row in lines)
    if lines.problem_count:
        listed = "\n".join(lines.problems)
        raise Refused(
            _("Nothing was imported. Wrong lines: %(count)d\n%(listed)s")
            % {"count": lines.problem_count, "listed": listed},
            code="bad_lines",
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:24]
    units = done = 0
    for batch in _batches(lines):
        units += _import_batch(mini_program, batch=batch, digest=digest)
        done += len(batch)
        progress(done)
    return Imported(lines=total, units=units)


def _batches(lines: _Lines) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in lines:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _import_batch(mini_program: MiniProgram, *, batch: list[Row], digest: str) -> int:
    subscribers = people.enrol(mini_program, openids=sorted({row.openid for row in batch}))
    return ledger.record(
        [
            NewAnswer(
                subscriber_id=subscribers[row.openid],
                template=row.template,
                answer="accept",
                source=Source.IMPORT,
                answered_at=row.granted_at,
                request_key=f"import:{digest}:{row.line}",
                units=row.units,
            )
            for row in batch
        ]
    ).units
