"""Why a template is not asked for: each reason a word for programs and a sentence for people.

What holds back everything comes first, then what is wrong with the template, then what the person said, then what
politeness asks. Pure: the facts are gathered elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

from django.utils import formats, timezone
from django.utils.translation import gettext_lazy

from subscriptions.grants.models import Subscription
from subscriptions.grants.pairing import agrees
from subscriptions.people.models import Subscriber
from subscriptions.prompts.models import Scene
from subscriptions.prompts.ranking import LEAST_NEED, Answered
from templates_app.models import MessageTemplate, MiniProgram

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

Sentence: TypeAlias = "str | _StrPromise"

# One refusal: once the cool-down; each further one in a row doubles it, so the fourth is the last that counts.
MOST_REFUSALS: Final = 4
# Fewer units than these may always be added to, whatever the forecast says.
ENOUGH_UNITS: Final = 3

REASONS: Final[Mapping[str, Sentence]] = {
    "scene_off": gettext_lazy("This scene is switched off."),
    "scene_empty": gettext_lazy("No template is bound to this scene."),
    "mini_program_banned": gettext_lazy("WeChat has banned the mini-program from subscription messages."),
    "main_switch_off": gettext_lazy("The person turned off all messages of the mini-program."),
    "paused": gettext_lazy("The person wants no card until %(until)s."),
    "template_banned": gettext_lazy("WeChat has banned the template."),
    "template_missing": gettext_lazy("The template is gone at WeChat."),
    "service_card": gettext_lazy("Service cards are not asked for by this popup."),
    "subscription_banned": gettext_lazy("WeChat has banned the template for this person."),
    "subscription_suspended": gettext_lazy("The subscription is suspended."),
    "muted": gettext_lazy("The person muted this template."),
    "always_refused": gettext_lazy("The person told WeChat to always refuse: no popup would appear."),
    "already_on": gettext_lazy("The person is subscribed for good already."),
    "enough_in_stock": gettext_lazy("The person holds as many consents as we expect to need."),
    "rejected_recently": gettext_lazy("The person refused lately: to be asked again after %(until)s."),
    "asked_enough_today": gettext_lazy("The person has seen as many popups in 24 hours as we allow."),
    "asked_enough_this_week": gettext_lazy("The person has seen as many popups in 7 days as we allow."),
    "other_kind": gettext_lazy("WeChat does not ask for one-time and long-term templates together."),
    "kept_apart": gettext_lazy("Templates that need a popup and those that need none are asked for apart."),
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
class Obstacle:
    """What speaks against asking; ``until`` is when it ends by itself."""

    code: str
    until: datetime | None = None

    def told(self, *, template_id: str | None = None) -> Reason:
        """Say it of one template, or of all."""
        until = formats.date_format(timezone.localtime(self.until), "DATETIME_FORMAT") if self.until else ""
        return Reason(template_id=template_id, code=self.code, message=REASONS[self.code] % {"until": until})


@dataclass(frozen=True, slots=True)
class Standing:
    """One person and one template: the relation, the newest answers (newest first), and the consent in stock.

    ``uncovered`` is how much of the expected demand the stock would leave without consent.
    """

    relation: Subscription | None = None
    history: Sequence[Answered] = ()
    units: int = 0
    uncovered: float = 1.0

    @property
    def is_silent(self) -> bool:
        """Whether WeChat says yes without asking, because the person always keeps a yes."""
        return self.relation is not None and agrees(self.relation.always_keep)


@dataclass(frozen=True, slots=True)
class Popups:
    """How many popups the person has seen lately."""

    day: int = 0
    week: int = 0


def against_everything(subscriber: Subscriber, *, scene: Scene, now: datetime) -> Obstacle | None:
    """Return what forbids to ask this person for anything here."""
    if not scene.is_active:
        return Obstacle("scene_off")
    if scene.mini_program.banned_at is not None:
        return Obstacle("mini_program_banned")
    if subscriber.main_switch_off_at is not None:
        return Obstacle("main_switch_off")
    if subscriber.paused_until is not None and subscriber.paused_until > now:
        return Obstacle("paused", until=subscriber.paused_until)
    return None


def against(
    template: MessageTemplate, *, standing: Standing, popups: Popups, house: MiniProgram, now: datetime
) -> Obstacle | None:
    """Return what speaks against asking the person for the template; what lasts longest is said first."""
    code = _impossible(template) or _unwanted(template, relation=standing.relation) or _needless(template, standing)
    if code:
        return Obstacle(code)
    # A silent top-up shows no popup: there is nothing to be tired of.
    return None if standing.is_silent else _impolite(standing, popups=popups, house=house, now=now)


def _impossible(template: MessageTemplate) -> str:
    if template.state != MessageTemplate.State.LIVE:
        return f"template_{template.state}"
    return "service_card" if template.kind == MessageTemplate.Kind.SERVICE_CARD else ""


def _unwanted(template: MessageTemplate, *, relation: Subscription | None) -> str:
    if relation is None:
        return ""
    if relation.state in {Subscription.State.BANNED, Subscription.State.SUSPENDED}:
        return f"subscription_{relation.state}"
    if relation.muted_at is not None:
        return "muted"
    if relation.always_keep and not agrees(relation.always_keep):
        return "always_refused"
    if relation.state == Subscription.State.ON and not template.is_counted:
        return "already_on"
    return ""


def _needless(template: MessageTemplate, standing: Standing) -> str:
    enough = standing.units >= ENOUGH_UNITS and standing.uncovered <= LEAST_NEED
    return "enough_in_stock" if template.is_counted and enough else ""


def _impolite(standing: Standing, *, popups: Popups, house: MiniProgram, now: datetime) -> Obstacle | None:
    until = rests_until(standing, cool_down_days=house.cool_down_days)
    if until is not None and until > now:
        return Obstacle("rejected_recently", until=until)
    if house.asks_per_day is not None and popups.day >= house.asks_per_day:
        return Obstacle("asked_enough_today")
    if house.asks_per_week is not None and popups.week >= house.asks_per_week:
        return Obstacle("asked_enough_this_week")
    return None


def rests_until(standing: Standing, *, cool_down_days: int) -> datetime | None:
    """Return until when the template rests after the refusals since the last yes; None when there was none.

    Turning the template off in WeChat's settings is a refusal, too.
    """
    refusals = refusals_in_a_row(standing.history)
    moments = [answered.at for answered in standing.history[:refusals]]
    relation = standing.relation
    if relation is not None and relation.state == Subscription.State.OFF and relation.turned_off_at is not None:
        moments.append(relation.turned_off_at)
    if not moments:
        return None
    doubled = min(max(refusals, 1), MOST_REFUSALS) - 1
    return max(moments) + timedelta(days=cool_down_days * 2**doubled)


def refusals_in_a_row(history: Sequence[Answered]) -> int:
    """Count the refusals since the last yes."""
    return next((number for number, answered in enumerate(history) if answered.agreed), len(history))
