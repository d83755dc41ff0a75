"""What the phone reports after it has asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from subscriptions.grants import ledger
from subscriptions.grants.models import Source
from subscriptions.grants.pairing import NewAnswer
from subscriptions.people import people
from subscriptions.people.models import Subscriber
from templates_app.models import MessageTemplate

# WeChat's docs, wx.requestSubscribeMessage: "the main switch is switched off".
MAIN_SWITCH_OFF = 20004


def report(
    subscriber: Subscriber,
    *,
    scene_id: int | None,
    results: Mapping[MessageTemplate, str],
    err_code: int | None,
    client_request_id: str,
    answered_at: datetime,
) -> None:
    """Write a popup's answers down, once for each ``client_request_id``.

    A popup WeChat did not show because the person has turned everything off is noted; one it showed lifts that note.
    """
    with transaction.atomic():
        ledger.record(
            [
                NewAnswer(
                    subscriber_id=subscriber.pk,
                    template=template,
                    answer=word,
                    source=Source.CLIENT,
                    answered_at=answered_at,
                    request_key=f"client:{client_request_id}",
                    scene_id=scene_id,
                )
                for template, word in results.items()
            ]
        )
        if err_code == MAIN_SWITCH_OFF:
            people.note_main_switch(subscriber, on=False)
        elif results:
            people.note_main_switch(subscriber, on=True)
