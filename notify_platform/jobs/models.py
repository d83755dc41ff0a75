"""Jobs, their wordings, series, triggers and the events that pull them."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from subscriptions.models import Audience, Subscriber
from templates_app.models import MessageTemplate, MiniProgram


class Series(models.Model):
    """A broadcast that comes again: one job per occurrence. ``jobs.series`` is the only writer."""

    mini_program = models.ForeignKey(
        MiniProgram, on_delete=models.PROTECT, related_name="series", verbose_name=_("mini-program")
    )
    name = models.CharField(_("name"), max_length=80)
    weekdays = models.JSONField(_("weekdays"), default=list, help_text=_("1 is Monday, 7 is Sunday."))
    at_time = models.TimeField(_("at"))
    starts_on = models.DateField(_("from"))
    ends_on = models.DateField(_("until"), null=True, blank=True)
    within_hours = models.PositiveSmallIntegerField(
        _("send within (hours)"),
        default=12,
        validators=[MinValueValidator(1), MaxValueValidator(23)],
        help_text=_("Who has not got the card by then does not get it; a start missed for longer is dropped."),
    )
    is_active = models.BooleanField(_("active"), default=True)
    # The next occurrence that has not been dealt with; empty: none.
    next_at = models.DateTimeField(_("next time"), null=True, editable=False)

    class Meta:
        verbose_name = _("series")
        verbose_name_plural = _("series")
        indexes = [
            # The worker's question, asked all day: which series is about to come?
            models.Index(fields=["next_at"], name="series_due", condition=Q(is_active=True)),
        ]

    def __str__(self) -> str:
        return self.name


class SendJob(models.Model):
    """One broadcast. ``jobs.jobs`` is the only writer of ``state``."""

    class State(models.TextChoices):
        """draft → submitted → scheduled → running ⇄ paused → finished | cancelled; submitted → draft when refused."""

        DRAFT = "draft", _("draft")
        SUBMITTED = "submitted", _("waiting for approval")
        SCHEDULED = "scheduled", _("scheduled")
        RUNNING = "running", _("running")
        PAUSED = "paused", _("paused")
        FINISHED = "finished", _("finished")
        CANCELLED = "cancelled", _("cancelled")

    class PauseReason(models.TextChoices):
        """Why a job stands still, in a word; the sentence is in ``pause_detail``."""

        OPERATOR = "operator", _("paused by a person")
        TEMPLATE = "template", _("the template cannot be used")
        CONTENT = "content", _("WeChat refuses the content")
        ACCOUNT = "account", _("WeChat refuses the account")
        DAILY_LIMIT = "daily_limit", _("WeChat's daily limit is reached")

    EDITABLE = frozenset({State.DRAFT})
    CANCELLABLE = frozenset({State.DRAFT, State.SUBMITTED, State.SCHEDULED, State.RUNNING, State.PAUSED})
    OVER = frozenset({State.FINISHED, State.CANCELLED})

    mini_program = models.ForeignKey(
        MiniProgram, on_delete=models.PROTECT, related_name="jobs", verbose_name=_("mini-program")
    )
    name = models.CharField(_("name"), max_length=80)
    purpose = models.CharField(
        _("reason"), max_length=200, help_text=_("Why these people should get this card. The approver reads it.")
    )
    template = models.ForeignKey(
        MessageTemplate, on_delete=models.PROTECT, related_name="jobs", verbose_name=_("template")
    )
    audience = models.ForeignKey(Audience, on_delete=models.PROTECT, related_name="jobs", verbose_name=_("audience"))
    series = models.ForeignKey(
        Series, on_delete=models.PROTECT, null=True, blank=True, related_name="jobs", verbose_name=_("series")
    )
    # Which day of its series it was made for; a job of a series without one is the pattern of the others.
    occurrence = models.DateField(_("occurrence"), null=True, blank=True, editable=False)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.DRAFT, editable=False)
    starts_at = models.DateTimeField(
        _("starts at"), null=True, blank=True, help_text=_("Empty: when a person presses start.")
    )
    not_after = models.DateTimeField(
        _("not after"), null=True, blank=True, help_text=_("Who has not got the card by then does not get it.")
    )
    window_from = models.TimeField(
        _("send only from"), null=True, blank=True, help_text=_("In each person's own time zone.")
    )
    window_until = models.TimeField(_("send only until"), null=True, blank=True)
    pace_per_second = models.PositiveSmallIntegerField(
        _("pace (messages per second)"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("Empty: the mini-program's. A job can only be slower."),
    )
    # A test of another job's words is a small job of its own (docs/adr/0014); its cards open the version named here.
    test_of = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="tests",
        editable=False,
        verbose_name=_("test of"),
    )
    card_state = models.CharField(_("cards open"), max_length=12, choices=MiniProgram.State, blank=True, editable=False)
    pause_reason = models.CharField(_("why paused"), max_length=20, choices=PauseReason, blank=True, editable=False)
    pause_detail = models.CharField(_("what to do"), max_length=400, blank=True, editable=False)
    paused_at = models.DateTimeField(_("paused since"), null=True, editable=False)
    refusal = models.CharField(_("why refused"), max_length=400, blank=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        editable=False,
        verbose_name=_("composed by"),
    )
    submitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        editable=False,
        verbose_name=_("submitted by"),
    )
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        editable=False,
        verbose_name=_("approved by"),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    submitted_at = models.DateTimeField(_("submitted"), null=True, editable=False)
    approved_at = models.DateTimeField(_("approved"), null=True, editable=False)
    started_at = models.DateTimeField(_("started"), null=True, editable=False)
    ended_at = models.DateTimeField(_("ended"), null=True, editable=False)
    # The frozen audience: how far the fan-out got (a subscriber id), where it ends, and how many people it has seen.
    fanout_after = models.BigIntegerField(default=0, editable=False)
    fanout_upto = models.BigIntegerField(null=True, editable=False)
    fanned_out_at = models.DateTimeField(_("audience frozen"), null=True, editable=False)
    audience_size = models.PositiveBigIntegerField(_("people"), default=0, editable=False)
    # The dry run of when it was handed over (``delivery.rehearsal``), and what was handed over each time, oldest first:
    # {"at", "by", "is_approved", "content"} (``jobs.versions``).
    rehearsal = models.JSONField(default=dict, editable=False)
    versions = models.JSONField(default=list, editable=False)
    # Reason → how many skips have been pruned: everybody of the audience stays accounted for.
    pruned_skips = models.JSONField(default=dict, editable=False)

    class Meta:
        verbose_name = _("send job")
        verbose_name_plural = _("send jobs")
        permissions = [
            ("approve_sendjob", "Can approve a send job"),
            ("operate_sendjob", "Can start, pause, resume and cancel a send job"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(window_from__isnull=True, window_until__isnull=True)
                | Q(window_from__isnull=False, window_until__isnull=False),
                name="job_window_has_both_ends",
            ),
            models.CheckConstraint(
                condition=Q(pause_reason="") | Q(state="paused"), name="job_has_a_pause_reason_only_while_paused"
            ),
            models.UniqueConstraint(fields=["series", "occurrence"], name="job_once_per_occurrence"),
            models.UniqueConstraint(
                fields=["series"], condition=Q(occurrence__isnull=True), name="job_one_pattern_per_series"
            ),
        ]
        indexes = [
            # The engine's question, asked all day: which jobs run, are due, are being cleared away, wait for WeChat?
            models.Index(
                fields=["state", "starts_at"],
                name="job_due",
                condition=Q(state__in=["scheduled", "running"])
                | Q(state="cancelled", ended_at__isnull=True)
                | Q(state="paused", pause_reason="daily_limit"),
            ),
            # The list of one mini-program's jobs, newest first.
            models.Index(fields=["mini_program", "-id"], name="job_list"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def goes_on_by_itself(self) -> bool:
        """Whether it is paused only until WeChat takes messages again (``delivery.limits``)."""
        return self.state == self.State.PAUSED and self.pause_reason == self.PauseReason.DAILY_LIMIT

    @property
    def is_pattern(self) -> bool:
        """Whether jobs are made of it, and it is never sent itself."""
        return self.series_id is not None and self.occurrence is None


class Trigger(models.Model):
    """The rule that turns an event into messages."""

    mini_program = models.ForeignKey(
        MiniProgram, on_delete=models.PROTECT, related_name="triggers", verbose_name=_("mini-program")
    )
    name = models.CharField(_("name"), max_length=80)
    event = models.CharField(
        _("event"), max_length=60, help_text=_("The name the back end reports, e.g. order_shipped.")
    )
    template = models.ForeignKey(
        MessageTemplate, on_delete=models.PROTECT, related_name="triggers", verbose_name=_("template")
    )
    delay_seconds = models.PositiveIntegerField(_("wait (seconds)"), default=0)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("trigger")
        verbose_name_plural = _("triggers")
        # An event arrives: which rules does it pull?
        indexes = [models.Index(fields=["mini_program", "event"], name="trigger_by_event")]

    def __str__(self) -> str:
        return self.name


class Variant(models.Model):
    """One wording, and page, of a job or a trigger."""

    job = models.ForeignKey(
        SendJob, on_delete=models.CASCADE, null=True, blank=True, related_name="variants", verbose_name=_("job")
    )
    trigger = models.ForeignKey(
        Trigger, on_delete=models.CASCADE, null=True, blank=True, related_name="variants", verbose_name=_("trigger")
    )
    name = models.CharField(_("name"), max_length=20, default="A")
    page = models.CharField(
        _("page"),
        max_length=300,
        blank=True,
        help_text=_("Opened by a tap on the card; empty: the card opens nothing."),
    )
    texts = models.JSONField(_("texts"), default=dict, help_text=_("Key of the field → text with placeholders."))
    fit_keys = models.JSONField(
        _("shorten to fit"), default=list, blank=True, help_text=_("Keys whose text may be cut with “…”.")
    )
    # Kept rather than deleted: a database looks through every message there is before it lets a variant go.
    is_dropped = models.BooleanField(_("dropped"), default=False)

    class Meta:
        verbose_name = _("variant")
        verbose_name_plural = _("variants")
        constraints = [
            models.CheckConstraint(
                condition=Q(job__isnull=False, trigger__isnull=True) | Q(job__isnull=True, trigger__isnull=False),
                name="variant_belongs_to_a_job_or_a_trigger",
            ),
            models.UniqueConstraint(fields=["job", "name"], name="variant_name_once_per_job"),
            models.UniqueConstraint(fields=["trigger", "name"], name="variant_name_once_per_trigger"),
        ]

    def __str__(self) -> str:
        return self.name


class Event(models.Model):
    """What a back end reported, once for ever per (mini-program, event, event_id)."""

    mini_program = models.ForeignKey(
        MiniProgram, on_delete=models.PROTECT, related_name="events", verbose_name=_("mini-program")
    )
    event = models.CharField(_("event"), max_length=60)
    event_id = models.CharField(_("event id"), max_length=120)
    subscriber = models.ForeignKey(
        Subscriber, on_delete=models.SET_NULL, null=True, related_name="events", verbose_name=_("subscriber")
    )
    subject = models.CharField(_("subject"), max_length=120, blank=True)
    data = models.JSONField(_("data"), default=dict, blank=True)
    occurred_at = models.DateTimeField(_("occurred"))
    received_at = models.DateTimeField(_("received"), auto_now_add=True)
    undone_at = models.DateTimeField(_("undone"), null=True, blank=True)
    # The key outlives what was reported under it.
    emptied_at = models.DateTimeField(_("data deleted"), null=True, blank=True)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        constraints = [
            models.UniqueConstraint(fields=["mini_program", "event", "event_id"], name="event_reported_once")
        ]
        indexes = [
            # Retention: the oldest events that still hold data.
            models.Index(fields=["received_at"], name="event_holding_data", condition=Q(emptied_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.event_id}"
