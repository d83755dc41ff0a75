"""The inbox: what WeChat pushed, raw."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from templates_app.models import MiniProgram


class CallbackEvent(models.Model):
    """One verified push. The view inserts, ``callbacks.inbox`` is the only writer of ``state``."""

    class State(models.TextChoices):
        """Whether it has had its effect."""

        PENDING = "pending", _("waiting to be handled")
        HANDLED = "handled", _("handled")
        UNMATCHED = "unmatched", _("no message fits")
        IGNORED = "ignored", _("not ours")
        FAILED = "failed", _("failed")

    class Trouble(models.TextChoices):
        """Why a push had no effect, or not all of it; anything else in ``error`` names an unforeseen error."""

        UNREADABLE = "unreadable", _("No item of it could be read.")
        TOO_MANY = "too_many", _("It holds more items than WeChat ever sends.")
        NO_MESSAGE = "no_message", _("No message of ours fits; it may be another system's.")
        NO_TEMPLATE = "no_template", _("A template is not in our list: sync the templates.")

    # What a person may ask to have processed again.
    UNDONE = frozenset({State.FAILED, State.UNMATCHED})

    # The unique constraint finds the pushes of a mini-program.
    mini_program = models.ForeignKey(
        MiniProgram, on_delete=models.PROTECT, db_index=False, related_name="callbacks", verbose_name=_("mini-program")
    )
    # WeChat gives pushes no id and repeats them: the digest of what identifies one (see callbacks.pushes.identity).
    identity = models.CharField(_("identity"), max_length=64)
    event = models.CharField(_("event"), max_length=60, blank=True)
    # Whom it is about, so that a person can be forgotten; empty when the push names nobody.
    openid = models.CharField(_("openid"), max_length=64, blank=True)
    body = models.JSONField(_("content"), default=dict)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    due_at = models.DateTimeField(_("due"))
    error = models.CharField(_("error"), max_length=300, blank=True)
    received_at = models.DateTimeField(_("received"), auto_now_add=True)
    handled_at = models.DateTimeField(_("handled"), null=True, blank=True)

    class Meta:
        verbose_name = _("callback")
        verbose_name_plural = _("callbacks")
        constraints = [models.UniqueConstraint(fields=["mini_program", "identity"], name="callback_stored_once")]
        indexes = [
            # The inbox: what is waiting.
            models.Index(fields=["due_at", "id"], name="callback_due", condition=Q(state="pending")),
            # The front page: what failed lately.
            models.Index(fields=["mini_program", "received_at"], name="callback_failed", condition=Q(state="failed")),
            # What a person is to be forgotten in.
            models.Index(fields=["mini_program", "openid"], name="callback_by_person", condition=~Q(openid="")),
            # The list by state and by kind, newest first, and the counts of its tabs.
            models.Index(fields=["state", "id"], name="callback_list_by_state"),
            # The second of the two.
            models.Index(fields=["event", "id"], name="callback_list_by_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.pk}"

    @property
    def trouble(self) -> str:
        """Why it had no effect, as a sentence where there is one."""
        return str(self.Trouble(self.error).label) if self.error in self.Trouble.values else self.error
