"""What is not ours goes on to whoever it belongs to, and the answer goes back."""

from __future__ import annotations

import json
import logging

import pytest
from django.urls import reverse

from notify_platform.callbacks.handlers import HANDLERS
from notify_platform.callbacks.models import CallbackEvent
from notify_platform.wechat import relay
from notify_platform.wechat.signing import signature
from tests import factories
from tests.callbacks.posting import DEMO, NONCE, OPENID, SENT, STAMP, keys_of, plain, push, safe, stored
from tests.wechat.exchanges import closed_port
from tests.wechat.raw_server import RawServer, answer

pytestmark = pytest.mark.django_db
REPLY = "<xml><Content>在的</Content></xml>".encode()


@pytest.fixture
def receiver():
    """Another back end; it answers everything alike."""

    def serve(connection):
        while connection.read_request() is not None:
            connection.send(answer(REPLY, status="201 Created", headers="Content-Type: text/xml\r\n"))

    relay._transport.cache_clear()
    with RawServer(serve) as server:
        yield server
        relay._transport(server.url).close()
    relay._transport.cache_clear()


@pytest.fixture
def app(receiver):
    return factories.a_mini_program(forward_url=f"{receiver.url}/wechat?tenant=1")


def test_a_push_that_is_not_ours_is_passed_on_as_it_came_and_not_kept(client, app, receiver):
    query, body = safe(json.dumps(DEMO).encode(), keys=keys_of(app), shape="xml")

    reply = push(client, app, query, body, content_type="text/xml")

    assert (reply.status_code, reply.content, reply.headers["Content-Type"]) == (201, REPLY, "text/xml")
    (request,) = receiver.requests
    assert (request.body, request.headers["content-type"]) == (body, "text/xml")
    assert request.line.startswith(f"POST /wechat?tenant=1&timestamp={STAMP}&nonce={NONCE}&")
    assert f"&msg_signature={query['msg_signature']}" in request.line
    assert stored() == []


@pytest.mark.parametrize("event", sorted(HANDLERS))
def test_what_is_ours_stays_here(client, app, receiver, event):
    document = {**SENT, "Event": event}

    assert push(client, app, *safe(json.dumps(document).encode(), keys=keys_of(app))).content == b"success"
    assert receiver.requests == []
    assert stored() == [(event, "pending")]


def test_a_message_of_a_person_is_passed_on_each_time_wechat_sends_it(client, app, receiver):
    message = {"FromUserName": OPENID, "CreateTime": 1, "MsgType": "text", "Content": "在吗", "MsgId": 7}
    for _ in range(2):
        push(client, app, *safe(json.dumps(message).encode(), keys=keys_of(app)))

    assert len(receiver.requests) == 2


def test_nothing_unverified_is_passed_on(client, app, receiver):
    query, body = safe(json.dumps(DEMO).encode(), keys=keys_of(app))
    spoiled = [({**query, "msg_signature": "0" * 40}, body), plain(json.dumps(DEMO).encode(), token=app.callback_token)]

    assert [push(client, app, *each).status_code for each in spoiled] == [403, 403]
    assert receiver.requests == []


def test_the_address_check_is_ours_to_answer(client, app, receiver):
    query = {"signature": signature(app.callback_token, STAMP, NONCE), "timestamp": STAMP, "nonce": NONCE}
    address = reverse("wechat-callback", args=[app.app_id])

    assert client.get(address, query_params={**query, "echostr": "1"}).content == b"1"
    assert receiver.requests == []


def test_without_anybody_to_pass_it_on_to_a_push_is_kept_as_seen(client):
    app = factories.a_mini_program()

    assert push(client, app, *safe(json.dumps(DEMO).encode(), keys=keys_of(app))).content == b"success"
    assert stored() == [("debug_demo", "ignored")]


def test_when_the_receiver_is_away_wechat_is_told_to_come_again(client, caplog):
    app = factories.a_mini_program(forward_url=f"http://127.0.0.1:{closed_port()}/secret-path")

    reply = push(client, app, *safe(json.dumps(DEMO).encode(), keys=keys_of(app)))

    assert (reply.status_code, reply.content) == (502, b"")
    assert stored() == []
    (record,) = [each for each in caplog.records if each.name == "notify_platform.callbacks.views"]
    assert record.levelno == logging.WARNING
    assert app.app_id in record.getMessage()
    assert [word for word in ("secret-path", "你好", OPENID) if word in caplog.text] == []


def test_an_address_that_leads_back_here_does_not_go_round(client, app, receiver):
    query, body = safe(json.dumps(DEMO).encode(), keys=keys_of(app))
    address = reverse("wechat-callback", args=[app.app_id])
    came_back = {"content_type": "text/plain", "headers": {relay.MARK: "notify_platform"}, "query_params": query}

    assert client.post(address, data=body, **came_back).status_code == 508
    assert receiver.requests == []
    assert CallbackEvent.objects.count() == 0


def test_passing_on_takes_one_statement(client, app, django_assert_num_queries):
    request = safe(json.dumps(DEMO).encode(), keys=keys_of(app))

    with django_assert_num_queries(1):
        push(client, app, *request)
