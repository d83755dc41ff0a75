"""Rows as a file a spreadsheet opens: CSV as it streams, XLSX as one file. Nothing in them is ever a formula."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import IO, Any, Final

import openpyxl
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.utils import get_column_letter

Cell = str | int | Decimal | None

# A sheet of Excel holds so many rows, the heading among them.
XLSX_ROWS: Final = 1_048_575
_CHUNK: Final = 500
_BOM: Final = "\ufeff"
# What a spreadsheet takes for the beginning of a formula.
_ACTIVE: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_WIDEST: Final = 40


def harmless(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: an apostrophe before what it would run."""
    return f"'{text}" if text.startswith(_ACTIVE) else text


def moment(at: datetime | None) -> str:
    """Return a moment as it stands in a table, in the zone it is in."""
    return at.strftime("%Y-%m-%d %H:%M:%S") if at else ""


class _Line:
    """What ``csv`` takes for a file: hands each line back instead of keeping it."""

    def write(self, text: str) -> str:
        return text


def csv_lines(headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[bytes]:
    """Yield a CSV file piece by piece: UTF-8 with a mark at the beginning, or Excel would read it as GBK."""
    writer = csv.writer(_Line())
    pieces = [_BOM, writer.writerow(headings)]
    for row in rows:
        pieces.append(writer.writerow([_text(cell) for cell in row]))
        if len(pieces) >= _CHUNK:
            yield "".join(pieces).encode()
            pieces = []
    yield "".join(pieces).encode()


def _text(cell: Cell) -> str:
    return harmless(cell) if isinstance(cell, str) else "" if cell is None else str(cell)


def xlsx_file(headings: Sequence[str], rows: Iterable[Sequence[Cell]], *, title: str) -> IO[bytes]:
    """Return an XLSX as an open file on the disk, gone when it is closed; the rows are never all in memory."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet(title[:31])
    sheet.freeze_panes = "A2"
    for number, heading in enumerate(headings, start=1):
        letter = get_column_letter(number)
        sheet.column_dimensions[letter].width = min(max(12, 2 * len(heading) + 6), _WIDEST)
    sheet.append([_written(sheet, heading) for heading in headings])
    for row in rows:
        sheet.append([_written(sheet, cell) for cell in row])
    file = tempfile.TemporaryFile()  # noqa: SIM115
    book.save(file)
    file.seek(0)
    return file


def _written(sheet: Any, cell: Cell) -> object:
    """A text is written as one, whatever it looks like; a number stays one."""
    if not isinstance(cell, str):
        return cell
    written = WriteOnlyCell(sheet, value="")
    written.value = harmless(ILLEGAL_CHARACTERS_RE.sub("", cell))
    written.data_type = "s"
    written.number_format = "@"
    return written
