"""What every page of the desk has in common: lists that stay quick on big tables, masks, labels, the audit trail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.forms import BaseForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from notify_platform.console import access
from notify_platform.console.desk import changes
from notify_platform.console.desk.lists import CAP, DeskChangeList, LogList, WayOut
from notify_platform.console.desk.log_pages import LogPages
from notify_platform.core.models import audit
from subscriptions.models import Subscriber
from templates_app.models import MiniProgram

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser
    from django.db.models.expressions import Combinable

    AnyPaginator = Paginator[Any]
    ThemedAdmin = admin.ModelAdmin[Any]
    ThemedInline = admin.TabularInline[Any, Any]
else:
    AnyPaginator = Paginator
    from unfold.admin import ModelAdmin as ThemedAdmin
    from unfold.admin import TabularInline as ThemedInline

# The columns of a mini-program that are decrypted when they are read; no list and no other model's page needs them.
SECRETS = (
    "app_secret",
    "callback_token",
    "callback_aes_key",
    "previous_callback_token",
    "previous_callback_aes_key",
)
SECRETS_OF_MINI_PROGRAM = tuple(f"mini_program__{name}" for name in SECRETS)


class CappedPaginator(AnyPaginator):
    """Counts rows up to ``CAP`` and then stops: the pages of a log are read from its new end."""

    CAP = CAP
    template_name = "console/pagination.html"

    @cached_property
    def _found(self) -> int:
        rows = self.object_list
        if isinstance(rows, QuerySet):
            return rows.order_by().values("pk")[: self.CAP + 1].count()
        return len(rows)

    @cached_property
    def count(self) -> int:
        """Return how many rows can be paged through."""
        return min(self._found, self.CAP)

    @property
    def words(self) -> str:
        """Return the count as it is shown: ``1,234``, or ``10,000+`` when there are more."""
        return f"{self.count:,}" + ("+" if self._found > self.CAP else "")


class DeskList(DeskChangeList):
    """A list whose count stands in one place only, below it; the theme's second one knows nothing of the cap."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page."""
        super().get_results(request)
        self.full_result_count = self.result_count


WRITE_A_JOB = WayOut(_("Write a job"), "admin:jobs_sendjob_add", "jobs.add_sendjob")


class Limited:
    """Form fields that offer, and take, nothing of a mini-program somebody does not work with."""

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer what this colleague may see."""
        return _limited(super().formfield_for_foreignkey(db_field, request, **kwargs), request)  # type: ignore[misc]

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer what this colleague may see."""
        return _limited(super().formfield_for_manytomany(db_field, request, **kwargs), request)  # type: ignore[misc]


def _limited(field: Any, request: HttpRequest) -> Any:
    if field is not None:
        field.queryset = access.limit(field.queryset, to=request.user)
    return field


class DeskInline(Limited, ThemedInline):
    """Parts of a whole, in the whole's own form."""


class DeskAdmin(Limited, ThemedAdmin):
    """A page for people who work: newest first, and every change leaves a row in the audit trail."""

    paginator = CappedPaginator
    show_full_result_count = False
    # Counting each choice of each filter takes a scan apiece.
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    ordering: ClassVar[list[str | Combinable] | tuple[str | Combinable, ...] | None] = ("-id",)
    # Relations that the list and the page read.
    joined: ClassVar[Sequence[str]] = ()
    # Columns that neither of them needs.
    deferred: ClassVar[Sequence[str]] = ()
    # What an empty list says: how it fills, and where that begins.
    empty_words: ClassVar[Any] = _("It fills by itself as soon as something happens.")
    empty_way: ClassVar[WayOut | None] = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows this colleague may see, with what their page reads, in one query."""
        rows = access.limit(super().get_queryset(request), to=request.user)
        if self.joined:
            rows = rows.select_related(*self.joined)
        return rows.defer(*self.deferred) if self.deferred else rows

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """What a mask hides must not be found out letter by letter."""
        hidden = {"openid", "secret_hash", *SECRETS}
        return not hidden & set(lookup.split("__")) and super().lookup_allowed(lookup, value, request)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[DeskList]:
        """Use the desk's list."""
        return DeskList

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Note who added something."""
        told = getattr(request, "desk_changes", None) or {}
        audit(actor_of(request), action="add", subject=subject_of(obj), mini_program=access.program_of(obj), **told)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Note who changed which fields, from what to what; a form sent unchanged leaves nothing."""
        if told := getattr(request, "desk_changes", None):
            audit(
                actor_of(request), action="change", subject=subject_of(obj), mini_program=access.program_of(obj), **told
            )
        return super().log_change(request, obj, message)

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """Put down what stood in each field before and what stands there now, for the audit trail."""
        request.desk_changes = changes.of_forms(form, formsets)  # type: ignore[attr-defined]
        return super().construct_change_message(request, form, formsets, add)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Note who deleted what."""
        for row in queryset:
            audit(
                actor_of(request),
                action="delete",
                subject=subject_of(row),
                mini_program=access.program_of(row),
                name=str(row)[:80],
            )
        return super().log_deletions(request, queryset)


class Numbered:
    """A row as the head of its page names it: the kind and the number, in the colleague's language."""

    def __init__(self, row: Model) -> None:
        self.pk = row.pk
        self._meta = row._meta

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} {self.pk}"


class LogAdmin(LogPages, DeskAdmin):
    """Rows that only the platform writes: they can be read and nothing else."""

    list_before_template = "console/list_head.html"
    # The column the tabs above the list are made of; an index begins with it and ends with the key.
    tab_field: ClassVar[str] = ""
    # Words of the address that stand for several values of it.
    tabs_together: ClassVar[Mapping[str, Sequence[str]]] = {}
    tabs_together_words: ClassVar[Mapping[str, Any]] = {}
    # The column that grows with the key: by it the days of a list are chosen.
    moment: ClassVar[str] = ""
    # Newest first and no other way: there is no index to sort millions of rows by anything else.
    sortable_by = ()
    # Said above the list: what these rows are, and what to do about them.
    lead: ClassVar[Any] = ""
    # Rows that have a name of their own are called by it.
    has_names: ClassVar[bool] = False

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Leave out the history of changes that nobody can make."""
        context["show_history"] = False
        if not self.has_names and (row := context.get("original")):
            context["original"] = Numbered(row)
            context["subtitle"] = str(Numbered(row))
        return super().render_change_form(request, context, *args, **kwargs)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        """Page by key; the few rows that are called by a name are a list like any other."""
        return LogList if tuple(self.ordering or ()) == ("-id",) else DeskList

    def tabs_of(self, asked: Mapping[str, str]) -> Sequence[tuple[str, Any]]:
        """Return the values and words of the tabs."""
        return self.opts.get_field(self.tab_field).choices or () if self.tab_field else ()  # type: ignore[union-attr]

    def is_split(self, asked: Mapping[str, str]) -> bool:
        """Whether the index that finds these rows in order begins with more than ``tab_field``."""
        return False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody adds a row."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes a row."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes a row."""
        return False


class PersonLogAdmin(LogAdmin):
    """A log about people, found by a whole openid."""

    joined: ClassVar[Sequence[str]] = ("subscriber",)
    search_fields: ClassVar[list[str] | tuple[str, ...]] = ("subscriber__openid__exact",)
    search_help_text = _("A whole openid.")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find the rows of the person with exactly this openid."""
        if not search_term.strip():
            return queryset, False
        return queryset.filter(subscriber__in=ids_of(search_term)), False

    @admin.display(description=_("person"))
    def person(self, row: Any) -> str:
        """Return whom the row is about, masked."""
        return called(row.subscriber)

    @admin.display(description=_("person"))
    def person_link(self, row: Any) -> SafeString:
        """Return the same with the way to everything about them."""
        url = reverse("admin:subscriptions_subscriber_change", args=[row.subscriber_id])
        return format_html('<a class="desk-link" href="{}">{}</a>', url, called(row.subscriber))


class ReadOnlyInline(DeskInline):
    """Parts of a whole that are shown and not touched."""

    extra = 0
    max_num = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody adds a part."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes a part."""
        return False


class OfMiniProgram(admin.SimpleListFilter):
    """Rows of one mini-program; hidden while there is only one."""

    title = _("mini-program")
    parameter_name = "mini_program"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer every mini-program this colleague works with, by name."""
        rows = access.limit(MiniProgram.objects.order_by("name"), to=request.user).values_list("pk", "name")
        return [(str(pk), name) for pk, name in rows]

    def has_output(self) -> bool:
        """One mini-program is no choice."""
        return len(self.lookup_choices) > 1

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the rows of the chosen one."""
        value = self.value()
        return queryset.filter(mini_program=value) if value in dict(self.lookup_choices) else queryset


def ids_of(openid: str) -> list[int]:
    """Return the people with exactly this openid, one at most for each mini-program."""
    # Naming every mini-program lets the database use the unique index.
    rows = Subscriber.objects.filter(mini_program__in=MiniProgram.objects.values("pk"), openid=openid.strip())
    return list(rows.values_list("pk", flat=True))


def called(subscriber: Subscriber) -> str:
    """Return how a person is called in a list: nickname and the two ends of the openid."""
    if subscriber.forgotten_at:
        return gettext("forgotten person %(number)d") % {"number": subscriber.pk}
    return f"{subscriber.nickname} · {subscriber.masked_openid}" if subscriber.nickname else subscriber.masked_openid


def name_of(user: Any) -> str:
    """Return a colleague's own name, or the user name of somebody without one."""
    return (user.get_full_name() or user.get_username()) if user else "—"


def subject_of(obj: Model) -> str:
    """Return what the audit trail calls a row: kind and number."""
    return f"{_SUBJECTS.get(obj._meta.model_name or '', obj._meta.model_name)} {obj.pk}"


# The verbs of jobs.jobs write this word; everything else is called by its model's name.
_SUBJECTS = {"sendjob": "job"}


def label(tone: str, text: object) -> SafeString:
    """Return a word on a coloured ground; ``tone`` is good, bad, warn, busy or idle (see desk.css)."""
    return format_html('<span class="desk-label desk-{}">{}</span>', tone, text)


def require_both_ends(form: BaseForm, *, start: str, end: str) -> None:
    """Put a sentence at the missing end of a span of hours."""
    if start not in form.cleaned_data or end not in form.cleaned_data:
        return
    for here, there in ((start, end), (end, start)):
        if form.cleaned_data[here] is None and form.cleaned_data[there] is not None:
            form.add_error(here, BOTH_ENDS)


BOTH_ENDS = _("Give both ends of the hours, or neither.")


def actor_of(request: HttpRequest) -> AbstractBaseUser | None:
    """Return who is at the desk, as the audit trail and the verbs want to know it."""
    return request.user if request.user.is_authenticated else None
