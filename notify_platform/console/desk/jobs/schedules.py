"""When a series comes, in words and as a form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.utils import dates, formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminDateWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTimeWidget,
)

from notify_platform.core.clock import database_now
from notify_platform.jobs import occurrences, series
from notify_platform.jobs.models import SendJob, Series
from notify_platform.jobs.occurrences import Occurrence

if TYPE_CHECKING:
    from collections.abc import Sequence

NEXT = 5
EVERY_DAY = frozenset(range(1, 8))
WORKING_DAYS = frozenset(range(1, 6))


def weekday_choices() -> list[tuple[str, Any]]:
    """Return the days of the week, Monday first."""
    return [(str(number), dates.WEEKDAYS[number - 1]) for number in range(1, 8)]


def words(row: Series) -> str:
    """Say when a series comes: "Mon, Wed 09:00, 2026-11-23 – 2026-12-31"."""
    days, first = set(row.weekdays), formats.date_format(row.starts_on, "DATE_FORMAT")
    if days == EVERY_DAY:
        which = _("every day")
    elif days == WORKING_DAYS:
        which = _("Monday to Friday")
    else:
        which = _(", ").join(str(dates.WEEKDAYS[day - 1]) for day in sorted(days))
    if row.ends_on:
        span = _("%(first)s to %(last)s") % {"first": first, "last": formats.date_format(row.ends_on, "DATE_FORMAT")}
    else:
        span = _("from %(day)s") % {"day": first}
    return f"{which} {formats.time_format(row.at_time)} · {span}"


def next_ones(row: Series) -> Sequence[Occurrence]:
    """Return the next five occurrences."""
    return occurrences.next_ones(series.schedule_of(row), after=database_now(), count=NEXT)


class ScheduleForm(forms.Form):
    """Weekdays, a time of day, the first and the last day."""

    weekdays = forms.TypedMultipleChoiceField(
        label=gettext_lazy("On"), choices=weekday_choices, coerce=int, widget=forms.CheckboxSelectMultiple
    )
    at_time = forms.TimeField(label=gettext_lazy("At"), widget=UnfoldAdminTimeWidget)
    starts_on = forms.DateField(label=gettext_lazy("First day"), widget=UnfoldAdminDateWidget)
    ends_on = forms.DateField(label=gettext_lazy("Last day"), required=False, widget=UnfoldAdminDateWidget)
    within_hours = forms.IntegerField(
        label=gettext_lazy("Send within (hours)"),
        min_value=1,
        max_value=series.LONGEST_HOURS,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=gettext_lazy(
            "Who has not got the card by then does not get it; a start missed for longer is dropped."
        ),
    )

    def __init__(self, data: Any = None, *, job: SendJob) -> None:
        super().__init__(data, initial=_initial(job))


def _initial(job: SendJob) -> dict[str, Any]:
    if job.series is None:
        return {"weekdays": [1], "at_time": "09:00", "starts_on": timezone.localdate(), "within_hours": 12}
    names = ("weekdays", "at_time", "starts_on", "ends_on", "within_hours")
    return {name: getattr(job.series, name) for name in names}
