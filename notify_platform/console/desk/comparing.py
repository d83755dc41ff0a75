"""Keywords of a template before and after a change at WeChat, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from templates_app.models import TemplateChange


@dataclass(frozen=True, slots=True)
class Line:
    """One keyword: its key, and how it read before and after; empty where there was or is none."""

    key: str
    before: str
    after: str

    @property
    def differs(self) -> bool:
        """Whether a person has to look."""
        return self.before != self.after


def lines_of(change: TemplateChange) -> Sequence[Line]:
    """Return one line for each keyword, in the new order; those that are gone last."""
    before = {str(each["key"]): _words(each) for each in change.before}
    after = {str(each["key"]): _words(each) for each in change.after}
    keys = [*after, *(key for key in before if key not in after)]
    return [Line(key, before.get(key, ""), after.get(key, "")) for key in keys]


def _words(keyword: Mapping[str, Any]) -> str:
    parts = [str(keyword["label"]), str(keyword["example"]), " / ".join(map(str, keyword["choices"]))]
    return " · ".join(part for part in parts if part)
