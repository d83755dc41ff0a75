"""The nouns of all rooms of this floor, where Django looks for them."""

from __future__ import annotations

from subscriptions.audience.models import Audience, AudienceMember
from subscriptions.grants.models import Answer, Grant, Source, Subscription
from subscriptions.people.models import Subscriber, Visit
from subscriptions.prompts.models import Scene, SceneTemplate

__all__ = [
    "Answer",
    "Audience",
    "AudienceMember",
    "Grant",
    "Scene",
    "SceneTemplate",
    "Source",
    "Subscriber",
    "Subscription",
    "Visit",
]
