"""Reading a template's own text: which fields it has, under which labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_DATA = ".DATA"
_KEYWORD = re.compile(r"\{\{\s*(?P<key>[A-Za-z][A-Za-z0-9_]*)\.DATA\s*\}\}")
_COLONS = ":："
_FIRST_COLON = re.compile(f"[{_COLONS}]")


@dataclass(frozen=True, slots=True)
class ParsedField:
    """One keyword (关键词) as WeChat describes it: key (``thing1``), label, sample, and the allowed values if any."""

    key: str
    label: str
    example: str = ""
    choices: tuple[str, ...] = ()


def parse_content(*, content: str, example: str, enums: Sequence[Mapping[str, object]]) -> list[ParsedField]:
    """Read the fields of one template, in the order of the card.

    WeChat's docs, gettemplate: ``content`` has lines like ``会议时间:{{date2.DATA}}``, ``example`` the same lines with
    samples, ``keywordEnumValueList`` (here ``enums``) codes like ``enum_string2.DATA``. The label ends at the last
    colon before the braces. Text without a placeholder is no field; a key that comes twice counts once.
    """
    allowed = _choices(enums)
    samples = _lines(example)
    fields: dict[str, ParsedField] = {}
    for number, line in enumerate(_lines(content)):
        start = 0
        for keyword in _KEYWORD.finditer(line):
            key = keyword["key"]
            label = line[start : keyword.start()].rstrip().rstrip(_COLONS).strip()
            start = keyword.end()
            sample = _sample(label=label, number=number, samples=samples)
            fields.setdefault(key, ParsedField(key, label or key, sample, allowed.get(key, ())))
    return list(fields.values())


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _sample(*, label: str, number: int, samples: Sequence[str]) -> str:
    line = samples[number] if number < len(samples) else ""
    rest = line.removeprefix(label).lstrip()
    if _FIRST_COLON.match(rest):
        return rest[1:].strip()
    return _FIRST_COLON.split(line, maxsplit=1)[-1].strip()


def _choices(enums: Sequence[Mapping[str, object]]) -> dict[str, tuple[str, ...]]:
    choices: dict[str, tuple[str, ...]] = {}
    for entry in enums:
        code, values = entry.get("keywordCode"), entry.get("enumValueList")
        if isinstance(code, str) and isinstance(values, Sequence) and not isinstance(values, str):
            choices[code.strip().removesuffix(_DATA)] = tuple(value for value in values if isinstance(value, str))
    return choices
