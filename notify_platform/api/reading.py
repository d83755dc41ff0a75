"""Reading what callers send: JSON of a bounded length, with every type as it should be.

DRF is lenient (the number 7 passes for a text, the text "7" for a number); here a wrong type is an error, because a
client that gets its types wrong gets other things wrong too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any, NoReturn

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from notify_platform.api.errors import TooLarge


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
