"""The list of jobs with a tab for each state above it."""

from __future__ import annotations

from collections.abc import Sequence

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from notify_platform.console.desk.base import DeskList
from notify_platform.console.desk.lists import CAP, Tab, counted
from notify_platform.core import history
from notify_platform.jobs.models import SendJob

STATE, PAGE = "state__exact", "p"


class JobList(DeskList):
    """Jobs by state; the tabs count what the other filters and the search leave, up to a cap."""

    tabs: Sequence[Tab] = ()

    def get_results(self, request: HttpRequest) -> None:
        """Read the page, and count the tabs in one statement."""
        super().get_results(request)
        names = next(spec.expected_parameters() for spec in self.filter_specs if STATE in spec.expected_parameters())
        rows = self.get_queryset(request, exclude_parameters=names)
        sets = [rows.filter(state=state) for state in SendJob.State.values]
        counts = dict(zip(SendJob.State.choices, history.capped_counts(sets, cap=CAP + 1), strict=True))
        chosen = self.params.get(STATE, "")
        self.tabs = [
            self._tab(None, _("All"), sum(counts.values()), is_chosen=not chosen),
            *(
                self._tab(state, words, number, is_chosen=state == chosen)
                for (state, words), number in counts.items()
                if number or state == chosen
            ),
        ]

    def _tab(self, state: str | None, words: object, number: int, *, is_chosen: bool) -> Tab:
        return Tab(words, self.get_query_string({STATE: state, PAGE: None}), counted(number), is_chosen=is_chosen)
