"""Looking through the parts of an XLSX before anything is built of them: what would fill the memory is refused."""

from __future__ import annotations

import zipfile
from typing import IO, Final
from xml.parsers import expat

from django.utils.translation import gettext as _

from notify_platform.core.errors import Refused

MEGABYTE: Final = 1024 * 1024
# How much all parts, a sheet, the shared strings and any other part may hold when unpacked.
UNPACKED: Final = 512 * MEGABYTE
SHEET_UNPACKED: Final = 256 * MEGABYTE
WORDS_UNPACKED: Final = 128 * MEGABYTE
OTHER_UNPACKED: Final = 4 * MEGABYTE
# How many parts there may be, and how far they may be pressed together.
PARTS: Final = 500
PRESSED: Final = 200
# How many elements all parts may have; a part outside its rows; a row; how many cells a row.
ELEMENTS: Final = 12_000_000
OUTSIDE: Final = 50_000
IN_A_ROW: Final = 10_000
CELLS: Final = 1_000
# A shared formula is worked out anew for every cell that shares it: how many characters that may take.
SHARED_FORMULAS: Final = 10_000_000
_CHUNK: Final = 64 * 1024
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_ROW, _CELL, _FORMULA, _WORD = (_MAIN + tag for tag in ("row", "c", "f", "si"))
# The only parts that are read row by row (or not at all, as the order of formulas), and what others call them.
_KINDS: Final = {_ROW: "worksheet", _WORD: "sharedStrings", _CELL: "calcChain"}
_NAMES: Final = {"xl/sharedstrings.xml": _WORD, "xl/calcchain.xml": _CELL}
_SHEETS: Final = "xl/worksheets"
_FOLDERS: Final = {"", ".", "..", "xl", "worksheets"}
_REFERENCE: Final = {"PartName", "ContentType", "Id", "Type", "Target", "TargetMode"}


def check(file: IO[bytes]) -> None:
    """Refuse a file that would fill the memory or take for ever. A part never gives more than it declares."""
    with zipfile.ZipFile(file) as parts:
        infos = parts.infolist()
        if _is_too_much(infos):
            raise _bomb()
        count = _Count({_last(info.filename): unit for info in infos if (unit := _unit(info.filename))})
        for info in infos:
            _look_through(parts, info, count)
    file.seek(0)


def _is_too_much(infos: list[zipfile.ZipInfo]) -> bool:
    unpacked, packed = sum(info.file_size for info in infos), sum(info.compress_size for info in infos)
    most = {_ROW: SHEET_UNPACKED, _WORD: WORDS_UNPACKED, _CELL: WORDS_UNPACKED, "": OTHER_UNPACKED}
    return (
        unpacked > UNPACKED
        or len(infos) > PARTS
        or (unpacked > 10_000_000 and unpacked > packed * PRESSED)
        or any(info.file_size > most[_unit(info.filename)] for info in infos)
        # Other methods may ask for gigabytes to unpack a byte.
        or any(info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} for info in infos)
    )


def _bomb() -> Refused:
    return Refused(_("This Excel file holds far too much for a list. Save the column of openids as CSV."), code="bomb")


def _unit(name: str) -> str:
    """Return the element that a part of this name is read by, one at a time; empty for a part that is read whole."""
    folder, _slash, last = name.lower().rpartition("/")
    return _ROW if folder == _SHEETS and last.endswith(".xml") else _NAMES.get(name.lower(), "")


def _last(name: str) -> str:
    """Return a part's name without its folders; empty when they are none a part read by units can be in."""
    folders, _slash, last = name.lower().rpartition("/")
    return last if folders.rpartition("/")[2] in _FOLDERS else ""


def _look_through(parts: zipfile.ZipFile, info: zipfile.ZipInfo, count: _Count) -> None:
    look = _Look(_unit(info.filename), count)
    try:
        with parts.open(info) as part:
            while chunk := part.read(_CHUNK):
                look.feed(chunk)
    except expat.ExpatError:
        # No XML, or a broken one: the reader gets no further either.
        return


class _Count:
    """What is counted through all parts, and the parts that are read one unit at a time."""

    __slots__ = ("elements", "units")

    def __init__(self, units: dict[str, str]) -> None:
        self.units = units
        self.elements = 0

    def check_reference(self, attributes: dict[str, str]) -> None:
        """Refuse what names a sheet or the shared strings as something that is read whole."""
        named = attributes.get("PartName") or attributes.get("Target") or ""
        unit = self.units.get(_last(named))
        kind = attributes.get("ContentType") or attributes.get("Type") or ""
        if unit and (not kind.removesuffix("+xml").endswith(_KINDS[unit]) or attributes.keys() - _REFERENCE):
            raise _bomb()


class _Look:
    """One part, looked through as it is unpacked; nothing of it is kept."""

    def __init__(self, unit: str, count: _Count) -> None:
        self.unit, self.count = unit, count
        self.outside = self.inside = self.cells = self.shared = self.longest = self.fed = self.mark = self.formula = 0
        self.is_inside = False
        self.parser = expat.ParserCreate(namespace_separator="}")
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.StartDoctypeDeclHandler = self.doctype

    def feed(self, chunk: bytes) -> None:
        """Look at some more. What lies between two rows, or in one, is held at once: it has the size of a part."""
        self.parser.Parse(chunk, False)
        self.fed += len(chunk)
        if self.fed - self.mark > OTHER_UNPACKED + _CHUNK:
            raise _bomb()

    def doctype(self, *_declared: object) -> None:
        """No program writes one into an XLSX."""
        raise _bomb()

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Count an element where it would be held."""
        self.count.elements += 1
        if name == self.unit:
            self._open()
        elif self.is_inside:
            self.inside += 1
            if name == _CELL:
                self._cell(attributes)
            elif name == _FORMULA:
                self.shared += attributes.get("t") == "shared"
                self.formula = self.parser.CurrentByteIndex
        else:
            self.outside += 1
            if name.rpartition("}")[2] in {"Override", "Relationship"}:
                self.count.check_reference(attributes)
        if self.outside > OUTSIDE or self.inside > IN_A_ROW or self.count.elements > ELEMENTS:
            raise _bomb()

    def _open(self) -> None:
        if self.is_inside:
            raise _bomb()
        self.is_inside, self.inside, self.cells = True, 0, 0

    def _cell(self, attributes: dict[str, str]) -> None:
        """Count a cell; one whose column has three letters makes its row as long as that."""
        self.cells += 1
        if self.cells > CELLS or attributes.get("r", "")[2:3].isalpha():
            raise _bomb()

    def end(self, name: str) -> None:
        """Begin anew after a row."""
        if name == self.unit:
            self.is_inside, self.mark = False, self.parser.CurrentByteIndex
        elif name == _FORMULA and self.is_inside:
            self.longest = max(self.longest, self.parser.CurrentByteIndex - self.formula)
            if self.shared * self.longest > SHARED_FORMULAS:
                raise _bomb()
