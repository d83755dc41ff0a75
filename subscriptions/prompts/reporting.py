"""What the phone reports after it has asked. The only writer of ``PromptReport``."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from django.db import transaction

from subscriptions.grants import ledger
from subscriptions.grants.forgetting import nameless
from subscriptions.grants.models import Source
from subscriptions.grants.pairing import BAN, REJECT, NewAnswer
from subscriptions.people import people
from subscriptions.people.models import Subscriber
from subscriptions.prompts.models import PromptReport
from templates_app.models import MessageTemplate

logger = logging.getLogger(__name__)

# WeChat's docs, wx.requestSubscribeMessage, fail result.
MAIN_SWITCH_OFF: Final = 20004
APP_BANNED: Final = 20005
# WeChat's docs, success result; "filter": a template of the same title was asked for.
KNOWN_WORDS: Final = frozenset(
    {"accept", "acceptWithAudio", "acceptWithAlert", "acceptWithForcePush", REJECT, BAN, "filter"}
)


class Reported(NamedTuple):
    """What a report says of WeChat's bans, for those above who stop jobs: templates, and the whole mini-program."""

    banned: list[MessageTemplate]
    app_banned: bool


def report(
    subscriber: Subscriber,
    *,
    scene_id: int | None,
    results: Mapping[MessageTemplate, str],
    err_code: int | None,
    client_request_id: str,
    answered_at: datetime,
    planned: Sequence[int] = (),
    is_silent: bool = False,
) -> Reported:
    """Write down what came of asking, once for each ``client_request_id``.

    ``planned`` are the keys of the templates the plan named, ``is_silent`` says that no popup was to appear. A popup
    WeChat did not show because the person has turned everything off is noted; one it showed later lifts that note.
    """
    key = f"client:{client_request_id}"
    fresh = PromptReport(
        subscriber=subscriber,
        scene_id=scene_id,
        planned=list(planned),
        is_silent=is_silent,
        err_code=err_code,
        request_key=key,
        answered_at=answered_at,
    )
    answers = [
        NewAnswer(
            subscriber_id=subscriber.pk,
            template=template,
            answer=word,
            source=Source.CLIENT,
            answered_at=answered_at,
            request_key=key,
            scene_id=scene_id,
            is_silent=is_silent,
        )
        for template, word in results.items()
    ]
    with transaction.atomic():
        PromptReport.objects.bulk_create([fresh], ignore_conflicts=True)
        ledger.record(answers)
        if err_code == MAIN_SWITCH_OFF:
            people.note_main_switch(subscriber, on=False, at=answered_at)
        elif results:
            people.note_main_switch(subscriber, on=True, at=answered_at)
    _wonder(results.values())
    return Reported(
        banned=[template for template, word in results.items() if word == BAN], app_banned=err_code == APP_BANNED
    )


def _wonder(words: Iterable[str]) -> None:
    """Log words WeChat's docs do not have: they count as no, and somebody should look."""
    for word in sorted(set(words) - KNOWN_WORDS):
        logger.warning("WeChat's popup brought an unknown word: %s", word)


def forget(subscriber_ids: Collection[int]) -> int:
    """Take the phone's own words for the request out of these people's reports; that there was one stays."""
    return PromptReport.objects.filter(subscriber__in=subscriber_ids).update(request_key=nameless())
