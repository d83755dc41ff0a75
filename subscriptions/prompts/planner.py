"""What should this person be asked now? A few templates, or nothing and why.

Asking where no yes can come from costs the person's patience and brings nothing, so whatever is left out has its
reason, and "nothing" is a proper answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from notify_platform.core.errors import Refused
from subscriptions.grants.models import Answer, Subscription
from subscriptions.people.models import Subscriber
from subscriptions.prompts.models import Scene, SceneTemplate
from templates_app.models import MessageTemplate

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

Sentence: TypeAlias = "str | _StrPromise"

# WeChat's docs allow 5 templates in a popup today and 3 in older versions: 3 fit every phone.
MOST_TEMPLATES: Final = 3
COOL_DOWN: Final = timedelta(days=7)

REASONS: Final[Mapping[str, Sentence]] = {
    "scene_off": gettext_lazy("This scene is switched off."),
    "scene_empty": gettext_lazy("No template is bound to this scene."),
    "main_switch_off": gettext_lazy("The person turned off all messages of the mini-program."),
    "template_banned": gettext_lazy("WeChat has banned the template."),
    "template_missing": gettext_lazy("The template is gone at WeChat."),
    "service_card": gettext_lazy("Service cards are not asked for by this popup."),
    "subscription_banned": gettext_lazy("WeChat has banned the template for this person."),
    "subscription_suspended": gettext_lazy("The subscription is suspended."),
    "muted": gettext_lazy("The person muted this template."),
    "always_refused": gettext_lazy("The person told WeChat to always refuse: no popup would appear."),
    "rejected_recently": gettext_lazy("The person refused within the last 7 days."),
    "already_on": gettext_lazy("The person is subscribed for good already."),
    "other_kind": gettext_lazy("WeChat does not ask for one-time and long-term templates together."),
    "same_title": gettext_lazy("Another template of the popup has the same title."),
    "enough": gettext_lazy("The popup is full."),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a template is left out: a word for programs and a sentence. Without ``template_id``: all are."""

    template_id: str | None
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask: WeChat's template ids (none to three), and the words to show before the popup.

    ``silent_top_up``: the person always keeps a yes to each of them, so asking inside a tap shows no popup and adds
    one unit each.
    """

    template_ids: list[str]
    words: str
    silent_top_up: bool
    reasons: list[Reason]


def scene_of(subscriber: Subscriber, *, code: str) -> Scene:
    """Return the scene of the person's mini-program, switched on or off. Raises ``Refused``: there is none."""
    scene = Scene.objects.filter(mini_program_id=subscriber.mini_program_id, code=code).first()
    if scene is None:
        raise _unknown_scene(code)
    return scene


def plan(subscriber: Subscriber, *, scene: Scene) -> Plan:
    """Choose what to ask the person in this scene, in the scene's own order; reads only, three queries.

    Raises ``Refused`` for a scene of another mini-program.
    """
    if scene.mini_program_id != subscriber.mini_program_id:
        raise _unknown_scene(scene.code)
    if not scene.is_active:
        return _nothing(scene, because="scene_off")
    if subscriber.main_switch_off_at is not None:
        return _nothing(scene, because="main_switch_off")
    asks = SceneTemplate.objects.filter(scene=scene, template__mini_program_id=scene.mini_program_id)
    templates = [ask.template for ask in asks.select_related("template").order_by("position", "pk")]
    if not templates:
        return _nothing(scene, because="scene_empty")
    person = _know(subscriber, templates=templates)
    chosen: list[MessageTemplate] = []
    reasons: list[Reason] = []
    for template in templates:
        if code := _left_out(template, person=person) or _no_room(template, chosen=chosen):
            reasons.append(_reason(code, template_id=template.wechat_id))
        else:
            chosen.append(template)
    return Plan(
        template_ids=[template.wechat_id for template in chosen],
        words=scene.words,
        silent_top_up=bool(chosen) and all(person.always_agrees(template) for template in chosen),
        reasons=reasons,
    )


@dataclass(frozen=True, slots=True)
class _Person:
    """What we know of the person about the templates of one scene."""

    subscriptions: Mapping[int, Subscription]
    refused_recently: frozenset[int]

    def always_agrees(self, template: MessageTemplate) -> bool:
        subscription = self.subscriptions.get(template.pk)
        return subscription is not None and _agrees(subscription.always_keep)


def _know(subscriber: Subscriber, *, templates: Sequence[MessageTemplate]) -> _Person:
    mine = Subscription.objects.filter(subscriber=subscriber, template__in=templates)
    answers = (
        Answer.objects.filter(subscriber=subscriber, template__in=templates, answered_at__gt=timezone.now() - COOL_DOWN)
        # "filter": WeChat left the template out of the popup, the person was not asked.
        .exclude(answer="filter")
        .order_by("answered_at", "pk")
        .values_list("template_id", "answer")
    )
    # The last answer of each template stays in the dictionary.
    refused = frozenset(template_id for template_id, answer in dict(answers).items() if answer == "reject")
    return _Person(subscriptions={each.template_id: each for each in mine}, refused_recently=refused)


def _left_out(template: MessageTemplate, *, person: _Person) -> str:
    """Return why the template cannot or should not be asked for, empty when nothing speaks against it."""
    if template.state != MessageTemplate.State.LIVE:
        return f"template_{template.state}"
    if template.kind == MessageTemplate.Kind.SERVICE_CARD:
        return "service_card"
    subscription = person.subscriptions.get(template.pk)
    if subscription is not None and (code := _unwanted(subscription, template=template)):
        return code
    return "rejected_recently" if template.pk in person.refused_recently else ""


def _unwanted(subscription: Subscription, *, template: MessageTemplate) -> str:
    if subscription.state in {Subscription.State.BANNED, Subscription.State.SUSPENDED}:
        return f"subscription_{subscription.state}"
    if subscription.muted_at is not None:
        return "muted"
    if subscription.always_keep and not _agrees(subscription.always_keep):
        return "always_refused"
    if subscription.state == Subscription.State.ON and not template.is_counted:
        return "already_on"
    return ""


def _no_room(template: MessageTemplate, *, chosen: Sequence[MessageTemplate]) -> str:
    """Return why the template cannot join the chosen ones (WeChat's docs: one kind, distinct titles, few)."""
    if any(other.kind != template.kind for other in chosen):
        return "other_kind"
    if any(other.title == template.title for other in chosen):
        return "same_title"
    return "enough" if len(chosen) >= MOST_TEMPLATES else ""


def _agrees(answer: str) -> bool:
    return answer.startswith("accept")


def _unknown_scene(code: str) -> Refused:
    sentence = _("This mini-program has no scene “%(code)s”.") % {"code": code}
    return Refused(sentence, code="unknown_scene", fields={"scene": sentence})


def _nothing(scene: Scene, *, because: str) -> Plan:
    return Plan(template_ids=[], words=scene.words, silent_top_up=False, reasons=[_reason(because, template_id=None)])


def _reason(code: str, *, template_id: str | None) -> Reason:
    return Reason(template_id=template_id, code=code, message=str(REASONS[code]))
