"""Reading what callers send: JSON of a bounded length, with every type as it should be.

DRF is lenient (the number 7 passes for a text, the text "7" for a number); here a wrong type is an error, because a
client that gets its types wrong gets other things wrong too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, time
from decimal import ROUND_HALF_UP, Decimal
from typing import IO, Any, Final, NoReturn

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from notify_platform.api.errors import TooLarge
from notify_platform.core.documents import check_storable

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_CLOCK: Final = re.compile(r"^(?:[01][0-9]|2[0-3]):[0-5][0-9]$")
_AMOUNT: Final = re.compile(r"^[0-9]{1,10}(?:\.[0-9]{1,2})?$")
_CENT: Final = Decimal("0.01")
LARGEST_AMOUNT: Final = 9_999_999_999.99
DEEPEST_DATA: Final = 8


class JsonParser(BaseParser):
    """JSON in UTF-8, at most ``max_body_bytes`` of the view."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the document. Raises ``TooLarge`` and ``ParseError``."""
        limit: int = (parser_context or {})["view"].max_body_bytes
        try:
            body: bytes = stream.read(limit + 1)
        except OSError as error:
            raise ParseError(_("The body did not arrive.")) from error
        if len(body) > limit:
            raise TooLarge
        try:
            return json.loads(body.decode(), parse_constant=_no_number)
        # Deeply nested brackets end the parser's patience, not ours.
        except (ValueError, RecursionError) as error:
            raise ParseError(_("The body is not JSON in UTF-8.")) from error


def _no_number(word: str) -> NoReturn:
    """NaN and Infinity are Python's, not JSON's."""
    raise ValueError(word)


class Text(serializers.CharField):
    """A text and nothing that could be made one."""

    def to_internal_value(self, data: Any) -> str:
        """Refuse what is no text."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Whole(serializers.IntegerField):
    """A whole number, not a text of digits."""

    def to_internal_value(self, data: Any) -> int:
        """Refuse what is no whole number."""
        if not isinstance(data, int):
            self.fail("invalid")
        return super().to_internal_value(data)


class Matching(serializers.RegexField):
    """A text of one shape, told to the caller in words."""

    default_error_messages = {"invalid": gettext_lazy("This value has the wrong shape.")}

    def __init__(self, regex: str, **options: Any) -> None:
        super().__init__(regex, trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        """Refuse what is no text."""
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class Flag(serializers.BooleanField):
    """True or false, not a text that says so."""

    def to_internal_value(self, data: Any) -> bool:
        """Refuse everything else."""
        if not isinstance(data, bool):
            self.fail("invalid")
        return data


class Line(Text):
    """One line to be shown to people: no line breaks, no other control characters."""

    default_error_messages = {"control": gettext_lazy("Line breaks and other control characters are not allowed.")}

    def to_internal_value(self, data: Any) -> str:
        """Refuse what would break a line or hide in it."""
        value = super().to_internal_value(data)
        if _CONTROL.search(value):
            self.fail("control")
        return value


class Lines(serializers.ListField):
    """A few words, each once, in the order given."""

    def __init__(self, **options: Any) -> None:
        super().__init__(child=Line(max_length=40), max_length=20, **options)

    def run_validation(self, data: Any = serializers.empty) -> list[str]:
        """Leave out repetitions, once the list as it came is found good."""
        return list(dict.fromkeys(super().run_validation(data)))


class Moment(serializers.DateTimeField):
    """A moment in UTC, to the second: the one form every phone can read. Read with any offset, but never without."""

    def __init__(self, **options: Any) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M:%SZ", default_timezone=UTC, **options)

    def to_internal_value(self, value: Any) -> datetime:
        """Refuse a moment that depends on where one is."""
        if not isinstance(value, str) or not _MOMENT.fullmatch(value):
            self.fail("invalid", format="YYYY-MM-DDThh:mm:ssZ")
        return super().to_internal_value(value.upper())


@extend_schema_field({"type": "string", "pattern": _CLOCK.pattern})
class Clock(serializers.TimeField):
    """A time of day, to the minute."""

    def __init__(self, **options: Any) -> None:
        super().__init__(format="%H:%M", input_formats=["%H:%M"], **options)

    def to_internal_value(self, value: Any) -> time:
        """Refuse every other way to write it."""
        if not isinstance(value, str) or not _CLOCK.fullmatch(value):
            self.fail("invalid", format="hh:mm")
        return super().to_internal_value(value)


@extend_schema_field(
    {"type": ["number", "string"], "minimum": 0, "maximum": LARGEST_AMOUNT, "pattern": _AMOUNT.pattern}
)
class Amount(serializers.Field[Decimal, Any, Any, Any]):
    """Money: a number, which is rounded to two decimals (on a phone 0.1 + 0.2 is not 0.3), or a text that has them."""

    default_error_messages = {
        "invalid": gettext_lazy("Send a number from 0 to 9999999999.99, or a text like “19.90”."),
    }

    def to_internal_value(self, data: Any) -> Decimal:
        """Refuse what is less than nothing, or more than the books hold."""
        if isinstance(data, str):
            if not _AMOUNT.fullmatch(data):
                self.fail("invalid")
            return Decimal(data)
        if isinstance(data, bool) or not isinstance(data, int | float) or not 0 <= data <= LARGEST_AMOUNT:
            self.fail("invalid")
        return Decimal(str(data)).quantize(_CENT, rounding=ROUND_HALF_UP)


@extend_schema_field({"type": "object", "additionalProperties": {}})
class Document(serializers.Field[dict[str, Any], Any, Any, Any]):
    """An object of any content that can be kept."""

    default_error_messages = {
        "invalid": gettext_lazy("Send an object, at most 8 levels deep, of texts, numbers, lists and objects."),
    }

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Refuse what is no object, or holds what cannot be kept."""
        if not isinstance(data, dict):
            self.fail("invalid")
        try:
            check_storable(data, depth=DEEPEST_DATA)
        except ValueError:
            self.fail("invalid")
        return data
