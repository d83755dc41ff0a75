"""A plan as support reads it: what would be asked, how it was ranked, and why the rest would not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from subscriptions.models import Scene, Subscriber
from subscriptions.prompts import planner
from subscriptions.prompts.ranking import Rank
from templates_app.models import MessageTemplate


@dataclass(frozen=True, slots=True)
class Line:
    """One template of the scene: its name, its rank when nothing spoke against it, and why it is left out."""

    title: str
    rank: Rank | None
    reason: str


@dataclass(frozen=True, slots=True)
class Asking:
    """A plan, with titles. ``obstacle`` is what holds back everything."""

    words: str
    is_silent: bool
    chosen: Sequence[Line]
    left_out: Sequence[Line]
    obstacle: str


def asked_now(subscriber: Subscriber, *, scene: Scene) -> Asking:
    """Plan what the person would be asked in the scene this moment."""
    plan = planner.plan(subscriber, scene=planner.scene_of(subscriber, code=scene.code))
    titles = dict(MessageTemplate.objects.filter(scenes=scene).values_list("wechat_id", "title"))
    return Asking(
        words=plan.words,
        is_silent=plan.silent_top_up,
        chosen=[Line(titles[key], plan.ranks[key], "") for key in plan.template_ids],
        left_out=[
            Line(titles[reason.template_id], plan.ranks.get(reason.template_id), reason.message)
            for reason in plan.reasons
            if reason.template_id is not None
        ],
        obstacle=next((reason.message for reason in plan.reasons if reason.template_id is None), ""),
    )
