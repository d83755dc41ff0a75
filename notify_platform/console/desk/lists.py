"""Lists that grow without end: tabs with counts that stop, spans of days, and pages by key instead of by number.

A page takes the same few statements whether the table holds fifty rows or fifty million: one counts every tab up to a
cap, one finds the keys of the page in the order of an index, one reads their rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.admin.views.main import IGNORED_PARAMS
from django.db.models import QuerySet
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext_lazy as _

from notify_platform.console.desk import exporting, views
from notify_platform.console.models import SavedView
from notify_platform.core import history

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList as ThemedChangeList
    from django.utils.functional import _StrPromise

    from notify_platform.console.desk.base import LogAdmin
else:
    from unfold.views import ChangeList as ThemedChangeList

CAP = 10_000
OLDER, NEWER = "older", "newer"
PERIOD, SINCE, UNTIL = "period", "since", "until"
ALL, LATELY = "all", "7"
PERIODS: Mapping[str, _StrPromise] = {
    "today": _("Today"),
    "yesterday": _("Yesterday"),
    LATELY: _("Last 7 days"),
    "30": _("Last 30 days"),
    ALL: _("All time"),
}
# Choosing a mini-program is no search: a log still opens with what is new.
_NO_SEARCH = frozenset({"mini_program"})


@dataclass(frozen=True, slots=True)
class Tab:
    """A chip above the list: its words, where it leads, how many rows are behind it, and whether it is chosen."""

    words: object
    url: str
    count: str = ""
    is_chosen: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """Days, both ends included, of which a list is shown."""

    name: str
    first: date | None
    last: date | None

    @property
    def since(self) -> datetime | None:
        """The moment the first day begins."""
        return _midnight(self.first) if self.first else None

    @property
    def until(self) -> datetime | None:
        """The moment after the last day."""
        return _midnight(self.last + timedelta(days=1)) if self.last else None


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))


def span_of(asked: Mapping[str, str], *, otherwise: str) -> Span:
    """Return the days an address asks for; an end that is no date is none."""
    today = timezone.localdate()
    first, last = (_day(asked.get(name, "")) for name in (SINCE, UNTIL))
    if first or last:
        return Span("", first, last)
    name = asked.get(PERIOD, otherwise)
    if name == "today":
        return Span(name, today, today)
    if name == "yesterday":
        return Span(name, today - timedelta(days=1), today - timedelta(days=1))
    if name in PERIODS and name.isdigit():
        return Span(name, today - timedelta(days=int(name) - 1), None)
    return Span(ALL, None, None)


def _day(text: str) -> date | None:
    try:
        return parse_date(text)
    except ValueError:
        return None  # the right shape, but no such day


def counted(number: int) -> str:
    """Return a capped count as it is shown: ``1,234``, or ``10,000+`` when there are more."""
    return f"{min(number, CAP):,}" + ("+" if number > CAP else "")


@dataclass(slots=True)
class Pages:
    """What the theme takes for a paginator: a count in words and the ways to the other pages."""

    found: int
    per_page: int
    newest: str = ""
    newer: str = ""
    older: str = ""
    oldest: str = ""
    template_name: str = "console/pages.html"
    num_pages: int = 1

    @property
    def words(self) -> str:
        """Return the count as it is shown."""
        return counted(self.found)


@dataclass(frozen=True, slots=True)
class WayOut:
    """Where an empty list begins to fill: the words of the button, its page, and who may go there."""

    words: _StrPromise
    page: str
    permission: str


class DeskChangeList(ThemedChangeList):
    """A list that, when it is empty, says why and what to do; the admin class has the words (``empty_words``)."""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        way: WayOut | None = getattr(self.model_admin, "empty_way", None)
        self.way_out = way if way and request.user.has_perm(way.permission) else None

    @property
    def is_narrowed(self) -> bool:
        """Whether there may be more than is shown."""
        return bool(self.query or self.has_active_filters)


class LogList(DeskChangeList):
    """A long list. The admin class says its tabs (``tab_field``, ``tabs_of``) and its time (``moment``)."""

    model_admin: LogAdmin
    asked: Mapping[str, str]
    span: Span
    # The rows of all tabs together.
    every: QuerySet[Any]
    # The colleague's own.
    views: Sequence[SavedView]

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Apply the filters of the theme, then the days, then the tab."""
        own = self._take_own()
        rows = super().get_queryset(request, exclude_parameters)
        self.asked = own
        self.tab_values = dict(self.model_admin.tabs_of({**self.params, **own}))
        self.span = span_of(own, otherwise=LATELY if self._is_plain(own) else ALL)
        self._give_back(own)
        moment = self.model_admin.moment
        if moment:
            rows = rows.filter(history.between(self.model, moment=moment, since=self.span.since, until=self.span.until))
        self.every = rows
        values = self._chosen()
        return rows if values is None else self._in_tabs(values)

    @property
    def is_narrowed(self) -> bool:
        """Whether there may be more than is shown, in other tabs or days too."""
        named = {name: value for name, value in self.asked.items() if (name, value) != (PERIOD, ALL)}
        return super().is_narrowed or any(named.values())

    @property
    def all_time(self) -> str:
        """Where older rows are, of a log that opened with the last days; empty for what has no days, and shows all."""
        is_lately = bool(self.model_admin.moment) and self.span.name == LATELY
        return self.get_query_string({PERIOD: ALL}) if is_lately else ""

    def _take_own(self) -> dict[str, str]:
        """Take what the theme would look for among the columns out of the address."""
        field = self.model_admin.tab_field
        names = {OLDER: OLDER, NEWER: NEWER, PERIOD: PERIOD, SINCE: SINCE, UNTIL: UNTIL}
        if field:
            names |= {field: field, f"{field}__exact": field}
        own: dict[str, str] = {}
        for name, meaning in names.items():
            if name in self.filter_params:
                own[meaning] = self.filter_params.pop(name)[-1]
                self.params.pop(name, None)
        return own

    def _give_back(self, own: Mapping[str, str]) -> None:
        """Let every link of the page keep the tab and the days; a page of keys belongs to one list only."""
        kept = {name: value for name, value in own.items() if name not in {OLDER, NEWER} and value}
        if self.model_admin.moment and self.span.name:
            kept[PERIOD] = self.span.name
        self.filter_params |= {name: [value] for name, value in kept.items()}

    def _is_plain(self, own: Mapping[str, str]) -> bool:
        """Whether nothing is looked for: no filter, no search, no tab."""
        others = {name for name, value in self.params.items() if value} - _NO_SEARCH - set(IGNORED_PARAMS)
        return not (others or self.query or any(own.values()))

    def _chosen(self) -> Sequence[str] | None:
        """Return the values of the chosen tab; None stands for all rows."""
        name = self.asked.get(self.model_admin.tab_field, "")
        if not name or not self.tab_values:
            return None
        together: Mapping[str, Sequence[str]] = self.model_admin.tabs_together
        return together.get(name, (name,))

    def _in_tabs(self, values: Sequence[str]) -> QuerySet[Any]:
        field = self.model_admin.tab_field
        return self.every.filter(**({field: values[0]} if len(values) == 1 else {f"{field}__in": list(values)}))

    # --- one page ------------------------------------------------------------------------------------------------

    def get_results(self, request: HttpRequest) -> None:
        """Count, find the keys of the page, read its rows."""
        self.views = views.of(request.user.pk, model=self.model)
        self.may_export = exporting.may_export(request, self.model)
        self._count()
        keys = self._keys()
        rows = self.root_queryset.filter(pk__in=keys)
        if not rows.query.select_related:
            rows = self.apply_select_related(rows)
        by_key = {row.pk: row for row in rows}
        self.result_list = [by_key[key] for key in keys if key in by_key]
        self.result_count = self.full_result_count = min(self.found, CAP)
        self.show_full_result_count = False
        self.show_admin_actions = True
        self.can_show_all = self.multi_page = False
        self.paginator = self.pages

    def _count(self) -> None:
        values = list(self.tab_values)
        sets = [self._in_tabs([value]) for value in values] or [self.every]
        counts = history.capped_counts(sets, cap=CAP + 1)
        self.counts = dict(zip(values, counts, strict=False))
        chosen = self._chosen()
        self.found = sum(counts) if chosen is None else sum(self.counts.get(value, 0) for value in chosen)

    def _sets(self) -> list[QuerySet[Any]]:
        """Return the rows of the list in parts that an index holds in order."""
        values = self._chosen()
        if values is None:
            values = list(self.tab_values) if self.model_admin.is_split({**self.params, **self.asked}) else []
        return [self._in_tabs([value]) for value in values] or [self.every]

    def _keys(self) -> list[int]:
        older, newer = (number_of(self.asked.get(name)) for name in (OLDER, NEWER))
        if newer is not None:
            keys = self._read(newer=newer)
            if len(keys) > self.list_per_page or newer == 0:
                return self._newer_page(keys, is_last=newer == 0)
        keys = self._read(older=older if newer is None else None)
        shown = keys[: self.list_per_page]
        has_newer = older is not None and newer is None
        self._link(shown, has_newer=has_newer, has_older=len(keys) > self.list_per_page)
        return shown

    def _newer_page(self, keys: list[int], *, is_last: bool) -> list[int]:
        shown = keys[: self.list_per_page][::-1]
        self._link(shown, has_newer=len(keys) > self.list_per_page, has_older=not is_last)
        return shown

    def _read(self, *, older: int | None = None, newer: int | None = None) -> list[int]:
        sets = self._sets()
        if older is not None:
            sets = [rows.filter(pk__lt=older) for rows in sets]
        if newer is not None:
            sets = [rows.filter(pk__gt=newer) for rows in sets]
        return history.page_of_keys(sets, newest_first=newer is None, limit=self.list_per_page + 1)

    def _link(self, shown: Sequence[int], *, has_newer: bool, has_older: bool) -> None:
        self.pages = Pages(self.found, self.list_per_page)
        if has_newer:
            self.pages.newest = self.get_query_string()
            self.pages.newer = self.get_query_string({NEWER: shown[0]}) if shown else self.pages.newest
        if has_older:
            self.pages.older = self.get_query_string({OLDER: shown[-1]})
            self.pages.oldest = self.get_query_string({NEWER: 0})

    # --- above the list --------------------------------------------------------------------------------------------

    @property
    def tabs(self) -> list[Tab]:
        """The tabs that hold rows, the chosen one, and "all" before them."""
        if not self.tab_values:
            return []
        field = self.model_admin.tab_field
        chosen = self.asked.get(field, "")
        every = Tab(_("All"), self._without(field), counted(sum(self.counts.values())), is_chosen=not chosen)
        tabs = [
            Tab(words, self._with(field, value), counted(self.counts[value]), is_chosen=value == chosen)
            for value, words in self.tab_values.items()
            if self.counts[value] or value == chosen
        ]
        if chosen and chosen in self.model_admin.tabs_together:
            words = self.model_admin.tabs_together_words[chosen]
            tabs.insert(0, Tab(words, self._with(field, chosen), counted(self.found), is_chosen=True))
        return [every, *tabs]

    def _without(self, field: str) -> str:
        # Named days stay; without them the bare address would mean the last ones.
        return self.get_query_string(remove=[field])

    def _with(self, field: str, value: str) -> str:
        return self.get_query_string({field: value})

    @property
    def periods(self) -> list[Tab]:
        """The quick choices of days."""
        if not self.model_admin.moment:
            return []
        return [
            Tab(
                words, self.get_query_string({PERIOD: name, SINCE: None, UNTIL: None}), is_chosen=name == self.span.name
            )
            for name, words in PERIODS.items()
        ]

    @property
    def kept_in_form(self) -> list[tuple[str, str]]:
        """What the form of two dates hands on: everything but the days."""
        skipped = {PERIOD, SINCE, UNTIL}
        return [(name, value) for name, values in self.filter_params.items() if name not in skipped for value in values]

    @property
    def view_urls(self) -> dict[str, str]:
        """Where views are saved and deleted."""
        keep = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_keep_view")
        return {"keep": keep, "drop": keep}

    @property
    def export_url(self) -> str:
        """Where the rows of this list are exported; empty for those who may not, and for lists without a file."""
        if not self.may_export:
            return ""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_export_list") + self.get_query_string()

    @property
    def query_kept(self) -> str:
        """The filters of this page, as a saved view keeps them."""
        return self.get_query_string()[1:]


def number_of(text: str | None) -> int | None:
    """Return the number that an address or a form names; None for what is none, or is too long to be a key."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None


def stylesheet(request: HttpRequest) -> str:
    """Return the address of the lists' own styles."""
    return static("console/lists.css")


def audience_styles(request: HttpRequest) -> str:
    """Return the address of the styles of audiences."""
    return static("console/audiences.css")
