"""What should this person be asked now? A few templates, or nothing and why.

Asking where no yes can come from costs the person's patience and brings nothing, so whatever is left out has its
reason, and "nothing" is a proper answer. See docs/consent.md. Reads only: a plan that nobody follows leaves no trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.utils import timezone
from django.utils.translation import gettext as _

from notify_platform.core.errors import Refused
from notify_platform.core.prepared import Prepared
from subscriptions.people.models import Subscriber
from subscriptions.prompts import ranking, reasons
from subscriptions.prompts.facts import Facts, gather
from subscriptions.prompts.models import Scene
from subscriptions.prompts.ranking import Candidate, Rank, Tally
from subscriptions.prompts.reasons import Obstacle, Reason
from templates_app.models import MessageTemplate, MiniProgram

# More than these WeChat takes in no popup, whatever the setting says.
MOST_AT_WECHAT: Final = 5
# The house rules of asking; the secrets beside them need not be opened.
_HOUSE_RULES: Final = Prepared(
    lambda pk: MiniProgram.objects.filter(pk=pk).only(
        "banned_at", "time_zone", "most_templates", "asks_per_day", "asks_per_week", "cool_down_days"
    )
)
_SCENE: Final = Prepared(
    lambda mini_program, code: Scene.objects.filter(mini_program_id=mini_program, code=code).only(
        "mini_program", "code", "words", "is_active"
    )
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask: WeChat's template ids, best first (none to five), and the words to show before the popup.

    ``silent_top_up``: the person always keeps a yes to each of them, so asking inside a tap shows no popup and adds
    one unit each. ``ranks`` says of each template nothing spoke against how it was ranked (WeChat's id → rank).
    """

    template_ids: list[str]
    words: str
    silent_top_up: bool
    reasons: list[Reason]
    ranks: Mapping[str, Rank] = field(default_factory=dict)


def scene_of(subscriber: Subscriber, *, code: str) -> Scene:
    """Return the scene of the person's mini-program, switched on or off. Raises ``Refused``: there is none."""
    for scene in _SCENE.objects(mini_program=subscriber.mini_program_id, code=code):
        (scene.mini_program,) = _HOUSE_RULES.objects(pk=subscriber.mini_program_id)
        return scene
    raise _unknown_scene(code)


def plan(subscriber: Subscriber, *, scene: Scene) -> Plan:
    """Choose what to ask the person in this scene; at most eight queries, however many templates it has.

    Raises ``Refused`` for a scene of another mini-program.
    """
    if scene.mini_program_id != subscriber.mini_program_id:
        raise _unknown_scene(scene.code)
    now = timezone.now()
    if obstacle := reasons.against_everything(subscriber, scene=scene, now=now):
        return _nothing(scene, because=obstacle)
    facts = gather(subscriber, scene=scene, now=now)
    if not facts.templates:
        return _nothing(scene, because=Obstacle("scene_empty"))
    return choose(facts, scene=scene, now=now)


def choose(facts: Facts, *, scene: Scene, now: datetime) -> Plan:
    """Choose from what is known; every template of the scene is asked for or has one reason why not."""
    obstacles: dict[int, Obstacle] = {}
    candidates: list[Candidate] = []
    for template in facts.templates:
        standing = facts.standings[template.pk]
        obstacle = reasons.against(template, standing=standing, popups=facts.popups, house=scene.mini_program, now=now)
        if obstacle is None:
            candidates.append(Candidate(template, standing.is_silent, _rank(template, facts=facts)))
        else:
            obstacles[template.pk] = obstacle
    popup = ranking.best_popup(candidates, most=_room(scene))
    obstacles |= {key: Obstacle(code) for key, code in popup.left_out.items()}
    return Plan(
        template_ids=[candidate.template.wechat_id for candidate in popup.chosen],
        words=scene.words,
        silent_top_up=bool(popup.chosen) and popup.chosen[0].is_silent,
        reasons=[
            obstacles[template.pk].told(template_id=template.wechat_id)
            for template in facts.templates
            if template.pk in obstacles
        ],
        ranks={candidate.template.wechat_id: candidate.rank for candidate in candidates},
    )


def _rank(template: MessageTemplate, *, facts: Facts) -> Rank:
    standing = facts.standings[template.pk]
    likely = ranking.chance(
        own=standing.history,
        template=facts.tallies.get(template.pk, Tally()),
        scene=facts.scene_tally,
        elsewhere=facts.elsewhere,
    )
    return Rank(
        need=max(standing.uncovered, ranking.LEAST_NEED),
        chance=1.0 if standing.is_silent else likely,
        worth=template.worth,
    )


def _room(scene: Scene) -> int:
    return max(1, min(scene.mini_program.most_templates, MOST_AT_WECHAT))


def _unknown_scene(code: str) -> Refused:
    sentence = _("This mini-program has no scene “%(code)s”.") % {"code": code}
    return Refused(sentence, code="unknown_scene", fields={"scene": sentence})


def _nothing(scene: Scene, *, because: Obstacle) -> Plan:
    return Plan(template_ids=[], words=scene.words, silent_top_up=False, reasons=[because.told()])
