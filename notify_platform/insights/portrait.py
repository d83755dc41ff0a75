"""Everything the books hold about one person, for that person: JSON, piece by piece, whatever its length."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from notify_platform.delivery.models import Conversion, Delivery, Feedback, Open, Reason, Skip
from notify_platform.jobs.models import Event
from notify_platform.wechat import outcomes
from subscriptions.models import Answer, AudienceMember, Drift, Grant, PromptReport, Subscriber, Subscription, Visit

CHUNK = 500
RECORD = (
    "openid", "nickname", "region", "city", "time_zone", "tags", "interests", "last_visit_at", "created_at",
    "invalid_at", "main_switch_off_at", "paused_until", "quiet_from", "quiet_until", "forgotten_at",
)  # fmt: skip
# Each kind of thing with its columns, in the order of a person's way through the platform.
SECTIONS: tuple[tuple[str, Any, tuple[str, ...]], ...] = (
    ("subscriptions", Subscription, (
        "template__title", "state", "always_keep", "decided_at", "turned_off_at", "muted_at", "changed_at",
    )),
    ("prompts", PromptReport, ("scene__name", "is_silent", "err_code", "answered_at")),
    ("answers", Answer, (
        "template__title", "scene__name", "answer", "source", "units", "is_silent", "answered_at", "received_at",
    )),
    ("grants", Grant, ("id", "template__title", "state", "granted_at", "expires_at", "settled_at")),
    ("drifts", Drift, ("template__title", "units", "at")),
    ("deliveries", Delivery, (
        "id", "template__title", "job__name", "trigger__name", "state", "reason", "grant", "attempts", "created_at",
        "due_at", "armed_at", "settled_at", "msgid", "error_code", "error_detail",
    )),
    ("left_out", Skip, ("job__name", "reason")),
    ("opens", Open, ("delivery", "at")),
    ("conversions", Conversion, ("delivery", "goal", "value", "at")),
    ("feedback", Feedback, ("delivery", "kind", "text", "at")),
    ("visits", Visit, ("page", "at")),
    ("events", Event, ("event", "event_id", "subject", "data", "occurred_at", "received_at", "undone_at")),
    ("lists", AudienceMember, ("audience__name",)),
)  # fmt: skip


def of_person(person: Subscriber) -> Iterator[str]:
    """Yield the pieces of one JSON object: the record, then a list for each kind of thing, oldest first."""
    record = {"app_id": person.mini_program.app_id, **{name: getattr(person, name) for name in RECORD}}
    yield '{"person": ' + _text(record)
    for name, model, columns in SECTIONS:
        yield f',\n"{name}": ['
        separator = "\n"
        for row in model.objects.filter(subscriber=person).order_by("pk").values(*columns).iterator(chunk_size=CHUNK):
            yield separator + _text(_in_words(row))
            separator = ",\n"
        yield "]"
    yield "}\n"


def _in_words(row: Mapping[str, Any]) -> dict[str, Any]:
    """Say in words why nothing was sent, or what WeChat answered."""
    told = {name.replace("__", "_"): value for name, value in row.items()}
    if "reason" in told:
        code, reason = told.get("error_code"), told["reason"]
        told["why"] = str(Reason(reason).label) if reason else outcomes.describe(code)[0] if code is not None else ""
    return told


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False)
