"""Whatever is sent, the answer is one of ours: never a fault, always the envelope."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notify_platform.api.models import ApiKey
from subscriptions.models import Scene
from tests.api.conftest import a_back_end_of

pytestmark = pytest.mark.django_db
NAMES = [
    *("app_id", "code", "openid", "prompt_id", "scene", "results", "err_code"),
    *("client_request_id", "answered_ago_ms", "page", "nk", "mainSwitch", "itemSettings"),
    *("muted", "quiet_hours", "paused_until", "nickname", "time_zone", "interests", "goal", "value", "kind", "text"),
    *("event", "event_id", "subject", "data", "occurred_at", "subscribers", "import_id", "consents"),
]
TEXTS = st.text(max_size=12) | st.sampled_from(
    [
        "order-paid",
        "request-1",
        "accept",
        "errMsg",
        "1.AAAA",
        "\ud83d",
        "\x00",
        "22:00",
        "2026-12-01T00:00:00Z",
        "19.90",
    ]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=7), max_leaves=10
)
BODIES = st.dictionaries(st.sampled_from(NAMES), VALUES) | VALUES


@pytest.fixture
def shop(mini_program):
    return a_back_end_of(mini_program, *ApiKey.Scope.values)


@pytest.fixture(autouse=True)
def _no_limit(monkeypatch):
    monkeypatch.setattr("notify_platform.api.throttles.CallerThrottle.allow_request", lambda *args: True)


def is_one_of_ours(answer):
    """Whether it is good, or the envelope of a refusal; a fault of ours would be raised by the client."""
    if answer.status_code in {200, 202}:
        return True
    words = answer.json()
    return (
        answer.status_code in {400, 401, 403, 413}
        and list(words) == ["error"]
        and sorted(words["error"]) == ["code", "fields", "message"]
    )


@pytest.mark.parametrize(
    ("method", "name"),
    [
        *(("post", name) for name in ("sessions", "authorizations", "opens", "visits", "conversions", "feedback")),
        ("put", "wechat-settings"),
        ("patch", "preferences"),
        ("patch", "profile"),
    ],
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES)
def test_any_body_of_a_phone_is_answered(phone, mini_program, method, name, body):
    Scene.objects.get_or_create(mini_program=mini_program, code="order-paid", defaults={"name": "Paid"})

    assert is_one_of_ours(phone.call(method, name, body=body))


@pytest.mark.parametrize("name", ["events", "subscribers", "consents"])
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_any_body_of_a_back_end_is_answered(shop, mini_program, template, name, body):
    good = {
        "app_id": mini_program.app_id,
        "event": "order_shipped",
        "event_id": "1",
        "openid": "o9AgO5Kd5ggOC-bXrbNODIiE3bGY",
        "data": {},
        "import_id": "import-1",
        "subscribers": [{"openid": "o9AgO5Kd5ggOC-bXrbNODIiE3bGY"} | body],
        "consents": [{"openid": "o9AgO5Kd5ggOC-bXrbNODIiE3bGY", "template_id": template.wechat_id} | body],
    }

    assert is_one_of_ours(shop.call("post", name, body=good | body))
    assert is_one_of_ours(shop.call("post", name, body=good))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scene=TEXTS.filter(lambda text: "\ud83d" not in text))
def test_any_scene_is_answered(phone, scene):
    answer = phone.get("prompts", scene=scene)

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] in {"invalid", "unknown_scene"}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(token=st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=40))
def test_any_token_is_answered(stranger, token):
    for scheme in ("Bearer", "Api-Key"):
        stranger.headers = {"Authorization": f"{scheme} {token}"}
        name = "subscriptions" if scheme == "Bearer" else "sessions"
        answer = stranger.get(name) if scheme == "Bearer" else stranger.post(name, {})

        assert answer.status_code == 401
        assert answer.json()["error"]["code"] in {"session_unknown", "key_unknown"}
