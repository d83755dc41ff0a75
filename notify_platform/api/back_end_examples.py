"""What the contract shows of the addresses for back ends."""

from __future__ import annotations

from typing import Final

from notify_platform.api.examples import APP, SHIPPED, reply, request
from notify_platform.wechat.outcomes import CODES, Word

OPENID: Final = "o9AgO5Kd5ggOC-bXrbNODIiE3bGY"
EVENT: Final = "order_shipped"
EVENT_ID: Final = "20261123-0042"
DELIVERY: Final = 48151
NOT_SUBSCRIBED: Final = next(code for code, outcome in CODES.items() if outcome.word is Word.NOT_SUBSCRIBED)

EVENTS: Final = [
    request(
        "A parcel left",
        {
            "app_id": APP,
            "event": EVENT,
            "event_id": EVENT_ID,
            "subject": "order 20261123-0042",
            "openid": OPENID,
            "data": {"order": "20261123-0042", "goods": "新鲜水果", "parcels": 2},
            "occurred_at": "2026-11-23T08:00:00Z",
        },
    ),
    reply("Noted", {"deliveries": [], "duplicate": False, "undone": False}, success=202),
]
UNDOING: Final = [reply("Taken back", {"undone": True})]
DELIVERIES: Final = [
    reply(
        "A refused message",
        {
            "id": DELIVERY,
            "state": "failed",
            "reason": None,
            "error": {
                "code": NOT_SUBSCRIBED,
                "message": "The person is not subscribed, or every one-time consent is used up.",
                "next_step": "Ask for consent again at a moment when it helps the person.",
            },
            "template_id": SHIPPED,
            "job": "Autumn sale",
            "openid": OPENID,
            "due_at": "2026-11-23T08:00:00Z",
            "sent_at": "2026-11-23T08:00:01Z",
            "settled_at": "2026-11-23T08:00:01Z",
        },
    ),
    reply(
        "Somebody sleeps",
        {
            "id": DELIVERY,
            "state": "waiting",
            "reason": {"code": "quiet_hours", "message": "quiet hours"},
            "error": None,
            "template_id": SHIPPED,
            "job": None,
            "openid": OPENID,
            "due_at": "2026-11-24T00:00:00Z",
            "sent_at": None,
            "settled_at": None,
        },
    ),
]
SUBSCRIBERS: Final = [
    request(
        "Two people",
        {
            "app_id": APP,
            "subscribers": [
                {"openid": OPENID, "nickname": "小明", "city": "深圳", "tags": ["会员"]},
                {"openid": "o9AgO5Kd5ggOC-bXrbNODIiE3bGZ", "time_zone": "Asia/Urumqi"},
            ],
        },
    ),
    reply("One was new", {"created": 1, "updated": 1}),
]
CONSENTS: Final = [
    request(
        "Consent from before",
        {
            "app_id": APP,
            "import_id": "crm-2026-11-23",
            "consents": [
                {"openid": OPENID, "template_id": SHIPPED, "count": 2, "granted_at": "2026-11-20 09:30"},
                {"openid": "o9AgO5Kd5ggOC-bXrbNODIiE3bGZ", "template_id": SHIPPED},
            ],
        },
    ),
    reply("All of them are new", {"lines": 2, "units": 3}),
]
