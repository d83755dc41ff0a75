"""Consent: the relation, the units, and what was answered."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from subscriptions.people.models import Subscriber
from templates_app.models import MessageTemplate


class Source(models.TextChoices):
    """Who told us."""

    CLIENT = "client", _("the phone")
    CALLBACK = "callback", _("WeChat")
    IMPORT = "import", _("import")


class Subscription(models.Model):
    """ "User A subscribed to template B": the standing relation, beside the counted units."""

    class State(models.TextChoices):
        """Whether messages of this template may reach this person at all."""

        ON = "on", _("on")
        OFF = "off", _("off")
        BANNED = "banned", _("banned")
        SUSPENDED = "suspended", _("suspended")

    # Only a wish was noted (muted, or an answer WeChat repeats): there never was a yes or a no that counts.
    UNDECIDED = Q(state="off", decided_at__isnull=True, turned_off_at__isnull=True)

    subscriber = models.ForeignKey(
        Subscriber, on_delete=models.CASCADE, related_name="subscriptions", verbose_name=_("subscriber")
    )
    # The unique constraint finds the relations of a template.
    template = models.ForeignKey(
        MessageTemplate,
        on_delete=models.PROTECT,
        db_index=False,
        related_name="subscriptions",
        verbose_name=_("template"),
    )
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.ON)
    always_keep = models.CharField(
        _("always keeps the answer"),
        max_length=24,
        blank=True,
        help_text=_("The answer WeChat repeats without asking."),
    )
    # When the person last said yes or no to the relation as a whole, and when it last was a no: reports of older
    # decisions may come later, and change nothing then.
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)
    turned_off_at = models.DateTimeField(_("turned off"), null=True, blank=True)
    muted_at = models.DateTimeField(_("muted in our preference centre"), null=True, blank=True)
    changed_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("subscription")
        verbose_name_plural = _("subscriptions")
        constraints = [models.UniqueConstraint(fields=["template", "subscriber"], name="subscription_once")]
        indexes = [
            # The forecast: whose units are kept but cannot be used.
            models.Index(
                fields=["template", "subscriber"],
                name="subscription_idle",
                condition=Q(state__in=["banned", "suspended"]) | Q(muted_at__isnull=False),
            ),
            # A dry run: whom the gates of one template turn away.
            models.Index(
                fields=["template", "subscriber"],
                name="subscription_shut",
                condition=Q(state__in=["banned", "off", "suspended"]) | Q(muted_at__isnull=False),
            ),
            # A popup that was shown (``jobs.bans``, ``lift_ban``): whose relation to its template is banned.
            models.Index(fields=["template"], name="subscription_banned", condition=Q(state="banned")),
            # A phone tells of a ban (``jobs.bans``): in whose WeChat settings was it lately?
            models.Index(
                fields=["template", "changed_at"], name="subscription_kept_ban", condition=Q(always_keep="ban")
            ),
            # The list by state, newest first, and the counts of its tabs.
            models.Index(fields=["state", "id"], name="subscription_list_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.subscriber_id} → {self.template_id}: {self.state}"

    @property
    def standing(self) -> str:
        """The state as the person would tell it: "none" as long as nothing was decided."""
        undecided = self.state == self.State.OFF and self.decided_at is None and self.turned_off_at is None
        return "none" if undecided else self.state


class Answer(models.Model):
    """What a person answered once: append-only."""

    # The unique constraint finds the answers of a person.
    subscriber = models.ForeignKey(
        Subscriber, on_delete=models.CASCADE, db_index=False, related_name="answers", verbose_name=_("subscriber")
    )
    template = models.ForeignKey(
        MessageTemplate, on_delete=models.PROTECT, related_name="answers", verbose_name=_("template")
    )
    scene = models.ForeignKey(
        "subscriptions.Scene",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="answers",
        verbose_name=_("scene"),
    )
    answer = models.CharField(
        _("answer"), max_length=24, help_text=_("WeChat's own word: accept, reject, ban, filter …")
    )
    source = models.CharField(_("reported by"), max_length=10, choices=Source)
    units = models.PositiveSmallIntegerField(_("consents"), default=0)
    is_silent = models.BooleanField(
        _("without a popup"),
        default=False,
        help_text=_("The person always keeps this answer. WeChat does not say whether its event follows."),
    )
    # What makes a repeated report the same report: the phone's request id, the callback's identity, file and line.
    request_key = models.CharField(_("request"), max_length=120)
    answered_at = models.DateTimeField(_("answered"))
    received_at = models.DateTimeField(_("received"), auto_now_add=True)
    # One popup is reported by the phone and by WeChat: the report that came second names the first. A report that comes
    # later still and is nearer may take a place (docs/adr/0012).
    pair = models.OneToOneField(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="paired_by",
        verbose_name=_("same popup as"),
    )

    class Meta:
        verbose_name = _("answer")
        verbose_name_plural = _("answers")
        constraints = [
            models.UniqueConstraint(fields=["subscriber", "template", "request_key"], name="answer_reported_once"),
        ]
        indexes = [
            # Pairing a claim with WeChat's event: the nearest answer of this person and template.
            models.Index(fields=["subscriber", "template", "answered_at"], name="answer_pairing"),
            # The tally of a day: what was answered in which scene.
            models.Index(fields=["answered_at"], name="answer_tally", condition=Q(scene__isnull=False)),
            # A phone tells of a ban (``jobs.bans``): who met it lately? And was it met after a popup was shown?
            models.Index(fields=["template", "answered_at"], name="answer_bans", condition=Q(answer="ban")),
            # The list by who reported, newest first, and the counts of its tabs.
            models.Index(fields=["source", "id"], name="answer_list_by_source"),
        ]

    def __str__(self) -> str:
        return f"{self.subscriber_id} {self.answer}"


class Grant(models.Model):
    """ONE unit of one-time consent. ``grants.ledger`` is the only writer of ``state``."""

    class State(models.TextChoices):
        """available → reserved → spent; or → lapsed (our validity) / revoked (WeChat or the person)."""

        AVAILABLE = "available", _("available")
        RESERVED = "reserved", _("reserved")
        SPENT = "spent", _("spent")
        LAPSED = "lapsed", _("lapsed")
        REVOKED = "revoked", _("revoked")

    class RevokedBy(models.TextChoices):
        """Who made a unit void."""

        PERSON = "person", _("turned off by the person")
        WECHAT = "wechat", _("refused by WeChat")

    # These can still become a message: a reserved unit may be given back.
    COUNTABLE = frozenset({State.AVAILABLE, State.RESERVED})

    # "One person's history" finds the units of a person.
    subscriber = models.ForeignKey(
        Subscriber, on_delete=models.CASCADE, db_index=False, related_name="grants", verbose_name=_("subscriber")
    )
    template = models.ForeignKey(
        MessageTemplate, on_delete=models.PROTECT, db_index=False, related_name="grants", verbose_name=_("template")
    )
    answer = models.ForeignKey(Answer, on_delete=models.PROTECT, related_name="grants", verbose_name=_("answer"))
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.AVAILABLE)
    granted_at = models.DateTimeField(_("granted"))
    expires_at = models.DateTimeField(_("valid until"), null=True, blank=True)
    settled_at = models.DateTimeField(_("spent, lapsed or revoked"), null=True, blank=True)
    revoked_by = models.CharField(_("revoked because"), max_length=8, choices=RevokedBy, blank=True)

    class Meta:
        verbose_name = _("grant")
        verbose_name_plural = _("grants")
        permissions = [("export_grant", "Can export")]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["available", "reserved"], settled_at__isnull=True)
                | Q(state__in=["spent", "lapsed", "revoked"], settled_at__isnull=False),
                name="grant_settled_at_matches_state",
            ),
            models.CheckConstraint(
                condition=Q(state="revoked", revoked_by__in=["person", "wechat"])
                | (~Q(state="revoked") & Q(revoked_by="")),
                name="grant_says_who_revoked_it",
            ),
        ]
        indexes = [
            # Consent in stock: fan-out, the claim's reservation (soonest to lapse first) and balances.
            models.Index(
                fields=["template", "subscriber", "expires_at"],
                name="grant_in_stock",
                condition=Q(state__in=["available", "reserved"]),
            ),
            # The sweep of lapsed units, and the forecast: how many of each template end on each day, without the rows.
            models.Index(fields=["expires_at", "template"], name="grant_lapsing", condition=Q(state="available")),
            # One person's history.
            models.Index(fields=["subscriber", "template", "granted_at"], name="grant_by_person"),
            # The list by state, newest first, and the counts of its tabs.
            models.Index(fields=["state", "id"], name="grant_list_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.subscriber_id} → {self.template_id}: {self.state}"


class Drift(models.Model):
    """WeChat said "not subscribed" (43101) although our books held units: they were void without our knowing."""

    subscriber = models.ForeignKey(
        Subscriber, on_delete=models.CASCADE, related_name="drifts", verbose_name=_("subscriber")
    )
    template = models.ForeignKey(
        MessageTemplate, on_delete=models.PROTECT, related_name="drifts", verbose_name=_("template")
    )
    units = models.PositiveSmallIntegerField(_("consents"))
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("drift")
        verbose_name_plural = _("drift")
        indexes = [
            # How much drift a template had lately.
            models.Index(fields=["template", "at"], name="drift_by_template"),
        ]

    def __str__(self) -> str:
        return f"{self.subscriber_id} → {self.template_id}: {self.units}"
