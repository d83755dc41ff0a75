"""What may be kept as JSON, whatever the database."""

from __future__ import annotations

import math
import re
from typing import Any, Final

# Every further reader of a document may recurse without a thought.
DEEPEST: Final = 32
# Valid in JSON, but PostgreSQL keeps no NUL and UTF-8 no lone surrogate.
UNSTORABLE: Final = re.compile(r"[\x00\ud800-\udfff]")


def check_storable(value: Any, *, depth: int = DEEPEST) -> None:
    """Raise ``ValueError`` for what some database would not keep: odd characters, infinity, nesting beyond reason."""
    if depth < 0:
        raise ValueError("too deep")
    if isinstance(value, str) and UNSTORABLE.search(value):
        raise ValueError("not a text")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("not a number")
    if isinstance(value, dict):
        for key, below in value.items():
            check_storable(key, depth=depth)
            check_storable(below, depth=depth - 1)
    elif isinstance(value, list):
        for below in value:
            check_storable(below, depth=depth - 1)
