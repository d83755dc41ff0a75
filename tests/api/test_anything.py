"""Whatever is sent, the answer is one of ours: never a fault, always the envelope."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subscriptions.models import Scene

pytestmark = pytest.mark.django_db
NAMES = [
    *("app_id", "code", "openid", "prompt_id", "scene", "results", "err_code"),
    *("client_request_id", "answered_ago_ms", "page", "nk"),
]
TEXTS = st.text(max_size=12) | st.sampled_from(
    ["order-paid", "request-1", "accept", "errMsg", "1.AAAA", "\ud83d", "\x00"]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=7), max_leaves=10
)
BODIES = st.dictionaries(st.sampled_from(NAMES), VALUES) | VALUES


@pytest.fixture(autouse=True)
def _no_limit(monkeypatch):
    monkeypatch.setattr("notify_platform.api.throttles.CallerThrottle.allow_request", lambda *args: True)


@pytest.mark.parametrize("name", ["sessions", "authorizations", "opens", "visits"])
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES)
def test_any_body_is_answered(phone, mini_program, name, body):
    Scene.objects.get_or_create(mini_program=mini_program, code="order-paid", defaults={"name": "Paid"})

    # A fault of ours would be raised by the client.
    answer = phone.post(name, body)

    if answer.status_code != 200:
        assert answer.status_code in {400, 401, 413}
        assert list(answer.json()) == ["error"]
        assert sorted(answer.json()["error"]) == ["code", "fields", "message"]


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
