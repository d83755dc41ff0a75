"""The yardstick: a bare Django view that checks the token's signature and writes the rows of one accepted report.

It looks up the two keys that its rows need and nothing else: it pairs nothing, counts nothing, does not ask whether the
session was revoked or the report is known, lets two reports of one person run into each other, and reads no balance.
"""

from __future__ import annotations

import json
from datetime import timedelta

from django.core import signing
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.utils import timezone

from notify_platform.api import sessions
from subscriptions.models import Answer, Grant, PromptReport, Scene, Source, Subscriber, Subscription
from templates_app.models import MessageTemplate


def report(request: HttpRequest) -> JsonResponse:
    """Take one accept."""
    token = request.headers["Authorization"].removeprefix("Bearer ")
    person, _version = signing.loads(token, salt=sessions.SALT, max_age=sessions.LIFETIME)
    given = json.loads(request.body)
    [(wechat_id, word)] = given["results"].items()
    template = MessageTemplate.objects.get(wechat_id=wechat_id)
    scene = Scene.objects.get(code=given["scene"])
    key = f"client:{given['client_request_id']}"
    now = timezone.now()
    expires_at = now + timedelta(days=template.validity_days or 0)
    with transaction.atomic():
        PromptReport.objects.create(subscriber_id=person, scene=scene, request_key=key, answered_at=now)
        answer = Answer.objects.create(
            subscriber_id=person,
            template=template,
            scene=scene,
            answer=word,
            source=Source.CLIENT,
            units=1,
            request_key=key,
            answered_at=now,
        )
        Grant.objects.create(
            subscriber_id=person, template=template, answer=answer, granted_at=now, expires_at=expires_at
        )
        Subscription.objects.bulk_create(
            [Subscription(subscriber_id=person, template=template, decided_at=now)],
            update_conflicts=True,
            unique_fields=["template", "subscriber"],
            update_fields=["state", "decided_at", "changed_at"],
        )
        Subscriber.objects.filter(pk=person).update(main_switch_seen_at=now)
    standing = {"template_id": wechat_id, "state": "on", "available": 1, "expires_at": expires_at}
    reply = JsonResponse({"balances": [standing]})
    # Django's CommonMiddleware would do it.
    reply.headers["Content-Length"] = str(len(reply.content))
    return reply


urlpatterns = [path("report", report)]
