"""Where a day begins in a log that has no index by time, but grows in order."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Q, QuerySet

# Rows are written in the order of their numbers, give or take a long transaction.
DISORDER: Final = timedelta(hours=1)


def first_since(rows: QuerySet[Any], moment: datetime, *, by: str) -> int:
    """Return the number of the first row written since; behind the last one when there is none: a few looks."""
    low, high = 0, 1 + (rows.order_by("-pk").values_list("pk", flat=True).first() or 0)
    while low < high:
        middle = (low + high) // 2
        found = rows.filter(pk__gte=middle).order_by("pk").values_list("pk", by).first()
        if found is None or found[1] >= moment:
            high = middle
        else:
            low = found[0] + 1
    return low


def page(rows: QuerySet[Any], *, begin: datetime, end: datetime, by: str) -> Q:
    """Return the condition of the rows written from ``begin`` until just before ``end``."""
    numbers = Q(pk__gte=first_since(rows, begin - DISORDER, by=by), pk__lt=first_since(rows, end + DISORDER, by=by))
    return numbers & Q(**{f"{by}__gte": begin, f"{by}__lt": end})
