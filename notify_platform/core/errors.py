"""The errors that edges turn into a sentence for a person."""

from __future__ import annotations

from collections.abc import Mapping


class Refused(Exception):
    """A verb said no; nothing was changed.

    ``code`` is a stable word for programs, the text is a sentence for a person that says what to do next, and
    ``fields`` names the inputs that are wrong (field name → sentence).
    """

    def __init__(self, message: str, *, code: str = "refused", fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fields = dict(fields or {})
