"""What the phone reports of a popup: the answers, or why there was none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from subscriptions.grants import ledger
from subscriptions.grants.models import Source
from subscriptions.people import people
from subscriptions.people.models import Subscriber
from templates_app.models import MessageTemplate

# WeChat's docs: an errCode of wx.requestSubscribeMessage, the person has turned all messages off.
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
    """Write down what the person answered; the same ``client_request_id`` again changes nothing.

    ``scene_id``: the scene that asked, None when it is not known.
    ``results``: template → WeChat's own word; ``err_code``: errCode of a popup that was not shown.
    """
    with transaction.atomic():
        ledger.record(
            [
                ledger.NewAnswer(
                    subscriber_id=subscriber.pk,
                    template=template,
                    answer=answer,
                    source=Source.CLIENT,
                    answered_at=answered_at,
                    request_key=f"client:{client_request_id}",
                    scene_id=scene_id,
                )
                for template, answer in results.items()
            ]
        )
        if err_code == MAIN_SWITCH_OFF:
            people.note_main_switch(subscriber, on=False)
        elif results:
            people.note_main_switch(subscriber, on=True)
