"""Reading a list of people out of a file somebody uploaded: line by line, whatever the file pretends to be."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import IO, Any, Final

import openpyxl
from django.conf import settings
from django.utils.translation import gettext as _

from notify_platform.core.errors import Refused
from subscriptions.audience import unpacking

CSV_NAMES, EXCEL_NAMES = (".csv", ".txt"), (".xlsx",)
# A file of one column of openids has no line as long as this.
LONGEST_LINE: Final = 8_192
_HEAD: Final = 65_536
_ZIP, _OLD_EXCEL = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
FORMULA: Final = "="
NO_CELL: Final = ""


class Line:
    """One line of a file that holds something: its number and what stands in the column of openids."""

    __slots__ = ("number", "text")

    def __init__(self, number: int, text: str) -> None:
        self.number = number
        self.text = text


def read(file: IO[bytes], *, name: str, size: int) -> Iterator[Line]:
    """Yield the lines of a CSV or XLSX that hold something. Raises ``Refused`` for a file that cannot be a list."""
    if size > settings.LIST_MAX_MEGABYTES * 1024 * 1024:
        raise Refused(too_large(), code="too_large")
    if size == 0:
        raise Refused(_("The file is empty."), code="empty")
    head = file.read(_HEAD)
    file.seek(0)
    _check_name(name.lower(), head)
    rows = _excel_rows(file) if name.lower().endswith(EXCEL_NAMES) else _csv_rows(file, head)
    return _lines(rows)


def too_large() -> str:
    """Say how large a file may be."""
    return _("The file is larger than %(most)d MB. Split it, and upload the parts one by one.") % {
        "most": settings.LIST_MAX_MEGABYTES
    }


def _check_name(name: str, head: bytes) -> None:
    """Hold the name's ending against what the file begins with."""
    if head.startswith(_OLD_EXCEL):
        raise Refused(
            _("This is a file of an old Excel, or one with a password. Save it as .xlsx without one, or as .csv."),
            code="old_excel",
        )
    if not name.endswith(CSV_NAMES + EXCEL_NAMES):
        raise Refused(_("Only .csv and .xlsx files can be read."), code="wrong_ending")
    is_zip = head.startswith(_ZIP)
    if is_zip and not name.endswith(EXCEL_NAMES):
        raise Refused(_("The name ends in .csv but this is no text. Is it an .xlsx?"), code="wrong_ending")
    if not is_zip and name.endswith(EXCEL_NAMES):
        raise Refused(_("The name ends in .xlsx but this is no Excel file. Is it a .csv?"), code="wrong_ending")


# --- CSV -----------------------------------------------------------------------------------------------------------


def _csv_rows(file: IO[bytes], head: bytes) -> Iterator[list[str]]:
    text = io.TextIOWrapper(file, encoding=_encoding(head), errors="replace", newline="")
    rows = 0

    def lines() -> Iterator[str]:
        for number, line in enumerate(_short_lines(text)):
            if number > rows:
                # A quote that is not closed would make one row of the whole file.
                raise Refused(
                    _("A cell of this file goes over several lines. Put one openid on each line."), code="spans"
                )
            yield line

    try:
        for row in csv.reader(lines(), delimiter=_delimiter(head)):
            rows += 1
            yield row
    except csv.Error as error:
        raise Refused(_("This is no proper CSV file."), code="no_csv") from error
    finally:
        text.detach()


def _encoding(head: bytes) -> str:
    """Return how a text is encoded: UTF-8 if its beginning can be read so, else as Chinese Excel writes CSV."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in head:
        raise Refused(_("This is no text file. Save the list as CSV or XLSX."), code="binary")
    # The last character may be cut in two.
    for cut in range(4):
        try:
            head[: len(head) - cut].decode("utf-8-sig")
        except UnicodeDecodeError:
            continue
        return "utf-8-sig"
    return "gb18030"


def _delimiter(head: bytes) -> str:
    first = head.split(b"\n", 1)[0]
    return max((",", "\t", ";"), key=lambda mark: first.count(mark.encode()))


def _short_lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise Refused(_("A line of this file is much too long for a list of openids."), code="long_line")
        if "\0" in line:
            raise Refused(_("This is no text file. Save the list as CSV or XLSX."), code="binary")
        yield line


# --- XLSX ----------------------------------------------------------------------------------------------------------


def _excel_rows(file: IO[bytes]) -> Iterator[list[str]]:
    try:
        unpacking.check(file)
        book = openpyxl.load_workbook(file, read_only=True, keep_links=False)
    except Refused:
        raise
    except Exception as error:
        # Whatever a broken or forged file makes the reader stumble over.
        raise Refused(_("This Excel file is broken. Save it again, or as CSV."), code="broken_excel") from error
    try:
        yield from _cells(book.worksheets[0])
    finally:
        book.close()


def _cells(sheet: Any) -> Iterator[list[str]]:
    # The size a sheet declares is anybody's guess.
    sheet.reset_dimensions()
    try:
        for row in sheet.iter_rows():
            yield [_cell(cell) for cell in row[:50]]
    except Refused:
        raise
    except Exception as error:
        raise Refused(_("This Excel file is broken. Save it again, or as CSV."), code="broken_excel") from error


def _cell(cell: Any) -> str:
    if cell.value is None:
        return NO_CELL
    return FORMULA + str(cell.value).removeprefix("=") if cell.data_type == "f" else str(cell.value)


# --- the column of openids -----------------------------------------------------------------------------------------


def _lines(rows: Iterator[list[str]]) -> Iterator[Line]:
    column = 0
    for number, row in enumerate(rows, start=1):
        if number == 1 and (named := _named_column(row)) is not None:
            column = named
            continue
        if number > settings.LIST_MAX_ROWS + 1:
            sentence = _("The file has more than %(most)s lines. Split it, and upload the parts one by one.")
            raise Refused(sentence % {"most": f"{settings.LIST_MAX_ROWS:,}"}, code="too_many")
        text = row[column].strip() if column < len(row) else ""
        if text or any(cell.strip() for cell in row):
            yield Line(number, text)


def _named_column(row: list[str]) -> int | None:
    """Return which column a first line names as that of the openids; None when it is no heading."""
    for column, cell in enumerate(row):
        if "openid" in cell.lower().replace("_", "").replace(" ", ""):
            return column
    return None
