"""Scenes."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from subscriptions.people.models import Subscriber
from templates_app import compliance
from templates_app.models import MessageTemplate, MiniProgram


class Scene(models.Model):
    """The moment in the mini-program at which consent is asked: which templates, in what words."""

    mini_program = models.ForeignKey(
        MiniProgram, on_delete=models.CASCADE, related_name="scenes", verbose_name=_("mini-program")
    )
    code = models.SlugField(_("code"), max_length=40, help_text=_("What the mini-program calls it, e.g. order-paid."))
    name = models.CharField(_("name"), max_length=60)
    words = models.CharField(_("words before the popup"), max_length=200, blank=True)
    templates: models.ManyToManyField[MessageTemplate, SceneTemplate] = models.ManyToManyField(
        MessageTemplate, through="SceneTemplate", related_name="scenes", verbose_name=_("templates")
    )
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("scene")
        verbose_name_plural = _("scenes")
        constraints = [
            models.UniqueConstraint(fields=["mini_program", "code"], name="scene_code_once_per_mini_program")
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse words that buy, force or incite a yes."""
        if wrong := compliance.advice(self.words):
            raise ValidationError({"words": wrong})


class SceneTemplate(models.Model):
    """One template that a scene may ask for."""

    scene = models.ForeignKey(Scene, on_delete=models.CASCADE, related_name="asks", verbose_name=_("scene"))
    template = models.ForeignKey(
        MessageTemplate, on_delete=models.CASCADE, related_name="asked_in", verbose_name=_("template")
    )
    position = models.PositiveSmallIntegerField(_("position"), default=1)

    class Meta:
        verbose_name = _("template of a scene")
        verbose_name_plural = _("templates of a scene")
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["scene", "template"], name="template_once_per_scene")]

    def __str__(self) -> str:
        return f"{self.scene_id}: {self.template_id}"

    def clean(self) -> None:
        """Refuse a template of another mini-program: WeChat would not know it."""
        meant, mine = self.scene.mini_program_id, self.template.mini_program_id if self.template_id else None
        if meant and mine and mine != meant:
            raise ValidationError({"template": _("This template is of another mini-program than the scene.")})


class PromptReport(models.Model):
    """What a phone reported of one attempt to ask: append-only. Caps count these; a plan writes nothing."""

    # ``prompt_report_caps`` finds the reports of a person.
    subscriber = models.ForeignKey(
        Subscriber,
        on_delete=models.CASCADE,
        db_index=False,
        related_name="prompt_reports",
        verbose_name=_("subscriber"),
    )
    scene = models.ForeignKey(
        Scene, on_delete=models.SET_NULL, null=True, blank=True, related_name="reports", verbose_name=_("scene")
    )
    # Keys of the templates the plan named; empty when the phone asked without a plan.
    planned = models.JSONField(_("planned"), default=list, blank=True)
    is_silent = models.BooleanField(_("without a popup"), default=False)
    err_code = models.IntegerField(
        _("code"), null=True, blank=True, help_text=_("WeChat's code when there was no popup.")
    )
    request_key = models.CharField(_("request"), max_length=120)
    answered_at = models.DateTimeField(_("answered"))
    received_at = models.DateTimeField(_("received"), auto_now_add=True)

    class Meta:
        verbose_name = _("prompt report")
        verbose_name_plural = _("prompt reports")
        constraints = [models.UniqueConstraint(fields=["subscriber", "request_key"], name="prompt_reported_once")]
        indexes = [
            # How often a person was asked lately.
            models.Index(fields=["subscriber", "answered_at"], name="prompt_report_caps"),
            # The tally of a day.
            models.Index(fields=["answered_at"], name="prompt_report_tally"),
            # The list of those without a popup, newest first: they may be few.
            models.Index(fields=["id"], name="prompt_report_silent", condition=Q(is_silent=True)),
        ]

    def __str__(self) -> str:
        return f"{self.subscriber_id}: {self.scene_id}"


class AskingTally(models.Model):
    """How often a word was said in a scene on a day: WeChat's own ("accept", "reject" …), "planned", or a failure code.

    Only "planned" and the answers of popups name their template. Without one stand the failure codes; "silent_accept"
    and "silent_reject", answers given without a popup, which say nothing of a popup's chances; and of the day's last
    sample "sampled", of how many people, and "held:<reason>:<template>", what the planner would not ask them for.
    Written from above (``insights.asking``), one day at a time.
    """

    scene = models.ForeignKey(Scene, on_delete=models.CASCADE, related_name="tallies", verbose_name=_("scene"))
    template = models.ForeignKey(
        MessageTemplate,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="asking_tallies",
        verbose_name=_("template"),
    )
    day = models.DateField(_("day"))
    word = models.CharField(_("word"), max_length=40)
    times = models.PositiveBigIntegerField(_("times"))

    class Meta:
        verbose_name = _("tally of a scene")
        verbose_name_plural = _("tallies of scenes")
        constraints = [
            models.UniqueConstraint(
                fields=["scene", "day", "template", "word"],
                condition=Q(template__isnull=False),
                name="tally_once_per_day_template_and_word",
            ),
            models.UniqueConstraint(
                fields=["scene", "day", "word"], condition=Q(template__isnull=True), name="tally_once_per_day_and_code"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scene_id} {self.day} {self.word}: {self.times}"


class ExpectedDemand(models.Model):
    """How many messages of a template we expect to want to send on a day; written from above (``insights.demand``).

    Of today, what is still to come. A day that is over keeps what was expected, beside what was ``wanted``.
    """

    template = models.ForeignKey(
        MessageTemplate, on_delete=models.CASCADE, related_name="expected_demand", verbose_name=_("template")
    )
    day = models.DateField(_("day"))
    messages = models.FloatField(_("messages"))
    per_person = models.FloatField(_("messages per active person"))
    wanted = models.PositiveBigIntegerField(
        _("really wanted"), null=True, blank=True, help_text=_("Counted when the day is over.")
    )

    class Meta:
        verbose_name = _("expected demand")
        verbose_name_plural = _("expected demand")
        constraints = [models.UniqueConstraint(fields=["template", "day"], name="demand_once_per_template_and_day")]

    def __str__(self) -> str:
        return f"{self.template_id} {self.day}: {self.messages}"
