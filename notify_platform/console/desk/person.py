"""Everything about one person on one page: the newest of each kind of thing, and older ones by key.

The same queries for three rows and for ten thousand: each section reads one page of its table and one row more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_lazy
from django.utils.translation import gettext_lazy as _

from notify_platform.console.desk.base import label
from notify_platform.console.desk.consent import GRANT_TONES, SUBSCRIPTION_TONES, in_stock
from notify_platform.console.desk.deliveries import TONES
from notify_platform.delivery.models import Conversion, Delivery, Feedback, Open, Skip
from notify_platform.wechat import outcomes, popups
from subscriptions.models import Answer, Drift, Grant, PromptReport, Subscriber, Subscription, Visit

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

SHOWN, AT_ONCE = 20, 100
Cell = SafeString | str


@dataclass(frozen=True, slots=True)
class Section:
    """One kind of thing: its rows' table, the headings, and a row as cells."""

    name: str
    title: _StrPromise
    headings: Sequence[_StrPromise]
    model: type[Model]
    joined: Sequence[str]
    cells: Callable[[Any, Mapping[int, Delivery]], Sequence[Cell]]
    permission: str


@dataclass(frozen=True, slots=True)
class Page:
    """What is shown of a section. ``older`` is the key to go on after; None when these are the last."""

    section: Section
    rows: Sequence[Sequence[Cell]]
    older: int | None

    @property
    def lines(self) -> list[list[tuple[_StrPromise, Cell]]]:
        """Return the rows with the heading of each cell: on a phone there is no row of headings."""
        return [list(zip(self.section.headings, row, strict=True)) for row in self.rows]


def sections_for(request: HttpRequest, person: Subscriber) -> list[Page]:
    """Return the newest of everything somebody may see."""
    return [page_of(section, person) for section in SECTIONS if request.user.has_perm(section.permission)]


def page_of(section: Section, person: Subscriber, *, after: int | None = None, size: int = SHOWN) -> Page:
    """Return a page of a section: the newest, or those older than the key."""
    rows = section.model._default_manager.filter(subscriber=person).select_related(*section.joined)
    if after is not None:
        rows = rows.filter(pk__lt=after)
    found = list(rows.order_by("-pk")[: size + 1])
    shown = found[:size]
    held = _held_by([row.pk for row in shown]) if section.model is Grant else {}
    older = shown[-1].pk if len(found) > size else None
    return Page(section, [section.cells(row, held) for row in shown], older)


def balance_of(person: Subscriber) -> Sequence[tuple[str, int]]:
    """Return the units in stock by template."""
    held = in_stock().filter(subscriber=person).values_list("template__title")
    return list(held.annotate(units=Count("pk")).order_by("template__title"))


def _held_by(grants: Sequence[int]) -> Mapping[int, Delivery]:
    """Return the message that holds, or has used up, each unit."""
    rows = Delivery.objects.filter(grant__in=grants, state__in=Delivery.HOLDS_GRANT).select_related("job", "trigger")
    return {row.grant_id: row for row in rows if row.grant_id}


# --- rows as cells -------------------------------------------------------------------------------------------------


def _at(moment: datetime | None) -> Cell:
    if moment is None:
        return "—"
    return format_html('<time class="desk-word">{}</time>', formats.localize(timezone.localtime(moment)))


def _link(page: str, pk: int | None, words: object) -> Cell:
    if pk is None:
        return "—"
    return format_html('<a class="desk-link" href="{}">{}</a>', reverse(f"admin:{page}_change", args=[pk]), words)


def _message(row: Delivery | None) -> Cell:
    return _link("delivery_delivery", row.pk, row.job or row.trigger) if row else "—"


def _why(row: Delivery) -> str:
    if row.state == Delivery.State.FAILED and row.error_code is not None:
        meaning, next_step = outcomes.describe(row.error_code)
        return f"{row.error_code} · {meaning} {next_step}"
    return row.error_detail or row.get_reason_display() or "—"


def _subscription(row: Subscription, held: Mapping[int, Delivery]) -> Sequence[Cell]:
    standing = row.standing == row.state
    state = label(SUBSCRIPTION_TONES[Subscription.State(row.state)], row.get_state_display()) if standing else "—"
    muted = label("warn", gettext("muted")) if row.muted_at else "—"
    return (str(row.template), state, row.always_keep or "—", muted, _at(row.changed_at))


def _grant(row: Grant, held: Mapping[int, Delivery]) -> Sequence[Cell]:
    state = label(GRANT_TONES[Grant.State(row.state)], row.get_state_display())
    answer = _link("subscriptions_answer", row.answer_id, _at(row.granted_at))
    until = _at(row.expires_at) if row.expires_at else gettext("no limit")
    settled = _at(row.settled_at)
    if row.revoked_by:
        settled = format_html("{} · {}", settled, row.get_revoked_by_display())
    return (str(row.template), state, answer, until, settled, _message(held.get(row.pk)))


def _answer(row: Answer, held: Mapping[int, Delivery]) -> Sequence[Cell]:
    words = str(_ANSWERS.get(row.answer, row.answer)) + (f" · {gettext('without a popup')}" if row.is_silent else "")
    scene = str(row.scene) if row.scene else "—"
    return (_at(row.answered_at), str(row.template), words, str(row.units), scene, row.get_source_display())


def _delivery(row: Delivery, held: Mapping[int, Delivery]) -> Sequence[Cell]:
    state = label(TONES[Delivery.State(row.state)], row.get_state_display())
    when = row.settled_at or row.armed_at or row.due_at
    return (
        _link("delivery_delivery", row.pk, _at(when)),
        str(row.job or row.trigger),
        str(row.template),
        state,
        _why(row),
    )


def _skip(row: Skip, held: Mapping[int, Delivery]) -> Sequence[Cell]:
    return (_link("jobs_sendjob", row.job_id, row.job), row.get_reason_display())


def _prompt(row: PromptReport, held: Mapping[int, Delivery]) -> Sequence[Cell]:
    failed = str(popups.describe(row.err_code)[0]) if row.err_code else "—"
    return (_at(row.answered_at), str(row.scene) if row.scene else "—", failed)


def _drift(row: Drift, held: Mapping[int, Delivery]) -> Sequence[Cell]:
    return (_at(row.at), str(row.template), str(row.units))


def _open(row: Open, held: Mapping[int, Delivery]) -> Sequence[Cell]:
    return (_at(row.at), _message(row.delivery))


def _conversion(row: Conversion, held: Mapping[int, Delivery]) -> Sequence[Cell]:
    return (_at(row.at), row.goal, f"{row.value:,}" if row.value is not None else "—", _message(row.delivery))


def _feedback(row: Feedback, held: Mapping[int, Delivery]) -> Sequence[Cell]:
    return (_at(row.at), row.get_kind_display(), row.text or "—", _message(row.delivery))


def _visit(row: Visit, held: Mapping[int, Delivery]) -> Sequence[Cell]:
    return (_at(row.at), row.page or "—")


_ANSWERS = {"accept": _("agreed"), "reject": _("refused")}
_OF_CARD = ("delivery__job", "delivery__trigger")
_WHEN, _TEMPLATE, _MESSAGE = gettext_lazy("time"), gettext_lazy("template"), gettext_lazy("message")
_ALL = (
    ("subscriptions", _("Subscriptions"),
     (_TEMPLATE, _("state"), _("always keeps the answer"), _("muted"), _("changed")),
     Subscription, ("template",), _subscription, "subscriptions.view_subscription"),
    ("grants", _("Consents"),
     (_TEMPLATE, _("state"), _("granted"), _("valid until"), _("spent, lapsed or revoked"), _MESSAGE),
     Grant, ("template",), _grant, "subscriptions.view_grant"),
    ("messages", _("Messages"), (_WHEN, _("job"), _TEMPLATE, _("state"), _("why")),
     Delivery, ("job", "trigger", "template"), _delivery, "delivery.view_delivery"),
    ("left-out", _("Left out of jobs"), (_("job"), _("why")), Skip, ("job",), _skip, "delivery.view_skip"),
    ("answers", _("Answers"), (_WHEN, _TEMPLATE, _("answer"), _("consents"), _("scene"), _("reported by")),
     Answer, ("template", "scene"), _answer, "subscriptions.view_answer"),
    ("prompts", _("Asked"), (_WHEN, _("scene"), _("no popup because")),
     PromptReport, ("scene",), _prompt, "subscriptions.view_promptreport"),
    ("opens", _("Opened cards"), (_WHEN, _MESSAGE), Open, _OF_CARD, _open, "delivery.view_open"),
    ("conversions", _("Goals reached"), (_WHEN, _("goal"), _("value"), _MESSAGE),
     Conversion, _OF_CARD, _conversion, "delivery.view_conversion"),
    ("feedback", _("Feedback"), (_WHEN, _("kind"), _("words"), _MESSAGE),
     Feedback, _OF_CARD, _feedback, "delivery.view_feedback"),
    ("drift", _("Drift"), (_WHEN, _TEMPLATE, _("consents")), Drift, ("template",), _drift, "subscriptions.view_drift"),
    ("visits", _("Visits"), (_WHEN, _("page")), Visit, (), _visit, "subscriptions.view_visit"),
)  # fmt: skip
SECTIONS: Sequence[Section] = tuple(Section(*each) for each in _ALL)
