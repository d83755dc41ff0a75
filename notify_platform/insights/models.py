"""Sums of what happened, so that nobody has to read the history again."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from notify_platform.jobs.models import SendJob
from templates_app.models import MessageTemplate


class SendingTally(models.Model):
    """One job on one day: its messages that left then, what became of them, and the cards opened then.

    ``insights.sending`` is the only writer.
    """

    job = models.ForeignKey(SendJob, on_delete=models.CASCADE, related_name="+", verbose_name=_("job"))
    day = models.DateField(_("day"))
    left = models.PositiveBigIntegerField(_("left us"), default=0)
    accepted = models.PositiveBigIntegerField(_("accepted by WeChat"), default=0)
    delivered = models.PositiveBigIntegerField(_("delivered"), default=0)
    undelivered = models.PositiveBigIntegerField(_("not delivered by WeChat"), default=0)
    failed = models.PositiveBigIntegerField(_("refused by WeChat"), default=0)
    opened = models.PositiveBigIntegerField(_("opened"), default=0)
    counted_at = models.DateTimeField(_("counted"))

    class Meta:
        verbose_name = _("tally of sending")
        verbose_name_plural = _("tallies of sending")
        constraints = [models.UniqueConstraint(fields=["job", "day"], name="sending_tally_once_per_job_and_day")]
        indexes = [
            # The front page: the last days of every mini-program.
            models.Index(fields=["day"], name="sending_tally_by_day"),
        ]

    def __str__(self) -> str:
        return f"{self.job_id} {self.day}: {self.left}"


class RefusalTally(models.Model):
    """How many messages of one job that left on one day WeChat refused with one code. Beside ``SendingTally``."""

    # The unique constraint finds the refusals of a job.
    job = models.ForeignKey(SendJob, on_delete=models.CASCADE, db_index=False, related_name="+", verbose_name=_("job"))
    day = models.DateField(_("day"))
    code = models.IntegerField(_("code"))
    messages = models.PositiveBigIntegerField(_("messages"))

    class Meta:
        verbose_name = _("tally of refusals")
        verbose_name_plural = _("tallies of refusals")
        constraints = [
            models.UniqueConstraint(fields=["job", "day", "code"], name="refusal_tally_once_per_job_day_and_code")
        ]

    def __str__(self) -> str:
        return f"{self.job_id} {self.day} {self.code}: {self.messages}"


class StockTally(models.Model):
    """The units of one template in stock, as they were counted last. ``insights.stock`` is the only writer."""

    template = models.OneToOneField(
        MessageTemplate, on_delete=models.CASCADE, related_name="+", verbose_name=_("template")
    )
    available = models.PositiveBigIntegerField(_("in stock"), default=0)
    lapsing = models.PositiveBigIntegerField(_("lapse within 7 days"), default=0)
    lapsing_next = models.PositiveBigIntegerField(_("lapse within 24 hours"), default=0)
    counted_at = models.DateTimeField(_("counted"))

    class Meta:
        verbose_name = _("tally of consent")
        verbose_name_plural = _("tallies of consent")

    def __str__(self) -> str:
        return f"{self.template_id}: {self.available}"
