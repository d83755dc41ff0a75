"""The rules of template fields, in one table: what WeChat takes in ``thing1``, ``amount3``, ``date2`` …

To teach the platform a new field type, add one row to ``_ROWS`` (and a check function, if a pattern is not enough).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import product
from types import MappingProxyType
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import regex
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

SHANGHAI = ZoneInfo("Asia/Shanghai")

# --- counting ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Measure:
    """What a limit counts, and the sentence when there is too much of it (``%(count)d``, ``%(limit)d``)."""

    count: Callable[[str], int]
    too_long: _StrPromise


def count_characters(text: str) -> int:
    """Count as WeChat may: 1 per character, 2 for an emoji or another one beyond U+FFFF.

    WeChat's docs do not say how an emoji counts; 2 is the larger reading.
    """
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _count_digits(text: str) -> int:
    return sum(map(text.count, "0123456789"))


CHARACTERS = Measure(
    count=count_characters,
    too_long=_("It has %(count)d characters and WeChat takes at most %(limit)d (an emoji counts as two). Shorten it."),
)
DIGITS = Measure(
    count=_count_digits,
    too_long=_("It has %(count)d digits and WeChat takes at most %(limit)d. Use a shorter number."),
)

# --- tidying -------------------------------------------------------------------------------------------------------

# ZWJ stays inside an emoji, the tags stay inside a flag, joiners stay inside scripts that are written with them;
# every other control or format character is invisible and may only break the message.
_JUNK = regex.compile(
    r"""( 🏴[\U000E0020-\U000E007E]+\U000E007F
        | (?<=[\p{Extended_Pictographic}\p{Emoji_Modifier}\uFE0F])\u200D(?=\p{Extended_Pictographic})
        | (?<=[[\p{Arabic}\p{Mongolian}\p{Devanagari}]&&[\p{L}\p{M}]])[\u180E\u200C\u200D](?=\p{L})
        ) | [[\p{Cc}\p{Cf}\p{Cs}]--[\t-\r\x1C-\x1F\x85]]""",
    regex.VERBOSE | regex.V1,
)
_SPACES = re.compile(r"\s+")
_LINE_BREAKS = frozenset("\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029")
# Letters and symbols that are drawn as nothing; people use them as an invisible nickname.
_INVISIBLE = " \u3000\u115f\u1160\u2800\u3164\uffa0"
_HALF_WIDTH = {0xFF01 + step: 0x21 + step for step in range(94)} | {ord("\u3000"): " ", ord("〜"): "~"}
_SECONDS = re.compile(r"(?<![0-9:])([0-9]{1,2}:[0-9]{2}):[0-5][0-9](?:\.[0-9]+)?(?![0-9:.])")


def _one_space(run: re.Match[str]) -> str:
    return run[0] if _LINE_BREAKS.isdisjoint(run[0]) else " "


def _clean(text: str) -> str:
    # isprintable() is false for every character the patterns look for, and thirty times faster than they are.
    if not text.isprintable():
        text = _SPACES.sub(_one_space, _JUNK.sub(r"\1", text))
    return text.strip()


def _as_it_is(text: str) -> str:
    return text


def _half_width(text: str) -> str:
    return text if text.isascii() else text.translate(_HALF_WIDTH)


def _plain_moment(text: str) -> str:
    ends = _half_width(text).split("~")
    return _SECONDS.sub(r"\1", "~".join(" ".join(end.split()) for end in ends))


# --- dates and times -----------------------------------------------------------------------------------------------

_CLOCK = re.compile(r"(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?")
_DAYS = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?:(?P<year>[0-9]{4})年)?(?P<month>[0-9]{1,2})月(?P<day>[0-9]{1,2})日",
        r"(?P<year>[0-9]{4})(?P<sign>[-/.])(?P<month>[0-9]{1,2})(?P=sign)(?P<day>[0-9]{1,2})",
        r"(?P<month>[0-9]{2})[-/.](?P<day>[0-9]{2})",
    )
)
_MONTH = re.compile(r"(?!0000)[0-9]{4}(?:年(?:0?[1-9]|1[0-2])月|[-/.](?:0[1-9]|1[0-2]))")
_ANY_LEAP_YEAR = "2000"


def _is_day(text: str) -> bool:
    match = next(filter(None, (pattern.fullmatch(text) for pattern in _DAYS)), None)
    if match is None:
        return False
    parts = match.groupdict()
    try:
        date(int(parts.get("year") or _ANY_LEAP_YEAR), int(parts["month"]), int(parts["day"]))
    except ValueError:
        return False
    return True


def _shape(text: str) -> str:
    """Name the parts of one end of a range: ``D`` a day or month, ``T`` a time, ``DT`` a day with a time, or ``?``."""
    if _CLOCK.fullmatch(text):
        return "T"
    day, space, clock = text.partition(" ")
    if space:
        return "DT" if _is_day(day) and _CLOCK.fullmatch(clock) else "?"
    return "D" if _is_day(day) or _MONTH.fullmatch(day) else "?"


def _shapes(*ends: str) -> frozenset[str]:
    return frozenset(ends) | {f"{start}~{end}" for start, end in product(ends, repeat=2)}


_TIME_SHAPES = _shapes("T", "DT")
_DATE_SHAPES = _shapes("D", "DT") | {"DT~T"}


def _is_time(text: str) -> bool:
    return "~".join(map(_shape, text.split("~"))) in _TIME_SHAPES


def _is_date(text: str) -> bool:
    return "~".join(map(_shape, text.split("~"))) in _DATE_SHAPES


# --- the table -----------------------------------------------------------------------------------------------------

_HAN = r"\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_ANY_HAN = re.compile(f"[{_HAN}]")
_ANYTHING = _("Any text in one line.")


@dataclass(frozen=True, slots=True)
class FieldType:
    """One parameter type: its limit, its rule, and the sentence when the rule is broken."""

    prefix: str
    label: _StrPromise
    # The largest amount of what ``counted`` counts; None: WeChat's docs give no limit.
    limit: int | None = None
    # The smaller limit once the text holds a Chinese character; None: the same.
    limit_with_chinese: int | None = None
    counted: Measure = CHARACTERS
    tidy: Callable[[str], str] = _as_it_is
    # Truthy when the (tidied, not empty, not too long) text keeps the rule.
    accepts: Callable[[str], object] = bool
    rule: _StrPromise = _ANYTHING
    # What ``fit`` puts after a cut. None: never cut, because a cut order number is a wrong order number.
    ending: str | None = None
    moment: str = "{0.year:04d}年{0.month}月{0.day}日 {0.hour:02d}:{0.minute:02d}"

    def limit_for(self, text: str) -> int | None:
        """Return the limit that holds for this text; None: no limit is known."""
        if self.limit_with_chinese is not None and _ANY_HAN.search(text):
            return self.limit_with_chinese
        return self.limit


# WeChat's docs: the parameter table of subscribeMessage.send, with what its footnotes and developers' reports add.
_ROWS = (
    FieldType("thing", _("Thing"), limit=20, ending="…"),
    FieldType("short_thing", _("Short thing"), limit=5, ending="…"),
    FieldType(
        "number",
        _("Number"),
        limit=32,
        counted=DIGITS,
        tidy=_half_width,
        accepts=re.compile(r"[0-9]+(?:\.[0-9]+)?").fullmatch,
        rule=_("Only digits and one decimal point, without sign, unit or thousands separator, e.g. 12.50."),
    ),
    FieldType(
        "letter",
        _("Letters"),
        limit=32,
        accepts=re.compile(r"[A-Za-z]+").fullmatch,
        rule=_("Only the letters A to Z and a to z, without spaces."),
    ),
    FieldType(
        "symbol",
        _("Symbols"),
        limit=5,
        accepts=regex.compile(r"[\p{P}\p{S}]+").fullmatch,
        rule=_("Only symbols: no letters, digits, Chinese characters or spaces."),
    ),
    FieldType(
        "character_string",
        _("Character string"),
        limit=32,
        accepts=re.compile(r"[\x21-\x7e]+").fullmatch,
        rule=_("Only letters, digits and half-width symbols, without spaces or Chinese characters, e.g. S11-001."),
        moment="{0.year:04d}-{0.month:02d}-{0.day:02d}T{0.hour:02d}:{0.minute:02d}",
    ),
    FieldType(
        "time",
        _("Time"),
        tidy=_plain_moment,
        accepts=_is_time,
        rule=_(
            "Write a time of 24 hours, with a real date or without, e.g. 15:01, 2026年11月23日 15:01 or 15:01~16:00."
        ),
    ),
    FieldType(
        "date",
        _("Date"),
        tidy=_plain_moment,
        accepts=_is_date,
        rule=_(
            "Write a real date, with a time or without, e.g. 2026年11月23日, 2026-11-23 15:01 or 2026-11-23~2026-11-25."
        ),
    ),
    FieldType(
        "amount",
        _("Amount"),
        limit=10,
        counted=DIGITS,
        tidy=_half_width,
        accepts=re.compile(r"[¥￥$€£]?[0-9]+(?:\.[0-9]{1,2})?元?").fullmatch,
        rule=_(
            "Only a currency sign in front, digits with at most 2 decimals, and 元 at the end, e.g. ¥100.00 or 100.5元."
        ),
    ),
    FieldType(
        "phone_number",
        _("Phone number"),
        limit=17,
        tidy=_half_width,
        accepts=re.compile(r"[0-9+\-() #*]+").fullmatch,
        rule=_("Only digits and + - ( ) # *, e.g. +86-0766-66888866."),
    ),
    FieldType(
        "car_number",
        _("Licence plate"),
        limit=8,
        accepts=re.compile(f"[{_HAN}A-Z][A-Z0-9]{{1,6}}[{_HAN}A-Z0-9]").fullmatch,
        rule=_("Capital letters and digits; the first and the last may be Chinese, e.g. 粤A8Z888挂."),
    ),
    FieldType(
        "name",
        _("Name"),
        limit=20,
        limit_with_chinese=10,
        accepts=re.compile(f"[{_HAN}A-Za-z .\\-'·]+").fullmatch,
        rule=_("Only Chinese characters or letters, no digits. A nickname belongs in a “thing” field."),
        ending="",
    ),
    FieldType(
        "phrase",
        _("Chinese phrase"),
        limit=5,
        accepts=re.compile(f"[{_HAN}]+").fullmatch,
        rule=_("Only Chinese characters, without punctuation, digits or letters, e.g. 配送中."),
        ending="",
    ),
    FieldType("enum_string", _("Choice")),
    FieldType("const", _("Constant")),
    FieldType("site", _("Site")),
)
FIELD_TYPES: Mapping[str, FieldType] = MappingProxyType({row.prefix: row for row in _ROWS})
# WeChat adds types without notice: never empty, no control characters, and WeChat decides the rest.
_UNKNOWN = FieldType("", _("Unknown type"))

# --- what one asks -------------------------------------------------------------------------------------------------

_UNSENDABLE = regex.compile(r"[\p{Cc}\p{Cs}\u2028\u2029]")
_CLUSTER = regex.compile(r"\X")
_CHOICES_SHOWN = 8


def field_type(key: str) -> FieldType:
    """Return the type of a field key, ``thing10`` → thing; a prefix nobody knows gets a lenient type of its own."""
    return FIELD_TYPES.get(key.rstrip("0123456789"), _UNKNOWN)


def is_blank(text: str) -> bool:
    """Whether a reader would see nothing at all."""
    return not _clean(text).strip(_INVISIBLE)


def normalise(*, key: str, text: str) -> str:
    """Return the text as it should be sent; asking twice changes nothing.

    Ends are stripped, line breaks and tabs become one space, invisible characters go (those inside an emoji stay).
    Numbers, amounts, phone numbers, times and dates are written half-width; times and dates lose their seconds,
    because developers report that WeChat refuses some of them.
    """
    return field_type(key).tidy(_clean(text))


def problem(*, key: str, text: str, choices: Sequence[str] = ()) -> str | None:
    """Say why WeChat would refuse this text and what to do about it, or return None when it would not.

    ``text`` is judged as it is; normalise it first. ``choices`` are the allowed values of an enumeration; without
    them an enumeration is left for WeChat to judge.
    """
    if is_blank(text):
        return gettext("It is empty, and WeChat refuses a message with an empty field. Write something.")
    if not text.isprintable() and _UNSENDABLE.search(text):
        return gettext("It holds a line break or another control character. Write it in one line.")
    if choices:
        return None if text in choices else _not_a_choice(choices)
    rules = field_type(key)
    limit = rules.limit_for(text)
    if limit is not None and (count := rules.counted.count(text)) > limit:
        return rules.counted.too_long % {"count": count, "limit": limit}
    return None if rules.accepts(text) else str(rules.rule)


def _not_a_choice(choices: Sequence[str]) -> str:
    shown = "、".join(choices[:_CHOICES_SHOWN]) + (" …" if len(choices) > _CHOICES_SHOWN else "")
    return gettext("It is not one of the values WeChat allows here. Choose one of: %(choices)s") % {"choices": shown}


def format_moment(*, key: str, moment: datetime, zone: ZoneInfo = SHANGHAI) -> str:
    """Write an aware moment for this field, in ``zone`` and without seconds: ``2026年11月23日 14:05``.

    A character string may hold neither Chinese nor a space and gets ``2026-11-23T14:05``. Raises ``ValueError`` for a
    moment without a time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("A moment without a time zone cannot be shown to a person.")
    return field_type(key).moment.format(moment.astimezone(zone))


def fit(*, key: str, text: str) -> str:
    """Shorten a text to its limit without splitting an emoji or an accented letter; what fits is unchanged.

    A thing ends in ``…`` (which is counted); a name or a phrase, where ``…`` is refused, is cut bare. Other types are
    never cut: ``problem`` will say that they are too long.
    """
    rules = field_type(key)
    limit = rules.limit_for(text)
    if limit is None or rules.ending is None or rules.counted.count(text) <= limit:
        return text
    room = limit - len(rules.ending)
    end = 0
    for cluster in _CLUSTER.finditer(text):
        room -= rules.counted.count(cluster[0])
        if room < 0:
            break
        end = cluster.end()
    return text[:end].rstrip() + rules.ending
