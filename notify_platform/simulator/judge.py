"""WeChat's own judgement of a message's values, written a second time on purpose.

The platform checks values before it sends; this judge must not share that code, or both would be wrong together.
Source: WeChat's docs, "template parameters", and the traps developers report.
"""

from __future__ import annotations

import re
import unicodedata
from calendar import monthrange
from collections.abc import Callable, Mapping

# WeChat cuts what follows "argument invalid! " here, in the middle of a word if need be.
CUT = 30

_HAN = "\u4e00-\u9fff"
_CLOCK = r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?"
_DAYS = tuple(
    re.compile(pattern, re.ASCII)
    for pattern in (
        r"(?P<y>\d{4})年(?P<m>\d{1,2})月(?P<d>\d{1,2})日",
        r"(?P<y>\d{4})年(?P<m>\d{1,2})月",
        r"(?P<m>\d{1,2})月(?P<d>\d{1,2})日",
        r"(?P<y>\d{4})(?P<sep>[-/.])(?P<m>\d{1,2})(?P=sep)(?P<d>\d{1,2})",
        r"(?P<y>\d{4})-(?P<m>\d{2})",
        r"(?P<m>\d{2})-(?P<d>\d{2})",
    )
)
_LEAP_YEAR = 2024  # a day without a year may be 29 February


def _whole(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.ASCII)
    return lambda value: compiled.fullmatch(value) is not None


def _short_text(limit: int) -> Callable[[str], bool]:
    # Characters beyond the BMP (most emoji) count twice: how WeChat counts them is not documented; this is stricter.
    return lambda value: len(value.encode("utf-16-le")) <= 2 * limit


def _number(value: str) -> bool:
    return bool(re.fullmatch(r"[0-9]+(\.[0-9]+)?", value)) and len(value.replace(".", "")) <= 32


def _symbol(value: str) -> bool:
    if len(value) > 5:
        return False
    return all(unicodedata.category(character)[0] in "PS" for character in value)


def _amount(value: str) -> bool:
    matched = re.fullmatch(r"[¥￥$€£]?([0-9]{1,10}(?:\.[0-9]{1,2})?)元?", value)
    return matched is not None and len(matched[1].replace(".", "")) <= 10


def _name(value: str) -> bool:
    if re.fullmatch(r"[A-Za-z .\-'·]{1,20}", value):
        return True
    return bool(re.fullmatch(rf"[{_HAN}A-Za-z .\-'·]{{1,10}}", value))


def _is_day(value: str) -> bool:
    for pattern in _DAYS:
        matched = pattern.fullmatch(value)
        if matched:
            parts = {"y": str(_LEAP_YEAR), "d": "1", **{k: v for k, v in matched.groupdict().items() if k != "sep"}}
            year, month, day = int(parts["y"]), int(parts["m"]), int(parts["d"])
            return 1 <= month <= 12 and year > 0 and 1 <= day <= monthrange(year, month)[1]
    return False


def _is_moment(value: str, *, clock_alone: bool) -> bool:
    """Return whether ``value`` is a clock time (``clock_alone``) or a day (not), or a day with a clock time."""
    day, space, clock = value.partition(" ")
    if space:
        return _is_day(day) and re.fullmatch(_CLOCK, clock, re.ASCII) is not None
    return re.fullmatch(_CLOCK, value, re.ASCII) is not None if clock_alone else _is_day(value)


def _time(value: str) -> bool:
    return _range(value, clock_alone=True)


def _date(value: str) -> bool:
    return _range(value, clock_alone=False)


def _range(value: str, *, clock_alone: bool) -> bool:
    """Return whether ``value`` is one moment or two joined by an ASCII tilde; the second may be a clock time alone."""
    start, tilde, end = value.partition("~")
    if not _is_moment(start, clock_alone=clock_alone):
        return False
    if not tilde:
        return True
    ends_with_clock = ":" in start and _is_moment(end, clock_alone=True)
    return ends_with_clock or _is_moment(end, clock_alone=clock_alone)


_RULES: dict[str, Callable[[str], bool]] = {
    "thing": _short_text(20),
    "short_thing": _short_text(5),
    "number": _number,
    "letter": _whole(r"[A-Za-z]{1,32}"),
    "symbol": _symbol,
    "character_string": _whole(r"[\x21-\x7e]{1,32}"),
    "time": _time,
    "date": _date,
    "amount": _amount,
    "phone_number": _whole(r"[0-9+\-() #*]{1,17}"),
    "car_number": _whole(rf"[{_HAN}A-Z][A-Z0-9]{{1,6}}[{_HAN}A-Z0-9]"),
    "name": _name,
    "phrase": _whole(rf"[{_HAN}]{{1,5}}"),
}


def allows(key: str, value: str, *, choices: frozenset[str] | None = None) -> bool:
    """Return whether WeChat takes ``value`` for the field ``key`` (``thing1``).

    ``choices`` are the values of an enumeration field. A field of a type nobody documented takes any printable text.
    """
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in value):
        return False
    if choices is not None:
        return value in choices
    rule = _RULES.get(key.rstrip("0123456789"))
    return rule is None or rule(value)


def complaint(
    data: object, *, fields: tuple[str, ...], choices: Mapping[str, frozenset[str]] | None = None
) -> str | None:
    """Return what WeChat says about the first bad field of ``data``, cut as WeChat cuts it, or None.

    ``fields`` are the template's keys in the order of the card. Data that is no object looks empty, as it does there.
    """
    given = data if isinstance(data, dict) else {}
    for key in fields:
        item = given.get(key)
        value = item.get("value") if isinstance(item, dict) else None
        if value is None or (isinstance(value, str) and not value.strip()):
            return f"data.{key}.value is empty"[:CUT]
        if not isinstance(value, str) or not allows(key, value, choices=(choices or {}).get(key)):
            return f"data.{key}.value invalid"[:CUT]
    for key in given:
        if key not in fields:
            return f"data.{key}.value invalid"[:CUT]
    return None
