"""What the contract shows beside the shapes: an example of each request and each reply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework.serializers import Serializer

from notify_platform.api.shapes import Problem

APP: Final = "wx0123456789abcdef"
SHIPPED: Final = "VRR0UEO9VJOLs0MHlU0OilqX6MVFDwH3_3gz3Oc0NIc"
ON_SALE: Final = "9nLIlbOQZC5Y89AZteFEux3WCXRRRG5Wfzkpssu4bLI"
PROMPT: Final = "eyJzY2VuZSI6NywiaWRzIjpbXX0:1wMrzK:9bV1cS3n0tARealSignature"
NK: Final = "2f.RAlC3nq1g6J9Kw"

# Each status but 400: what it means anywhere in this API, and the error as it looks.
_PROBLEMS: Final[Mapping[int, tuple[str, str, str]]] = {
    401: ("Who calls is not known.", "session_expired", "The session has expired: sign in again."),
    403: (
        "The key is of another mini-program, or may not be used for this. Codes: wrong_app, wrong_scope.",
        "wrong_app",
        "This API key is of another mini-program.",
    ),
    404: ("There is no such thing, or it is none of the caller's.", "not_found", "Not found."),
    413: ("The body is too long.", "too_large", "The body is too long."),
    415: ("The body is not JSON.", "unsupported_media_type", 'Unsupported media type "text/plain" in request.'),
    429: (
        "Too many calls; Retry-After tells the seconds to wait.",
        "throttled",
        "Request was throttled. Expected available in 12 seconds.",
    ),
    503: (
        "WeChat cannot be asked at the moment; Retry-After tells the seconds to wait.",
        "unavailable",
        "Signing in with WeChat does not work at the moment. Try again a little later.",
    ),
}


def replies(
    shape: type[Serializer[Any]], *problems: int, wrong: str = "", refusals: Sequence[str] = (), success: int = 200
) -> dict[int, OpenApiResponse]:
    """Return the answers of an address: its own shape, and the errors it may give.

    ``wrong``: the input that is wrong in the example; ``refusals``: the codes of 400 besides ``invalid``.
    """
    found = {success: OpenApiResponse(shape, description="Done.")}
    if wrong:
        content = _content("invalid", "Some of the input is wrong: see the fields.", {wrong: "This field is required."})
        codes = ", ".join(["invalid", "parse_error", *refusals])
        found[400] = _problem(400, content, meaning=f"The input is wrong; nothing was written. Codes: {codes}.")
    for status in problems:
        meaning, code, message = _PROBLEMS[status]
        found[status] = _problem(status, _content(code, message, {}), meaning=meaning)
    return found


def _content(code: str, message: str, fields: Mapping[str, str]) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "fields": fields}}


def _problem(status: int, content: Mapping[str, Any], *, meaning: str) -> OpenApiResponse:
    code = content["error"]["code"]
    example = OpenApiExample(code, value=content, response_only=True, status_codes=[str(status)])
    return OpenApiResponse(Problem, description=meaning, examples=[example])


def request(name: str, value: Any) -> OpenApiExample:
    """Return an example of what may be sent."""
    return OpenApiExample(name, value=value, request_only=True)


def reply(name: str, value: Any, *, success: int = 200) -> OpenApiExample:
    """Return an example of what comes back when all is well."""
    return OpenApiExample(name, value=value, response_only=True, status_codes=[str(success)])


SESSIONS: Final = [
    request("From a phone", {"app_id": APP, "code": "0b1cDe2fGh3iJk4lMn5oPq6rSt7uVw8x"}),
    request("From a back end", {"app_id": APP, "openid": "o9AgO5Kd5ggOC-bXrbNODIiE3bGY"}),
    reply(
        "A session",
        {
            "token": "WzQyLDFd:1wMrzK:t8sVQ2nOtARealSignature",
            "expires_at": "2026-11-30T08:00:00Z",
            "subscriber": "Zr3YkQ0v6cX1mJt5uB8wLg",
        },
    ),
]
PROMPTS: Final = [
    OpenApiExample("A scene", value="order-paid", parameter_only=("scene", "query")),
    reply(
        "Something to ask",
        {
            "prompt_id": PROMPT,
            "template_ids": [SHIPPED],
            "words": "May we tell you when your parcel leaves?",
            "silent_top_up": False,
            "reasons": [
                {
                    "template_id": ON_SALE,
                    "code": "rejected_recently",
                    "message": "The person refused lately: to be asked again after Nov. 30, 2026, 4 p.m.",
                }
            ],
        },
    ),
    reply(
        "Nothing to ask",
        {
            "prompt_id": PROMPT,
            "template_ids": [],
            "words": "May we tell you when your parcel leaves?",
            "silent_top_up": False,
            "reasons": [
                {
                    "template_id": None,
                    "code": "main_switch_off",
                    "message": "The person turned off all messages of the mini-program.",
                }
            ],
        },
    ),
]
_BALANCE: Final = {"template_id": SHIPPED, "state": "on", "available": 1, "expires_at": "2026-11-30T08:00:00Z"}
AUTHORIZATIONS: Final = [
    request(
        "The popup was answered",
        {
            "prompt_id": PROMPT,
            "results": {"errMsg": "requestSubscribeMessage:ok", SHIPPED: "accept"},
            "client_request_id": "k3v9x2m8q1w7",
            "answered_ago_ms": 840,
        },
    ),
    request(
        "There was no popup",
        {"scene": "order-paid", "err_code": 20004, "client_request_id": "k3v9x2m8q1w8"},
    ),
    reply("Balances", {"balances": [_BALANCE]}),
]
SUBSCRIPTIONS: Final = [
    reply("One of them", {"subscriptions": [{**_BALANCE, "title": "订单发货通知", "kind": "one_time"}]}),
]
OPENS: Final = [request("A key", {"nk": NK}), reply("The person's own card", {"deed": "open"})]
VISITS: Final = [
    request("A launch", {"page": "pages/index/index"}),
    request("From a card", {"page": "pages/order/detail?id=123", "nk": NK}),
    reply("A visit", {"deed": "visit"}),
]

WECHAT_SETTINGS: Final = [
    request(
        "Two answers are kept",
        {"mainSwitch": True, "itemSettings": {SHIPPED: "accept", ON_SALE: "reject", "SYS_MSG_TYPE_RANK": "accept"}},
    ),
    request("Everything is turned off", {"mainSwitch": False}),
    reply(
        "Two answers are kept",
        {
            "main_switch": True,
            "always_keep": [
                {"template_id": ON_SALE, "answer": "reject"},
                {"template_id": SHIPPED, "answer": "accept"},
            ],
        },
    ),
]
_PREFERENCES: Final = reply(
    "No card at night",
    {
        "muted": [ON_SALE],
        "quiet_hours": {"from": "22:00", "until": "08:00"},
        "paused_until": None,
        "time_zone": "Asia/Shanghai",
        "templates": [
            {"template_id": SHIPPED, "title": "订单发货通知", "kind": "one_time", "state": "on", "muted": False},
            {"template_id": ON_SALE, "title": "降价提醒", "kind": "one_time", "state": "none", "muted": True},
        ],
    },
)
PREFERENCES: Final = [_PREFERENCES]
PREFERENCE_CHANGES: Final = [
    request("No card at night", {"quiet_hours": {"from": "22:00", "until": "08:00"}}),
    request("One template is muted, and nothing else any more", {"muted": [ON_SALE]}),
    request("A rest is over", {"paused_until": None}),
    _PREFERENCES,
]
PROFILES: Final = [
    request("Where the person is", {"region": "广东", "city": "深圳", "time_zone": "Asia/Shanghai"}),
    reply(
        "All of it",
        {
            "nickname": "小明",
            "region": "广东",
            "city": "深圳",
            "time_zone": "Asia/Shanghai",
            "interests": ["新品", "水果"],
        },
    ),
]
CONVERSIONS: Final = [
    request("By a card", {"nk": NK, "goal": "order", "value": 19.9, "client_request_id": "k3v9x2m8q1w9"}),
    request("By itself", {"goal": "order", "value": "128.00"}),
    reply("It counts for the card", {"attributed": True}),
]
FEEDBACK: Final = [
    request("One card was enough", {"nk": NK, "kind": "too_often", "text": "一周一次就够了"}),
    reply("Noted", {"kind": "too_often"}),
]
