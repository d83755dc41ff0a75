"""The wire: one JSON document a reply, always HTTP 200, WeChat's headers, WeChat's errors."""

from __future__ import annotations

import json
import re
import socket
from urllib.parse import urlsplit

import pytest

from notify_platform.simulator.control import SimulatorControl
from notify_platform.simulator.server import RunningSimulator
from tests.simulator.stage import ANNA, APP, SEND, Api, said

NEWTMPL = "/wxaapi/newtmpl/"
GETS = [
    "/cgi-bin/token",
    "/sns/jscode2session",
    *(f"{NEWTMPL}{name}" for name in ("getcategory", "getpubtemplatetitles", "getpubtemplatekeywords", "gettemplate")),
]
POSTS = [
    SEND,
    "/cgi-bin/stable_token",
    f"{NEWTMPL}addtemplate",
    f"{NEWTMPL}deltemplate",
    "/wxa/msg_sec_check",
    "/cgi-bin/openapi/quota/get",
    "/cgi-bin/openapi/rid/get",
    "/cgi-bin/clear_quota",
    "/cgi-bin/clear_quota/v2",
]
RID = re.compile(r" rid: [0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}")


@pytest.mark.parametrize("path", [*GETS, *POSTS, "/cgi-bin/no_such_call"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"touser":"\\ud800"}'])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_refusal_is_one_json_document_with_a_rid(api: Api, path: str, body: bytes, method: str) -> None:
    status, content_type, reply = api.raw(method, path, {"access_token": "x"}, body)

    text = "text/plain" if path == "/sns/jscode2session" else "application/json; encoding=utf-8"
    assert (status, content_type) == (200, text)
    document = json.loads(reply.decode("utf-8"))
    assert list(document) == ["errcode", "errmsg"]
    assert document["errcode"] != 0
    assert RID.fullmatch(document["errmsg"][-32:])


@pytest.mark.parametrize("path", POSTS)
def test_get_instead_of_post_is_43002(api: Api, path: str) -> None:
    assert said(api.get(path)) == (43002, "require POST method")


@pytest.mark.parametrize("path", GETS)
def test_post_instead_of_get_is_404_in_json(api: Api, path: str) -> None:
    assert said(api.post(path, {})) == (404, "not found")


@pytest.mark.parametrize("path", [path for path in POSTS if not path.endswith("/v2")])
def test_an_empty_body_is_44002_and_a_broken_one_47001(api: Api, path: str) -> None:
    assert [api.post(path, body)["errcode"] for body in (b"", b"{", b'"text"', b"\xff")] == [44002, 47001, 47001, 47001]


def test_an_unknown_path_is_refused_in_json(api: Api) -> None:
    assert said(api.get("/cgi-bin/no_such_call")) == (40066, "invalid url")


def test_success_of_send_is_raw_utf8_with_a_number_beyond_2_53(api: Api) -> None:
    document = api.send()

    assert (document["errcode"], document["errmsg"]) == (0, "ok")
    assert isinstance(document["msgid"], int)
    assert document["msgid"] > 2**53
    assert list(document) == ["errcode", "errmsg", "msgid"]


def test_the_msgid_can_be_switched_off(api: Api, control: SimulatorControl) -> None:
    control.change_settings(msgid=False)

    assert api.send() == {"errcode": 0, "errmsg": "ok"}


def test_success_of_token_calls_has_no_errcode(api: Api) -> None:
    assert list(api.stable_token()) == ["access_token", "expires_in"]
    assert list(api.plain_token()) == ["access_token", "expires_in"]


def test_chinese_comes_back_raw(api: Api) -> None:
    reply = api.raw("GET", "/wxaapi/newtmpl/gettemplate", {"access_token": api.token})[2]

    assert "取餐提醒".encode() in reply
    assert b"\\u" not in reply


def test_an_escaped_body_is_accepted_and_counted(api: Api, control: SimulatorControl) -> None:
    body = {"touser": ANNA, "template_id": "?", "data": {"thing1": {"value": "中"}}}

    api.post(SEND, json.dumps(body).encode())
    api.post(SEND, json.dumps(body, ensure_ascii=False).encode())
    api.post(SEND, json.dumps(body | {"data": r"a path\u4e2d"}, ensure_ascii=False).encode())

    counts = control.counts(app_id=APP)
    assert (counts.requests, counts.escaped_bodies) == (3, 1)


def test_a_rid_begins_with_the_time_of_the_call(api: Api, control: SimulatorControl) -> None:
    before = int(control.health()["clock"])
    document = api.send(template_id="?")
    after = int(control.health()["clock"])

    assert before <= int(document["errmsg"][-26:-18], 16) <= after


def test_a_reply_is_written_with_one_send_and_the_connection_stays(running: RunningSimulator, api: Api) -> None:
    host, port = urlsplit(running.url).hostname, urlsplit(running.url).port
    with socket.create_connection((host, port), timeout=10) as connection:
        for _ in range(3):
            connection.sendall(b"GET /wxaapi/newtmpl/getcategory?access_token=x HTTP/1.1\r\nHost: x\r\n\r\n")
            head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            assert lines[0] == "HTTP/1.1 200 OK"
            assert f"Content-Length: {len(body)}" in lines
            assert json.loads(body)["errcode"] == 40014


def test_a_body_without_a_length_is_refused(running: RunningSimulator, api: Api) -> None:
    host, port = urlsplit(running.url).hostname, urlsplit(running.url).port
    with socket.create_connection((host, port), timeout=10) as connection:
        connection.sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 411 ")
