"""People: the openid lives here and nowhere else."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from templates_app.models import MiniProgram, validate_time_zone


class Subscriber(models.Model):
    """One openid of one mini-program."""

    # The unique constraint finds the people of a mini-program.
    mini_program = models.ForeignKey(
        MiniProgram,
        on_delete=models.PROTECT,
        db_index=False,
        related_name="subscribers",
        verbose_name=_("mini-program"),
    )
    openid = models.CharField(_("openid"), max_length=64)
    nickname = models.CharField(_("nickname"), max_length=64, blank=True)
    region = models.CharField(_("region"), max_length=40, blank=True)
    city = models.CharField(_("city"), max_length=40, blank=True)
    time_zone = models.CharField(
        _("time zone"),
        max_length=40,
        blank=True,
        validators=[validate_time_zone],
        help_text=_("Empty: the mini-program's."),
    )
    tags = models.JSONField(_("tags"), default=list, blank=True)
    interests = models.JSONField(_("interests"), default=list, blank=True)
    last_visit_at = models.DateTimeField(_("last visit"), null=True, blank=True)
    invalid_at = models.DateTimeField(
        _("refused by WeChat"), null=True, blank=True, help_text=_("WeChat does not know this openid.")
    )
    main_switch_off_at = models.DateTimeField(_("turned all messages off"), null=True, blank=True)
    # When we last learnt how the switch stood: older news comes too late.
    main_switch_seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    paused_until = models.DateTimeField(_("wants no card until"), null=True, blank=True)
    quiet_from = models.TimeField(_("own quiet hours from"), null=True, blank=True)
    quiet_until = models.TimeField(_("own quiet hours until"), null=True, blank=True)
    # Colleagues who try cards out on their own phones.
    tester_since = models.DateTimeField(_("tester since"), null=True, blank=True, editable=False)
    # Every session of the mini-program names the version it was made for; raising it ends them all.
    session_version = models.PositiveIntegerField(_("session version"), default=1)
    # The row of a forgotten person is an empty shell that keeps the sums right.
    forgotten_at = models.DateTimeField(_("forgotten"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("subscriber")
        verbose_name_plural = _("subscribers")
        constraints = [
            models.UniqueConstraint(fields=["mini_program", "openid"], name="subscriber_once_per_mini_program"),
            models.CheckConstraint(
                condition=Q(quiet_from__isnull=True, quiet_until__isnull=True)
                | Q(quiet_from__isnull=False, quiet_until__isnull=False),
                name="subscriber_quiet_hours_have_both_ends",
            ),
        ]
        indexes = [
            # Fan-out walks an audience by id within one mini-program.
            models.Index(fields=["mini_program", "id"], name="subscriber_walk"),
            # "Active within N days" and "dormant for N days".
            models.Index(fields=["mini_program", "last_visit_at"], name="subscriber_activity"),
            # The testers of a mini-program: a few of all.
            models.Index(
                fields=["mini_program", "id"], name="subscriber_testers", condition=Q(tester_since__isnull=False)
            ),
            # The desk finds people by how their nickname begins.
            models.Index(fields=["nickname"], name="subscriber_nickname", opclasses=["varchar_pattern_ops"]),
            # The forecast: whom no card reaches.
            models.Index(
                fields=["mini_program", "id"],
                name="subscriber_shut",
                condition=Q(main_switch_off_at__isnull=False) | Q(invalid_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.nickname or self.masked_openid

    @property
    def masked_openid(self) -> str:
        """The openid as it may stand in a log: its two ends."""
        return mask(self.openid)


def mask(openid: str) -> str:
    """Return the two ends of an openid, enough to recognise it and too little to use it."""
    return f"{openid[:4]}…{openid[-4:]}" if len(openid) > 12 else "…"


class Visit(models.Model):
    """A person opened the mini-program."""

    # ``visit_by_person`` finds the visits of a person.
    subscriber = models.ForeignKey(
        Subscriber, on_delete=models.CASCADE, db_index=False, related_name="visits", verbose_name=_("subscriber")
    )
    page = models.CharField(_("page"), max_length=300, blank=True)
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("visit")
        verbose_name_plural = _("visits")
        # One person's visits, newest first; best hours are learnt from them.
        indexes = [models.Index(fields=["subscriber", "-at"], name="visit_by_person")]

    def __str__(self) -> str:
        return f"{self.subscriber_id} {self.page}"
