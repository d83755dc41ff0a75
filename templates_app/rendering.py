"""From a wording to the words one person gets.

A wording is text with ``{{ nickname }}`` or ``{{ nickname | friend }}`` in it. It can reach the values it is given and
nothing else: there are no attributes, no calls and no tags to reach with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Final

import regex
from django.utils.translation import gettext

from notify_platform.core.errors import Refused
from templates_app import fields as rules
from templates_app.models import MessageTemplate

# --- what is written -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field to be written: its key, its label, its allowed values; not ``strict``: a broken rule only warns."""

    key: str
    label: str
    choices: tuple[str, ...] = ()
    strict: bool = True


def specs_of(template: MessageTemplate) -> list[FieldSpec]:
    """Return the fields of a template in the order of the card; one query, none when they are prefetched."""
    return [
        FieldSpec(key=row.key, label=row.label, choices=tuple(row.choices), strict=row.strict)
        for row in template.fields.all()
    ]


class WordingError(Refused):
    """A wording cannot be used; ``fields`` maps each field's key to what is wrong with it."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(
            gettext("This wording cannot be sent yet. Correct the fields named."), code="wording", fields=fields
        )


@dataclass(frozen=True, slots=True)
class Rendered:
    """The words of one message: ``data`` by field key, ``problems`` that block it, ``warnings`` that do not."""

    data: dict[str, str]
    problems: dict[str, str]
    warnings: dict[str, str]


# --- placeholders --------------------------------------------------------------------------------------------------

_BRACES = re.compile(r"\{\{+[^{}]*\}\}+")
_PLACEHOLDER = re.compile(r"\{\{\s*(?P<name>[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*)\s*(?:\|(?P<fallback>[^{}|]*))?\}\}")
# Full-width braces and tags of other languages would reach a person as they stand.
_LEFTOVER = re.compile(r"\{\{|\}\}|\{%|%\}|｛｛|｝｝")
_OTHER_FILTER = re.compile(r"default\s*:")


class _BadSyntax(Exception):
    """A placeholder nobody can read; the text is a sentence for the person who wrote it."""


@dataclass(frozen=True, slots=True)
class _Hole:
    """A placeholder: its index among the pieces of its text, and what stands there when the value is missing."""

    index: int
    name: str
    fallback: str | None


def _hole(text: str, *, index: int) -> _Hole:
    match = _PLACEHOLDER.fullmatch(text)
    fallback = match["fallback"] if match else None
    if match is None or (fallback is not None and (rules.is_blank(fallback) or _OTHER_FILTER.match(fallback.strip()))):
        raise _BadSyntax(
            gettext(
                "“%(text)s” is not a placeholder. Write {{ nickname }}, or {{ nickname | friend }} with the words to "
                "use when there is no nickname; names are small letters, digits and _."
            )
            % {"text": text}
        )
    return _Hole(index=index, name=match["name"], fallback=None if fallback is None else fallback.strip())


def _literal(text: str) -> str:
    if leftover := _LEFTOVER.search(text):
        raise _BadSyntax(
            gettext("“%(text)s” does not belong to a placeholder. A placeholder is written {{ nickname }}.")
            % {"text": leftover[0]}
        )
    return text


def _parse(text: str) -> tuple[list[str], list[_Hole]]:
    """Split a text into its pieces (an empty one for each placeholder) and its placeholders."""
    pieces: list[str] = []
    holes: list[_Hole] = []
    start = 0
    for braces in _BRACES.finditer(text):
        pieces += [_literal(text[start : braces.start()]), ""]
        holes.append(_hole(braces[0], index=len(pieces) - 1))
        start = braces.end()
    pieces.append(_literal(text[start:]))
    return pieces, holes


# --- values --------------------------------------------------------------------------------------------------------

_DECIMAL_PLACES: Final = 40


def _number_text(value: int | float | Decimal) -> str | None:
    try:
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    except (ArithmeticError, ValueError):
        return None
    if not number.is_finite() or abs(number.adjusted()) > _DECIMAL_PLACES:
        return None
    return format(number, "f")


def _value_text(value: object, *, key: str) -> str | None:
    """Write a value as text: empty when there is none, ``None`` when it is nothing one can write into a sentence."""
    if value is None:
        return ""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, datetime):
        return None if value.tzinfo is None else rules.format_moment(key=key, moment=value)
    if isinstance(value, date):
        return f"{value.year:04d}年{value.month}月{value.day}日"
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return _number_text(value)
    return None


# --- the wording ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Text:
    """One field's text, read once: the pieces between the placeholders and the placeholders."""

    spec: FieldSpec
    pieces: list[str]
    holes: list[_Hole]
    fitted: bool

    def write(self, values: Mapping[str, object]) -> tuple[str, str | None]:
        """Return the finished text, and what is wrong with the values if something is."""
        key = self.spec.key
        pieces = self.pieces.copy()
        trouble = None
        for hole in self.holes:
            value = values.get(hole.name)
            text = value if type(value) is str else _value_text(value, key=key)
            if text is None:
                trouble = trouble or _unwritable(hole.name)
            elif not rules.is_blank(text):
                pieces[hole.index] = text
            elif hole.fallback is not None:
                pieces[hole.index] = hole.fallback
            else:
                trouble = trouble or _missing(hole.name)
        finished = rules.normalise(key=key, text="".join(pieces))
        return (rules.fit(key=key, text=finished) if self.fitted else finished), trouble

    def judge(self, text: str) -> tuple[str | None, bool]:
        """Return what is wrong with a finished text, and whether that blocks the message."""
        sentence = rules.problem(key=self.spec.key, text=text, choices=self.spec.choices)
        # WeChat refuses an empty field whatever the rules say, so that is never only a warning.
        return sentence, sentence is not None and (self.spec.strict or rules.is_blank(text))


def _missing(name: str) -> str:
    return gettext("There is no “%(name)s” for this person. Give the placeholder other words: {{ %(name)s | … }}.") % {
        "name": name
    }


def _unwritable(name: str) -> str:
    return gettext(
        "“%(name)s” is neither a text, a number, a date nor a moment with a time zone, so it cannot be written."
    ) % {"name": name}


@dataclass(frozen=True, slots=True)
class Wording:
    """The texts of all fields of one template, read and checked once, written for any number of people."""

    placeholders: frozenset[str]
    _data: dict[str, str] = field(repr=False)
    _warnings: dict[str, str] = field(repr=False)
    _live: tuple[_Text, ...] = field(repr=False)

    @classmethod
    def compile(cls, *, fields: Sequence[FieldSpec], texts: Mapping[str, str], fit: Collection[str] = ()) -> Wording:
        """Read one text per field; ``fit`` names the keys of fields that are shortened to their limit.

        Raises ``WordingError`` when a field has no text, a text has no field, a placeholder cannot be read, or a text
        without placeholders breaks the rule of its (strict) field.
        """
        errors = {key: gettext("The template has no such field.") for key in texts.keys() - {s.key for s in fields}}
        data: dict[str, str] = {}
        warnings: dict[str, str] = {}
        live: list[_Text] = []
        for spec in fields:
            try:
                text = _read(spec, texts=texts, fitted=spec.key in fit)
            except _BadSyntax as error:
                errors[spec.key] = str(error)
                continue
            data[spec.key] = ""
            if text.holes:
                live.append(text)
                continue
            data[spec.key], _trouble = text.write({})
            sentence, blocks = text.judge(data[spec.key])
            if sentence is not None:
                (errors if blocks else warnings)[spec.key] = sentence
        if errors:
            raise WordingError(errors)
        names = frozenset(hole.name for text in live for hole in text.holes)
        return cls(placeholders=names, _data=data, _warnings=warnings, _live=tuple(live))

    def render(self, values: Mapping[str, object]) -> Rendered:
        """Write the words for one person; what cannot be written or breaks a rule is told in the result.

        Values may be text, numbers, dates and aware moments (written in Shanghai time). A value that is missing, empty
        or invisible is replaced by the placeholder's other words, or is a problem.
        """
        data = self._data.copy()
        problems: dict[str, str] = {}
        warnings = self._warnings.copy()
        for text in self._live:
            key = text.spec.key
            data[key], trouble = text.write(values)
            if trouble is not None:
                problems[key] = trouble
                continue
            sentence, blocks = text.judge(data[key])
            if sentence is not None:
                (problems if blocks else warnings)[key] = sentence
        return Rendered(data=data, problems=problems, warnings=warnings)


def _read(spec: FieldSpec, *, texts: Mapping[str, str], fitted: bool) -> _Text:
    if spec.key not in texts:
        raise _BadSyntax(gettext("Nothing is written for “%(label)s”. Write its text.") % {"label": spec.label})
    pieces, holes = _parse(texts[spec.key])
    return _Text(spec=spec, pieces=pieces, holes=holes, fitted=fitted)


# --- the request ---------------------------------------------------------------------------------------------------

# WeChat's docs give no limit; this leaves room for the key we add and stays far below what a URL may be.
PAGE_LIMIT: Final = 512
_PAGE_JUNK = regex.compile(r"[\s\p{Cc}\p{Cf}\p{Cs}]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:|//")
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def page_problem(page: str) -> str | None:
    """Say what is wrong with the page a card opens, or return None; an empty page is a card that opens nothing."""
    if len(page) > PAGE_LIMIT:
        return gettext("The page has %(count)d characters; at most %(limit)d are sent. Shorten its query.") % {
            "count": len(page),
            "limit": PAGE_LIMIT,
        }
    if _PAGE_JUNK.search(page):
        return gettext("A page holds no spaces or control characters. Write them encoded, e.g. %20.")
    if _SCHEME.match(page):
        return gettext("A card opens a page of this mini-program, not an address. Write e.g. pages/order/detail?id=1.")
    return None


def body(*, openid: str, template: str, page: str, data: Mapping[str, str], miniprogram_state: str, lang: str) -> bytes:
    """Return the JSON body of one message, in raw UTF-8 (WeChat misjudges escapes).

    WeChat's docs, subscribeMessage.send: every value is a string in an object of its own; a page has no leading slash
    and is left out when the card opens nothing.
    """
    message: dict[str, object] = {"touser": openid, "template_id": template}
    if page := page.lstrip("/"):
        message["page"] = page
    message["data"] = {key: {"value": value} for key, value in data.items()}
    message["miniprogram_state"] = miniprogram_state
    message["lang"] = lang
    return _encode(message).encode()
