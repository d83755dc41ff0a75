"""Scenes."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

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
