"""The contract that is committed is the one that is served, and everything in it is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from notify_platform.api import back_end_examples, back_end_shapes, examples, person_shapes, shapes
from notify_platform.api.document_views import contract

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "docs" / "api" / "schema.yml"
ASK = "The API changed: manage.py spectacular --lang en --validate --fail-on-warn --file docs/api/schema.yml"


def test_the_committed_contract_is_current(tmp_path):
    made = tmp_path / "schema.yml"

    call_command("spectacular", lang="en", validate=True, fail_on_warn=True, file=str(made))

    assert made.read_text() == COMMITTED.read_text(), ASK


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_the_served_contract_is_the_committed_one_in_every_language(language, db):
    contract.cache_clear()

    answer = Client().get(reverse("api-schema"), headers={"Accept-Language": language})

    assert answer.headers["Content-Type"] == "application/vnd.oai.openapi; charset=utf-8"
    assert answer.content.decode() == COMMITTED.read_text()


def test_it_is_openapi_3_1_and_names_every_address():
    text = COMMITTED.read_text()

    assert text.startswith("openapi: 3.1.0\n")
    assert re.findall(r"^  (/\S+):$", text, re.MULTILINE) == [
        f"/api/v1/{name}"
        for name in (
            *("authorizations", "consents", "conversions", "deliveries/{id}", "events"),
            *("events/{app_id}/{event}/{event_id}", "feedback", "opens", "preferences", "profile", "prompts"),
            *("sessions", "subscribers", "subscriptions", "visits", "wechat-settings"),
        )
    ]


@pytest.mark.parametrize(
    ("shape", "rows"),
    [
        (shapes.SessionReply, examples.SESSIONS),
        (shapes.PromptReply, examples.PROMPTS),
        (shapes.AuthorizationReply, examples.AUTHORIZATIONS),
        (shapes.SubscriptionsReply, examples.SUBSCRIPTIONS),
        (shapes.DeedReply, examples.OPENS),
        (shapes.DeedReply, examples.VISITS),
        (person_shapes.WechatSettingsReply, examples.WECHAT_SETTINGS),
        (person_shapes.PreferencesReply, examples.PREFERENCES),
        (person_shapes.PreferencesReply, examples.PREFERENCE_CHANGES),
        (person_shapes.ProfileReply, examples.PROFILES),
        (person_shapes.ConversionReply, examples.CONVERSIONS),
        (person_shapes.FeedbackReply, examples.FEEDBACK),
        (back_end_shapes.EventReply, back_end_examples.EVENTS),
        (back_end_shapes.UndoReply, back_end_examples.UNDOING),
        (back_end_shapes.DeliveryReply, back_end_examples.DELIVERIES),
        (back_end_shapes.SubscribersReply, back_end_examples.SUBSCRIBERS),
        (back_end_shapes.ConsentsReply, back_end_examples.CONSENTS),
    ],
)
def test_the_replies_it_shows_have_all_fields_and_no_others(shape, rows):
    replies = [row.value for row in rows if row.response_only]

    assert replies
    assert [list(value) for value in replies] == [list(shape().fields)] * len(replies)


def test_the_page_needs_no_other_host(db):
    page = Client().get(reverse("api-docs"), headers={"Accept": "text/html"})
    text = page.content.decode()

    loaded = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert page.headers["Content-Type"].startswith("text/html")
    assert len(loaded) == 4
    assert [each for each in loaded if not each.startswith("/static/")] == []
    assert [each for each in loaded if finders.find(each.removeprefix("/static/")) is None] == []
    assert f'data-schema="{reverse("api-schema")}"' in text
    assert re.findall(r"<script(?![^>]* src=)", text) == []
