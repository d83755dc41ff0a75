"""A push costs two statements when it comes, and a set of them as many as one when they are handled."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta

import pytest
from cryptography.fernet import MultiFernet
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notify_platform.callbacks import inbox
from notify_platform.callbacks.models import CallbackEvent
from notify_platform.delivery import claims, fanout, settlement
from notify_platform.wechat.gateway import SendResult
from notify_platform.wechat.outcomes import outcome_of_code
from tests import factories
from tests.callbacks.posting import DEMO, SENT, keys_of, push, safe

pytestmark = pytest.mark.django_db
# Django cuts an INSERT for SQLite into pieces of 999 values; a person has seventeen.
MANY = 50 if connection.vendor == "sqlite" else 100
_numbers = itertools.count(1)


@pytest.fixture
def template():
    return factories.a_template(factories.a_mini_program())


@pytest.mark.parametrize("document", [SENT, DEMO], ids=["ours", "nobody's"])
def test_a_push_takes_two_statements_and_opens_no_secret_it_does_not_need(client, monkeypatch, document):
    app = factories.a_mini_program()
    request = safe(json.dumps(document).encode(), keys=keys_of(app))
    opened = []
    decrypt = MultiFernet.decrypt
    monkeypatch.setattr(
        MultiFernet, "decrypt", lambda *a, **k: opened.append(decrypt(*a, **k).decode()) or opened[-1].encode()
    )

    with CaptureQueriesContext(connection) as captured:
        assert push(client, app, *request).status_code == 200

    assert [query["sql"].split()[0] for query in captured.captured_queries] == ["SELECT", "INSERT"]
    assert sorted(opened) == sorted([app.callback_token, app.callback_aes_key])


def test_a_refused_push_takes_one(client, django_assert_num_queries):
    app = factories.a_mini_program()
    query, body = safe(b"{}", keys=keys_of(app))

    with django_assert_num_queries(1):
        assert push(client, app, {**query, "nonce": "1"}, body).status_code == 403


def answers(template, *, count, event, word):
    """Pushes of as many people, each at a second of its own."""
    people = factories.subscribers(template.mini_program, count=count)
    factories.grants(template, to=people, age=timedelta(hours=1))
    now = int(timezone.now().timestamp())
    return [
        {
            "FromUserName": person.openid,
            "CreateTime": now - number,
            "Event": event,
            "List": {"TemplateId": template.wechat_id, "SubscribeStatusString": word},
        }
        for number, person in enumerate(people)
    ]


def popups(template, *, count):
    return answers(template, count=count, event="subscribe_msg_popup_event", word="accept")


def changes(template, *, count):
    return answers(template, count=count, event="subscribe_msg_change_event", word="reject")


def of_unknown_templates(template, *, count):
    return [{**each, "List": {"TemplateId": "T-unknown"}} for each in popups(template, count=count)]


def unreadable(template, *, count):
    return [{**each, "List": []} for each in popups(template, count=count)]


def a_sent_event(template, *, openid, msgid):
    item = {"TemplateId": template.wechat_id, "MsgID": msgid, "ErrorCode": "0", "ErrorStatus": "success"}
    return {
        "FromUserName": openid,
        "CreateTime": int(timezone.now().timestamp()),
        "Event": "subscribe_msg_sent_event",
        "List": item,
    }


def sent(template, *, count):
    people = factories.subscribers(template.mini_program, count=count)
    factories.grants(template, to=people)
    job = factories.a_running_job(template)
    while not job.fanned_out_at:
        fanout.step(job)
        job.refresh_from_db()
    claim = claims.claim(job, limit=count, wordings=claims.Wordings())
    claims.arm(claim.token, delivery_ids=[message.delivery_id for message in claim.messages])
    named = {message: f"m{next(_numbers)}" for message in claim.messages}
    landed = [
        settlement.Landed(message=message, result=SendResult(outcome=outcome_of_code(0), code=0, msgid=msgid))
        for message, msgid in named.items()
    ]
    settlement.settle(template.mini_program, token=claim.token, landed=landed)
    assert len(landed) == count
    return [a_sent_event(template, openid=message.openid, msgid=msgid) for message, msgid in named.items()]


def of_strangers(template, *, count):
    return [a_sent_event(template, openid=factories.an_openid(), msgid=f"other{number}") for number in range(count)]


def withdrawn(template, *, count):
    people = factories.subscribers(template.mini_program, count=count)
    return [
        {"Event": "user_authorization_revoke", "OpenID": person.openid, "RevokeInfo": "6", "CreateTime": number}
        for number, person in enumerate(people)
    ]


def handled(template, documents):
    for document in documents:
        inbox.store(template.mini_program, document=document)
    with CaptureQueriesContext(connection) as captured:
        assert inbox.handle_due() == len(documents)
    assert not CallbackEvent.objects.filter(attempts=0).exists()
    CallbackEvent.objects.all().delete()
    return len(captured)


@pytest.mark.parametrize("kind", [popups, changes, sent, of_strangers, of_unknown_templates, unreadable, withdrawn])
def test_many_pushes_of_a_kind_take_as_many_statements_as_one(template, kind):
    one = handled(template, kind(template, count=1))

    assert handled(template, kind(template, count=MANY)) == one


def test_handling_opens_no_secret(template, monkeypatch):
    documents = popups(template, count=3)
    for document in documents:
        inbox.store(template.mini_program, document=document)
    monkeypatch.setattr(MultiFernet, "decrypt", None)

    assert inbox.handle_due() == 3
    assert set(CallbackEvent.objects.values_list("state", flat=True)) == {CallbackEvent.State.HANDLED}
