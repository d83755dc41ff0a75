"""The yardstick: a bare Django view that checks the token's signature and writes the rows of one accepted report.

It looks nothing up, asks nobody, counts nothing, and would write the same report twice: less cannot be done.
"""

from __future__ import annotations

import json
from datetime import timedelta
from functools import lru_cache

from django.core import signing
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.utils import timezone

from notify_platform.api import sessions
from subscriptions.models import Answer, Grant, PromptReport, Scene, Source, Subscriber, Subscription
from templates_app.models import MessageTemplate


@lru_cache(maxsize=16)
def _template(wechat_id: str) -> tuple[int, int]:
    return MessageTemplate.objects.values_list("pk", "validity_days").get(wechat_id=wechat_id)


@lru_cache(maxsize=16)
def _scene(code: str) -> int:
    return Scene.objects.values_list("pk", flat=True).get(code=code)


def report(request: HttpRequest) -> JsonResponse:
    """Take one accept."""
    token = request.headers["Authorization"].removeprefix("Bearer ")
    person, _version = signing.loads(token, salt=sessions.SALT, max_age=sessions.LIFETIME)
    given = json.loads(request.body)
    [(wechat_id, word)] = given["results"].items()
    template, days = _template(wechat_id)
    scene = _scene(given["scene"])
    key = f"client:{given['client_request_id']}"
    now = timezone.now()
    expires_at = now + timedelta(days=days)
    with transaction.atomic():
        PromptReport.objects.create(subscriber_id=person, scene_id=scene, request_key=key, answered_at=now)
        answer = Answer.objects.create(
            subscriber_id=person,
            template_id=template,
            scene_id=scene,
            answer=word,
            source=Source.CLIENT,
            units=1,
            request_key=key,
            answered_at=now,
        )
        Grant.objects.create(
            subscriber_id=person, template_id=template, answer=answer, granted_at=now, expires_at=expires_at
        )
        Subscription.objects.bulk_create(
            [Subscription(subscriber_id=person, template_id=template, decided_at=now)],
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
