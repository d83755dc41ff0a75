"""One message to one person, and what became of it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from notify_platform.jobs.models import Event, SendJob, Trigger, Variant
from subscriptions.models import Grant, Subscriber
from templates_app.models import MessageTemplate, MiniProgram


class Reason(models.TextChoices):
    """Why somebody waits or gets nothing. The person on the phone to a customer reads these."""

    NO_CONSENT = "no_consent", _("no consent in stock")
    UNREACHABLE = "unreachable", _("WeChat does not know this person any more")
    FORGOTTEN = "forgotten", _("asked to be forgotten")
    SWITCHED_OFF = "switched_off", _("turned off in WeChat")
    MUTED = "muted", _("muted in the preference centre")
    CONTENT = "content", _("the text does not fit the template")
    TOO_LATE = "too_late", _("the deadline has passed")
    PERSON_PAUSED = "person_paused", _("wants no card for now")
    CAP = "cap", _("has had enough cards")
    QUIET_HOURS = "quiet_hours", _("quiet hours")
    WINDOW = "window", _("outside the job's hours")
    RETRY = "retry", _("WeChat was busy, will be tried again")


class Delivery(models.Model):
    """One message to one person: the delivery log AND the work queue.

    ``fanout`` inserts; ``claims``, ``settlement`` and ``reports`` are the only writers of ``state``.
    """

    class State(models.TextChoices):
        """waiting → claimed → sending → accepted → delivered | undelivered, and the side roads: docs/adr/0002."""

        WAITING = "waiting", _("waiting")
        CLAIMED = "claimed", _("about to be sent")
        SENDING = "sending", _("being sent")
        UNKNOWN = "unknown", _("result unknown")
        ACCEPTED = "accepted", _("accepted by WeChat")
        DELIVERED = "delivered", _("delivered")
        UNDELIVERED = "undelivered", _("not delivered by WeChat")
        FAILED = "failed", _("refused by WeChat")
        SKIPPED = "skipped", _("not sent")
        CANCELLED = "cancelled", _("cancelled")

    IN_FLIGHT = frozenset({State.CLAIMED, State.SENDING})
    OPEN = frozenset({State.WAITING, State.CLAIMED, State.SENDING})
    # WeChat took it, or may have taken it: these count against caps.
    SENT = frozenset({State.UNKNOWN, State.ACCEPTED, State.DELIVERED, State.UNDELIVERED})
    HOLDS_GRANT = IN_FLIGHT | SENT

    # Relations without an index of their own: one of ``Meta.indexes`` begins with them, or nobody asks by them.
    mini_program = models.ForeignKey(
        MiniProgram, on_delete=models.PROTECT, db_index=False, related_name="+", verbose_name=_("mini-program")
    )
    job = models.ForeignKey(
        SendJob, on_delete=models.PROTECT, null=True, db_index=False, related_name="deliveries", verbose_name=_("job")
    )
    trigger = models.ForeignKey(
        Trigger,
        on_delete=models.PROTECT,
        null=True,
        db_index=False,
        related_name="deliveries",
        verbose_name=_("trigger"),
    )
    event = models.ForeignKey(
        Event, on_delete=models.PROTECT, null=True, db_index=False, related_name="deliveries", verbose_name=_("event")
    )
    variant = models.ForeignKey(
        Variant, on_delete=models.PROTECT, db_index=False, related_name="+", verbose_name=_("variant")
    )
    template = models.ForeignKey(
        MessageTemplate, on_delete=models.PROTECT, db_index=False, related_name="+", verbose_name=_("template")
    )
    subscriber = models.ForeignKey(
        Subscriber, on_delete=models.PROTECT, db_index=False, related_name="deliveries", verbose_name=_("subscriber")
    )
    is_counted = models.BooleanField(_("uses up a consent"))
    grant = models.ForeignKey(
        Grant, on_delete=models.PROTECT, null=True, db_index=False, related_name="+", verbose_name=_("grant")
    )
    state = models.CharField(_("state"), max_length=12, choices=State, default=State.WAITING)
    reason = models.CharField(_("reason"), max_length=20, choices=Reason, blank=True)
    due_at = models.DateTimeField(_("due"))
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    # Who holds a claimed or sending row, and until when; an unknown row remembers who held it.
    claim_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    armed_at = models.DateTimeField(_("left us"), null=True)
    settled_at = models.DateTimeField(_("settled"), null=True)
    msgid = models.CharField(_("WeChat's message id"), max_length=32, blank=True)
    error_code = models.IntegerField(_("code"), null=True)
    error_field = models.CharField(_("field"), max_length=40, blank=True)
    error_detail = models.CharField(_("WeChat's words"), max_length=200, blank=True)
    rid = models.CharField(_("WeChat's request id"), max_length=40, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("delivery log")
        permissions = [("export_delivery", "Can export")]
        constraints = [
            models.UniqueConstraint(
                # That is in claimed, sending, unknown, accepted, delivered and undelivered: see the check below.
                fields=["grant"],
                condition=Q(grant__isnull=False),
                name="delivery_grant_used_once",
            ),
            models.CheckConstraint(
                condition=Q(
                    is_counted=True,
                    grant__isnull=False,
                    state__in=["claimed", "sending", "unknown", "accepted", "delivered", "undelivered"],
                )
                | Q(grant__isnull=True, state__in=["waiting", "failed", "skipped", "cancelled"])
                | Q(is_counted=False, grant__isnull=True),
                name="delivery_names_a_grant_exactly_while_it_holds_one",
            ),
            models.UniqueConstraint(
                fields=["job", "subscriber"], condition=Q(event__isnull=True), name="delivery_once_per_job_and_person"
            ),
            models.UniqueConstraint(
                fields=["trigger", "event", "subscriber"],
                condition=Q(event__isnull=False),
                name="delivery_once_per_trigger_event_and_person",
            ),
            models.UniqueConstraint(
                fields=["subscriber"],
                condition=Q(state__in=["claimed", "sending"]),
                name="delivery_one_in_flight_per_person",
            ),
            models.CheckConstraint(
                condition=Q(job__isnull=False, trigger__isnull=True, event__isnull=True)
                | Q(job__isnull=True, trigger__isnull=False, event__isnull=False),
                name="delivery_comes_from_a_job_or_a_trigger",
            ),
        ]
        indexes = [
            # The claim: the next rows of one job.
            models.Index(fields=["job", "due_at", "id"], name="delivery_claim_job", condition=Q(state="waiting")),
            # The claim: triggered rows go before every broadcast.
            models.Index(
                fields=["mini_program", "due_at", "id"],
                name="delivery_claim_triggered",
                condition=Q(state="waiting", event__isnull=False),
            ),
            # The reaper: leases that lapsed.
            models.Index(fields=["lease_until"], name="delivery_lapsed", condition=Q(state__in=["claimed", "sending"])),
            # Unknown rows that policy has to close.
            models.Index(
                fields=["armed_at"], name="delivery_open_unknown", condition=Q(state="unknown", settled_at__isnull=True)
            ),
            # What one event led to; the messages of jobs have none.
            models.Index(fields=["event"], name="delivery_of_event", condition=Q(event__isnull=False)),
            # A sent event names its message.
            models.Index(fields=["msgid"], name="delivery_by_msgid", condition=~Q(msgid="")),
            # Caps, one person's log, and sent events without a message id.
            models.Index(fields=["subscriber", "armed_at"], name="delivery_by_person"),
            # Progress of a job: how many in each state and why, without the rows; and its log by state, newest first.
            models.Index(fields=["job", "state", "id", "reason"], name="delivery_progress"),
            # The log by state, newest first, and the counts of its tabs.
            models.Index(fields=["state", "id"], name="delivery_log_by_state"),
            # The log of one mini-program, newest first.
            models.Index(fields=["mini_program", "id"], name="delivery_log_by_program"),
            # The log by the reason somebody waits or got nothing, and by WeChat's code; most rows have neither.
            models.Index(fields=["reason", "id"], name="delivery_log_by_reason", condition=~Q(reason="")),
            # The first of the two in one job, and the counts of its tabs.
            models.Index(
                fields=["job", "reason", "state", "id"], name="delivery_log_of_job_by_reason", condition=~Q(reason="")
            ),
            # The second of the two, and the counts of its tabs.
            models.Index(
                fields=["error_code", "state", "id"], name="delivery_log_by_code", condition=Q(error_code__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk}: {self.state}"


class Skip(models.Model):
    """One person of a job who gets nothing, decided at fan-out: compact, pruned first."""

    # The unique constraint finds the rows of a job.
    job = models.ForeignKey(
        SendJob, on_delete=models.CASCADE, db_index=False, related_name="skips", verbose_name=_("job")
    )
    subscriber = models.ForeignKey(
        Subscriber, on_delete=models.CASCADE, related_name="skips", verbose_name=_("subscriber")
    )
    reason = models.CharField(_("reason"), max_length=20, choices=Reason)

    class Meta:
        verbose_name = _("skip")
        verbose_name_plural = _("skips")
        permissions = [("export_skip", "Can export")]
        constraints = [models.UniqueConstraint(fields=["job", "subscriber"], name="skip_once_per_job_and_person")]
        indexes = [
            # A job's skips by reason: how many, without the rows, and which, newest first.
            models.Index(fields=["job", "reason", "id"], name="skip_by_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.subscriber_id}: {self.reason}"


class Pace(models.Model):
    """The next free sending slot of a mini-program or of a slower job, and how many were booked today.

    ``delivery.pacing`` is the only writer.
    """

    name = models.CharField(_("name"), max_length=40, primary_key=True)
    next_slot_us = models.BigIntegerField(_("next slot (µs since 1970)"), default=0)
    # The last day in Beijing on which slots were booked (``date.toordinal``), and how many.
    day = models.PositiveIntegerField(_("day"), default=0)
    booked = models.PositiveIntegerField(_("booked that day"), default=0)

    class Meta:
        verbose_name = _("pace")
        verbose_name_plural = _("paces")

    def __str__(self) -> str:
        return self.name


class Throughput(models.Model):
    """So many messages of a job left within the last seconds before ``at``. ``delivery.speed`` is the only writer."""

    job = models.ForeignKey(SendJob, on_delete=models.CASCADE, related_name="+", verbose_name=_("job"))
    at = models.DateTimeField(_("at"))
    messages = models.PositiveIntegerField(_("messages"))

    class Meta:
        verbose_name = _("throughput")
        verbose_name_plural = _("throughput")
        indexes = [
            # How fast is a job now, and when did its last message leave?
            models.Index(fields=["job", "at"], name="throughput_of_job"),
        ]

    def __str__(self) -> str:
        return f"{self.job_id} {self.at}: {self.messages}"


class Response(models.Model):
    """What a person did with a card. One table per deed below."""

    # Each deed is unique by its card.
    delivery = models.ForeignKey(
        Delivery, on_delete=models.CASCADE, db_index=False, related_name="+", verbose_name=_("delivery")
    )
    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE, related_name="+", verbose_name=_("subscriber"))
    at = models.DateTimeField(_("at"))

    class Meta:
        abstract = True


class Open(Response):
    """A card was tapped by the person it was sent to."""

    class Meta:
        verbose_name = _("open")
        verbose_name_plural = _("opens")
        constraints = [models.UniqueConstraint(fields=["delivery"], name="open_once_per_delivery")]

    def __str__(self) -> str:
        return f"{self.delivery_id}"


class Conversion(models.Model):
    """A person reached a goal, with or without a card before it."""

    subscriber = models.ForeignKey(
        Subscriber, on_delete=models.CASCADE, related_name="conversions", verbose_name=_("subscriber")
    )
    delivery = models.ForeignKey(
        Delivery,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="conversions",
        verbose_name=_("delivery"),
    )
    goal = models.CharField(_("goal"), max_length=60)
    value = models.DecimalField(_("value"), max_digits=12, decimal_places=2, null=True, blank=True)
    # Makes a repeated report the same report; empty when the caller gave none.
    request_key = models.CharField(_("request"), max_length=64, blank=True)
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("conversion")
        verbose_name_plural = _("conversions")
        constraints = [
            models.UniqueConstraint(
                fields=["subscriber", "request_key"], condition=~Q(request_key=""), name="conversion_reported_once"
            )
        ]

    def __str__(self) -> str:
        return self.goal


class Feedback(Response):
    """What a person thought of a card."""

    class Kind(models.TextChoices):
        """The three buttons of the preference centre."""

        USEFUL = "useful", _("useful")
        IRRELEVANT = "irrelevant", _("not for me")
        TOO_OFTEN = "too_often", _("too often")

    kind = models.CharField(_("kind"), max_length=12, choices=Kind)
    text = models.CharField(_("words"), max_length=500, blank=True)

    class Meta:
        verbose_name = _("feedback")
        verbose_name_plural = _("feedback")
        permissions = [("export_feedback", "Can export")]
        constraints = [models.UniqueConstraint(fields=["delivery"], name="feedback_once_per_delivery")]
        indexes = [
            # The list by what people thought, newest first.
            models.Index(fields=["kind", "id"], name="feedback_by_kind"),
        ]

    def __str__(self) -> str:
        return self.kind
