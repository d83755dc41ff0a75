"""The id of a prompt: signed, naming what was asked and when, and stored nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.core import signing
from django.utils.translation import gettext as _

from notify_platform.core.errors import Refused
from notify_platform.core.prepared import Prepared
from subscriptions.models import Scene, Subscriber
from subscriptions.prompts.planner import Plan

SALT: Final = "notify_platform.api.prompt"
_SCENE: Final = Prepared(lambda pk: Scene.objects.filter(pk=pk))


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a prompt was: its scene (None when it is gone by now), WeChat's template ids, and whether it is silent."""

    scene: Scene | None
    template_ids: list[str]
    is_silent: bool


def make(scene: Scene, *, plan: Plan) -> str:
    """Return the id of a prompt in this scene; the moment is part of the signature."""
    content = {"scene": scene.pk, "ids": plan.template_ids, "silent": plan.silent_top_up}
    return signing.dumps(content, salt=SALT)


def read(subscriber: Subscriber, *, prompt_id: str) -> Prompt:
    """Return what was asked. Raises ``Refused`` for an id that is not ours, or of another mini-program.

    An id never expires: it only says where an answer came from.
    """
    try:
        content = signing.loads(prompt_id, salt=SALT)
    except signing.BadSignature as error:
        raise _unknown() from error
    scene = next(iter(_SCENE.objects(pk=content["scene"])), None)
    if scene is not None and scene.mini_program_id != subscriber.mini_program_id:
        raise _unknown()
    # Ids that were made before prompts could be silent do not say so.
    return Prompt(scene=scene, template_ids=list(content["ids"]), is_silent=content.get("silent", False))


def _unknown() -> Refused:
    sentence = _("This prompt was not made for this mini-program.")
    return Refused(sentence, code="unknown_prompt", fields={"prompt_id": sentence})
