"""The delivery log, who got nothing, and what people did with their cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from notify_platform.console import access
from notify_platform.console.desk import durations
from notify_platform.console.desk.base import WRITE_A_JOB, LogAdmin, OfMiniProgram, PersonLogAdmin, ids_of, label
from notify_platform.console.desk.jobs import progress
from notify_platform.console.desk.lists import number_of
from notify_platform.console.desk.settling import Settling
from notify_platform.delivery import pacing
from notify_platform.delivery.models import Conversion, Delivery, Feedback, Open, Pace, Skip
from notify_platform.jobs.models import SendJob
from notify_platform.wechat import outcomes
from templates_app.models import MiniProgram

State = Delivery.State
# Digits of the largest key there can be; WeChat's message ids are as long.
LONGEST_KEY = 19
TONES = {
    State.WAITING: "idle",
    State.CLAIMED: "busy",
    State.SENDING: "busy",
    State.UNKNOWN: "warn",
    State.ACCEPTED: "good",
    State.DELIVERED: "good",
    State.UNDELIVERED: "bad",
    State.FAILED: "bad",
    State.SKIPPED: "idle",
    State.CANCELLED: "idle",
}
# States that a job's page counts together.
TOGETHER = {"left": progress.LEFT, "taken": progress.TAKEN}
TOGETHER_WORDS = {"left": _("all that are left"), "taken": _("all that WeChat accepted")}


class OfJob(admin.SimpleListFilter):
    """Rows of one job; shown only when somebody came from that job's page."""

    title = _("job")
    parameter_name = "job"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the job of the address; one that does not exist is offered too, or every row would be shown."""
        number = request.GET.get(self.parameter_name)
        if number is None:
            return []
        seen = access.limit(SendJob.objects.all(), to=request.user)
        job = seen.filter(pk=number_of(number) or 0).only("name").first()
        return [(number, job.name if job else "—")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the rows of that job; a job that does not exist has none."""
        value = self.value()
        if value is None:
            return queryset
        number = number_of(value)
        return queryset.none() if number is None else queryset.filter(job=number)


@admin.register(Delivery)
class DeliveryAdmin(Settling, PersonLogAdmin):
    """Every message to every person."""

    list_display = ("time", "person", "job_or_trigger", "template", "state_label", "because")
    list_filter = (OfMiniProgram, OfJob, "reason")
    tab_field = "state"
    tabs_together = TOGETHER
    tabs_together_words = TOGETHER_WORDS
    moment = "created_at"
    search_fields = ("subscriber__openid__exact", "msgid__exact")
    search_help_text = _("A whole openid, WeChat's message id, or our number.")
    empty_words = _("Every message stands here from the start of its job on.")
    empty_way = WRITE_A_JOB
    joined = ("subscriber", "job", "trigger", "template")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("person_link", "template"),
                    ("state_label", "because"),
                    ("job", "trigger"),
                    ("variant", "settle_link"),
                )
            },
        ),
        (_("When"), {"fields": (("created_at", "due_at"), ("armed_at", "settled_at"), "attempts")}),
        (
            _("WeChat"),
            {"fields": (("msgid", "rid"), ("error_code", "error_field"), "error_detail", "next_step")},
        ),
        (_("Consent"), {"fields": (("is_counted", "consent"),)}),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find by a whole openid, message id or number: indexed look-ups instead of one across two tables."""
        term = search_term.strip()
        if not term:
            return queryset, False
        is_number = term.isascii() and term.isdigit()
        by_number = Q(pk=int(term)) if is_number and len(term) < LONGEST_KEY else Q(pk__in=[])
        by_msgid = Q(msgid=term) & ~Q(msgid="")
        return queryset.filter(Q(subscriber__in=ids_of(term)) | by_msgid | by_number), False

    def is_split(self, asked: Mapping[str, str]) -> bool:
        """A job's rows are kept by state, and those with one code of WeChat."""
        return "job" in asked or "error_code__exact" in asked

    @admin.display(description=_("time"))
    def time(self, row: Delivery) -> datetime:
        """Return when it was settled or left; what has not left yet is shown with when it is due."""
        return row.settled_at or row.armed_at or row.due_at

    @admin.display(description=_("job"))
    def job_or_trigger(self, row: Delivery) -> str:
        """Return what the message comes from."""
        return str(row.job or row.trigger)

    @admin.display(description=_("state"))
    def state_label(self, row: Delivery) -> SafeString:
        """Return the state in its colour."""
        return label(TONES[State(row.state)], row.get_state_display())

    @admin.display(description=_("because"))
    def because(self, row: Delivery) -> SafeString:
        """Return the reason in words: WeChat's code with its meaning, or why it waits or was not sent."""
        if row.state == State.FAILED and row.error_code is not None:
            meaning, next_step = outcomes.describe(row.error_code)
            return format_html('<span title="{}">{} · {}</span>', next_step, row.error_code, meaning)
        if row.state == State.UNDELIVERED and row.error_detail:
            return format_html("{}", row.error_detail)
        return format_html("{}", row.get_reason_display() or "—")

    @admin.display(description=_("grant"))
    def consent(self, row: Delivery) -> SafeString:
        """Return a link to the unit of consent the message holds."""
        return _link("admin:subscriptions_grant_change", row.grant_id)

    @admin.display(description=_("next step"))
    def next_step(self, row: Delivery) -> str:
        """Return what to do about WeChat's code."""
        return outcomes.describe(row.error_code)[1] if row.error_code is not None else "—"


@admin.register(Skip)
class SkipAdmin(PersonLogAdmin):
    """The people of a job who were left out when its audience was frozen."""

    list_display = ("person", "job", "reason")
    list_filter = (OfJob,)
    tab_field = "reason"
    fields = ("person_link", "job", "reason")
    joined = ("subscriber", "job")
    empty_words = _("Who is left out when a job starts is listed here, with the reason.")

    def tabs_of(self, asked: Mapping[str, str]) -> Sequence[tuple[str, Any]]:
        """Count the reasons of one job; there is no index to count them of all jobs."""
        return super().tabs_of(asked) if "job" in asked else ()

    def is_split(self, asked: Mapping[str, str]) -> bool:
        """A job's rows are kept by reason."""
        return "job" in asked


@admin.register(Pace)
class PaceAdmin(LogAdmin):
    """How far ahead each mini-program's slots are booked, and each slower job's."""

    list_display = ("owner", "kind", "free_in", "booked_today")
    fields = list_display
    ordering = ("name",)
    lead = _("Messages leave in slots, so many a second. A job has a row here when it is slower than its mini-program.")
    empty_words = _("The first message of a mini-program books the first slot.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Pace]:
        """Return the rows of the mini-programs this colleague works with: a pace knows its owner by name alone."""
        programs = access.programs_of(request.user)
        rows = pacing.with_owners(super().get_queryset(request))
        return rows if programs is None else rows.filter(pk__in=pacing.of_programs(programs).values("pk"))

    @admin.display(description=_("whose"))
    def owner(self, row: Any) -> str:
        """Return what the mini-program or the job is called."""
        return str(row.owner or row.name)

    @admin.display(description=_("kind"))
    def kind(self, row: Pace) -> str:
        """Say which of the two it is."""
        return str((MiniProgram if row.name.startswith("app:") else SendJob)._meta.verbose_name)

    @admin.display(description=_("next free slot"))
    def free_in(self, row: Pace) -> SafeString:
        """Say how long the next message has to wait, from this moment on."""
        seconds = pacing.look_of(row, moment=timezone.now()).free_in
        if not seconds:
            return label("idle", gettext("now"))
        return label("busy", gettext("in %(duration)s") % {"duration": durations.words(seconds)})

    @admin.display(description=_("slots booked today"))
    def booked_today(self, row: Pace) -> int:
        """Return how many messages of today's budget are gone."""
        return pacing.look_of(row, moment=timezone.now()).booked


def _link(page: str, pk: int | None) -> SafeString:
    """Return a link to a row that has no name but its number."""
    if pk is None:
        return SafeString("—")
    return format_html('<a class="desk-link" href="{}">{}</a>', reverse(page, args=[pk]), pk)


class ResponseAdmin(PersonLogAdmin):
    """What a person did with a card."""

    @admin.display(description=_("message"))
    def message(self, row: Any) -> SafeString:
        """Return a link to the card."""
        return _link("admin:delivery_delivery_change", row.delivery_id)


@admin.register(Open)
class OpenAdmin(ResponseAdmin):
    """Cards that were tapped."""

    moment = "at"
    list_display = ("at", "person", "message")
    fields = ("person_link", "message", "at")


@admin.register(Conversion)
class ConversionAdmin(ResponseAdmin):
    """Goals that were reached."""

    moment = "at"
    list_display = ("at", "person", "goal", "value", "message")
    fields = ("person_link", "goal", "value", "message", "at")


@admin.register(Feedback)
class FeedbackAdmin(ResponseAdmin):
    """What people thought of a card."""

    tab_field = "kind"
    list_display = ("at", "person", "kind", "text", "message")
    fields = ("person_link", "kind", "text", "message", "at")
