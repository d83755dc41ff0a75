"""Spans of time as one says them."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def words(seconds: float) -> str:
    """Return a span in the two words that matter: "3 h 20 min"."""
    whole = round(seconds)
    if whole < MINUTE:
        return _("less than a minute")
    if whole < HOUR:
        minutes = round(whole / MINUTE)
        return ngettext("%(number)d minute", "%(number)d minutes", minutes) % {"number": minutes}
    if whole < DAY:
        hours, minutes = divmod(round(whole / MINUTE), 60)
        return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes}
    days, hours = divmod(round(whole / HOUR), 24)
    return _("%(days)d d %(hours)d h") % {"days": days, "hours": hours}
