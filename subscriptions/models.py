"""The nouns of all rooms of this floor, where Django looks for them."""

from __future__ import annotations

from subscriptions.audience.models import Audience, AudienceMember
from subscriptions.grants.models import Answer, Drift, Grant, Source, Subscription
from subscriptions.people.models import Subscriber, Visit
from subscriptions.prompts.models import AskingTally, ExpectedDemand, PromptReport, Scene, SceneTemplate

__all__ = [
    "Answer",
    "AskingTally",
    "Audience",
    "AudienceMember",
    "Drift",
    "ExpectedDemand",
    "Grant",
    "PromptReport",
    "Scene",
    "SceneTemplate",
    "Source",
    "Subscriber",
    "Subscription",
    "Visit",
]
