"""Existing consent from a CSV file or from a back end: all of it, or none of it and a list of what is wrong.

Columns: ``openid``, ``template_id``, ``count`` (units, default 1), ``granted_at`` (date or moment, default now).
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Required, TypedDict

from django.db import transaction
from django.utils.translation import gettext as _

from notify_platform.core.errors import Refused
from subscriptions.grants import ledger
from subscriptions.grants.import_checks import BadCell, Row, RowChecks
from subscriptions.grants.models import Source
from subscriptions.grants.pairing import NewAnswer
from subscriptions.people import people
from templates_app.models import MiniProgram

COLUMNS = ("openid", "template_id", "count", "granted_at")
REQUIRED = COLUMNS[:2]
BATCH = 500
REPORTED_PROBLEMS = 20
# Of one request, which must be answered while somebody waits.
MOST_UNITS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: lines read, people new or known, units granted (fewer when lines were known already)."""

    lines: int
    units: int


class Consent(TypedDict, total=False):
    """What a back end says of one person's consent to one template."""

    openid: Required[str]
    template_id: Required[str]
    count: int
    granted_at: str


class _Lines:
    """The file as checked rows; problems are collected, not raised one by one."""

    def __init__(self, mini_program: MiniProgram, *, path: Path) -> None:
        self.path = path
        self.encoding = encoding_of(path)
        self.checks = RowChecks(mini_program)
        self.problems: list[str] = []
        self.problem_count = 0

    def __iter__(self) -> Iterator[Row]:
        with self.path.open(encoding=self.encoding, newline="") as file:
            reader = csv.DictReader(file, restkey="…")
            self._check_header(reader)
            for number, record in enumerate(self._records(reader), start=2):
                try:
                    yield self._row(number, record)
                except BadCell as error:
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
        return self.checks.row(number, **{name: (record.get(name) or "").strip() for name in COLUMNS})


def _not_csv(error: csv.Error) -> Refused:
    return Refused(_("This is not a CSV file: %(error)s.") % {"error": error}, code="bad_file")


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
        units += _import_batch(mini_program, batch=batch, key=f"import:{digest}")
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


def import_rows(mini_program: MiniProgram, *, import_id: str, consents: Sequence[Consent]) -> Imported:
    """Import the consents of one request; the same rows with the same ``import_id`` again add nothing.

    Raises ``Refused`` (nothing written) naming the cells that are wrong, the first of each row.
    """
    checks = RowChecks(mini_program)
    rows: list[Row] = []
    wrong: dict[str, str] = {}
    for number, consent in enumerate(consents):
        count = str(consent["count"]) if "count" in consent else ""
        try:
            row = checks.row(
                number,
                openid=consent["openid"],
                template_id=consent["template_id"],
                count=count,
                granted_at=consent.get("granted_at", ""),
            )
            rows.append(row)
        except BadCell as error:
            wrong[f"consents.{number}.{error.column}"] = str(error)
    if wrong:
        raise Refused(_("Nothing was imported: see the fields."), code="bad_rows", fields=wrong)
    if sum(row.units for row in rows) > MOST_UNITS_AT_ONCE:
        sentence = _("At most %(most)d consents at once: send them in several requests.") % {"most": MOST_UNITS_AT_ONCE}
        raise Refused(sentence, code="too_many_units", fields={"consents": sentence})
    with transaction.atomic():
        return Imported(lines=len(rows), units=_import_batch(mini_program, batch=rows, key=f"api:{import_id}"))


def _import_batch(mini_program: MiniProgram, *, batch: list[Row], key: str) -> int:
    subscribers = people.enrol(mini_program, openids=sorted({row.openid for row in batch}))
    return ledger.record(
        [
            NewAnswer(
                subscriber_id=subscribers[row.openid],
                template=row.template,
                answer="accept",
                source=Source.IMPORT,
                answered_at=row.granted_at,
                request_key=f"{key}:{row.number}",
                units=row.units,
            )
            for row in batch
        ]
    ).units
