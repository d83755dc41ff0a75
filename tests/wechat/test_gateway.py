"""What the gateway makes of WeChat's answers, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notify_platform.wechat.gateway import (
    Gateway,
    Login,
    SendResult,
    TokenReply,
    WeChatRefused,
    WeChatUnreachable,
    gateway_for,
    send_result,
)
from notify_platform.wechat.outcomes import NOT_SENT, UNKNOWN, Becomes, Word, outcome_of_code
from notify_platform.wechat.transport import Reply, TransportFailure
from templates_app.models import MiniProgram

from .raw_server import Connection, Serve, answer, answering

APP_ID = "wxba5fad812f8e6fb9"
SECRET = "0123456789abcdef0123456789abcdef"
TOKEN = "50_" + "Aa0-_" * 30
SAMPLES = json.loads((Path(__file__).parent / "recorded" / "send_answers.json").read_text("utf-8"))


@pytest.fixture
def gateway_to(transport_to) -> Callable[[str], Gateway]:
    return lambda url: Gateway(app_id=APP_ID, base_url=url, transport=transport_to(url))


class OneAnswer:
    """A transport that knows one answer: for what no server is needed to say."""

    def __init__(self, outcome: Reply | TransportFailure) -> None:
        self.outcome = outcome

    def exchange(self, **_request: object) -> Reply:
        if isinstance(self.outcome, TransportFailure):
            raise self.outcome
        return self.outcome

    def close(self) -> None:
        pass


def gateway_answering(body: bytes, *, status: int = 200) -> Gateway:
    return Gateway(app_id=APP_ID, base_url="", transport=OneAnswer(Reply(status=status, body=body)))


def understood(body: bytes, *, status: int = 200, token: str = TOKEN) -> SendResult:
    """What an answer to a message is taken for."""
    return send_result(Reply(status=status, body=body), token=token)


# --- send ------------------------------------------------------------------------------------------------------------


def test_the_address_of_a_message_holds_the_token_as_addresses_are_written() -> None:
    gateway = Gateway(app_id=APP_ID, base_url="http://wechat.example", transport=OneAnswer(Reply(200, b"{}")))
    address = "http://wechat.example/cgi-bin/message/subscribe/send?access_token=50_a%26b%2Bc"
    assert gateway.send_url(token="50_a&b+c") == address


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["name"])
def test_an_answer_to_send_is_understood(sample: dict[str, str | int | None]) -> None:
    body, status = str(sample["body"]).encode(), int(sample.get("status") or 200)
    result = understood(body, status=status)
    texts = {name: sample.get(name, "") for name in ("msgid", "rid", "field", "detail")}
    found = {"msgid": result.msgid, "rid": result.rid, "field": result.field, "detail": result.detail}
    assert (result.outcome.word, result.code, found) == (sample["word"], sample["code"], texts)


def test_bytes_that_are_no_utf8_are_read_as_far_as_they_go() -> None:
    result = understood(b'{"errcode":40003,"errmsg":"\xff invalid openid"}')
    assert (result.outcome.word, result.detail) == (Word.BAD_USER, "� invalid openid")


def test_json_nested_beyond_reason_is_unknown() -> None:
    result = understood(b"[" * 100_000)
    assert result == SendResult(UNKNOWN, code=None, detail="HTTP 200")


def test_a_number_beyond_reason_is_unknown() -> None:
    body = b'{"errcode":0,"msgid":' + b"9" * 5000 + b"}"
    assert understood(body).outcome is UNKNOWN


@pytest.mark.parametrize(("body_began", "outcome"), [(True, UNKNOWN), (False, NOT_SENT)])
def test_a_failed_exchange_is_unknown_once_the_body_began(body_began: bool, outcome: object) -> None:
    failure = TransportFailure("ReadTimeout", body_began=body_began)
    assert send_result(failure, token=TOKEN) == SendResult(outcome, code=None, detail="ReadTimeout")


def resets(connection: Connection) -> None:
    connection.read_request()
    connection.reset()


def test_a_detail_shows_no_token_and_nothing_that_looks_like_one() -> None:
    errmsg = f"bad token {TOKEN} secret {SECRET} session tiihtNczf5v6AKRyjwEUhQ==tiihtNczf5v6AKRyjwEUhQ== end"
    result = understood(json.dumps({"errcode": 40001, "errmsg": errmsg}).encode())
    assert result.detail == "bad token *** secret *** session *** end"


def test_a_detail_shows_no_part_of_a_short_token() -> None:
    body = b'{"errcode":40001,"errmsg":"bad token short-one"}'
    assert understood(body, token="short-one").detail == "bad token ***"


def test_a_detail_is_cut_at_200_characters() -> None:
    body = json.dumps({"errcode": 1700, "errmsg": "长 " * 300}).encode()
    assert len(understood(body).detail) == 200


def test_what_no_database_keeps_is_dropped_from_wechats_words() -> None:
    errmsg = "argument invalid! data.thi\0ng1\ud800.val inval\0id \udfffrid: 66b2\0c0ff-0a1b2c3d-4e5f6071"
    result = understood(json.dumps({"errcode": 47003, "errmsg": errmsg}).encode())
    assert (result.rid, result.field) == ("66b2c0ff-0a1b2c3d-4e5f6071", "thing1")
    assert result.detail == "argument invalid! data.thing1.val invalid rid: 66b2c0ff-0a1b2c3d-4e5f6071"


def test_a_token_cut_by_a_nul_does_not_show_either() -> None:
    body = json.dumps({"errcode": 40001, "errmsg": "bad token short\0-one"}).encode()
    assert understood(body, token="short-one").detail == "bad token ***"


def test_a_field_longer_than_any_of_wechats_is_none() -> None:
    for key in ("a" * 31 + "1", "thing" + "1" * 10):
        body = json.dumps({"errcode": 47003, "errmsg": f"data.{key}.val invalid"}).encode()
        assert understood(body).field == ""


@pytest.mark.parametrize(("length", "kept"), [(32, 32), (33, 0), (64, 0)])
def test_a_message_id_too_long_for_the_books_is_none(length: int, kept: int) -> None:
    body = json.dumps({"errcode": 0, "errmsg": "ok", "msgid": "9" * length}).encode()
    result = understood(body)
    assert result == SendResult(outcome_of_code(0), code=0, msgid="9" * kept)


@given(status=st.integers(200, 599), body=st.binary(max_size=60))
def test_no_answer_makes_send_raise_or_accept_noise(status: int, body: bytes) -> None:
    result = understood(body, status=status)
    assert result.outcome.becomes is not Becomes.ACCEPTED


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    words=st.fixed_dictionaries(
        {}, optional={"errcode": JSON, "errmsg": JSON, "msgid": JSON, "data": JSON, "access_token": JSON, "quota": JSON}
    ),
    status=st.sampled_from([200, 403, 429, 500, 503]),
)
def test_no_json_makes_a_call_fail_in_an_unnamed_way(words: dict[str, object], status: int) -> None:
    gateway = gateway_answering(json.dumps(words).encode(), status=status)
    result = understood(json.dumps(words).encode(), status=status)
    assert isinstance(result, SendResult)
    assert (len(result.msgid) <= 32, len(result.detail) <= 200) == (True, True)
    for call in (
        lambda: gateway.stable_token(secret=SECRET),
        lambda: gateway.templates(token=TOKEN),
        lambda: gateway.quota_left(token=TOKEN, path="/cgi-bin/x"),
        lambda: gateway.login(secret=SECRET, code="c"),
    ):
        with suppress(WeChatRefused, WeChatUnreachable):
            call()


# --- the access token ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("force", [False, True])
def test_the_token_call_posts_its_credentials_in_the_body_only(serving, gateway_to, force: bool) -> None:
    server = serving(answering(json.dumps({"access_token": TOKEN, "expires_in": 7200}).encode()))
    reply = gateway_to(server.url).stable_token(secret=SECRET, force_refresh=force)
    assert reply == TokenReply(token=TOKEN, expires_in=7200)
    (request,) = server.requests
    assert request.line == "POST /cgi-bin/stable_token HTTP/1.1"
    assert json.loads(request.body) == {
        "grant_type": "client_credential",
        "appid": APP_ID,
        "secret": SECRET,
        "force_refresh": force,
    }


def test_a_token_does_not_show_itself() -> None:
    assert repr(TokenReply(token=TOKEN, expires_in=7200)) == "TokenReply(expires_in=7200)"


def test_a_refused_token_call_names_code_and_word_and_no_secret() -> None:
    errmsg = f"invalid appsecret {SECRET} rid: 61725984-6126f6f9-040f19c4"
    gateway = gateway_answering(json.dumps({"errcode": 40125, "errmsg": errmsg}).encode())
    with pytest.raises(WeChatRefused) as caught:
        gateway.stable_token(secret=SECRET)
    assert (caught.value.code, caught.value.word) == (40125, Word.APP_CONFIG)
    assert str(caught.value) == "app_config (40125): invalid appsecret *** rid: 61725984-6126f6f9-040f19c4"


def test_a_wrong_token_in_answer_to_the_token_call_blames_the_secret() -> None:
    with pytest.raises(WeChatRefused) as caught:
        gateway_answering(b'{"errcode":40001,"errmsg":"invalid credential"}').stable_token(secret=SECRET)
    assert caught.value.outcome == outcome_of_code(40125)


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"access_token": ""},
        {"access_token": TOKEN},
        {"access_token": TOKEN, "expires_in": 0},
        {"access_token": TOKEN, "expires_in": -5},
        {"access_token": TOKEN, "expires_in": "soon"},
        {"access_token": TOKEN, "expires_in": True},
        {"access_token": 5, "expires_in": 7200},
        {"errcode": 0, "errmsg": "ok"},
    ],
)
def test_an_answer_without_a_token_is_no_answer(words: dict[str, object]) -> None:
    with pytest.raises(WeChatUnreachable, match="holds no access token"):
        gateway_answering(json.dumps(words).encode()).stable_token(secret=SECRET)


# --- the templates ---------------------------------------------------------------------------------------------------


def test_the_templates_come_as_wechat_gives_them(serving, gateway_to) -> None:
    rows = [{"priTmplId": "9Aw5ZV1j9xdWTFEkqCpZ7mIBbSC34khK55OtzUPl0rU", "title": "报名结果通知", "type": 2}]
    server = serving(answering(json.dumps({"errcode": 0, "errmsg": "ok", "data": rows}).encode()))
    assert gateway_to(server.url).templates(token=TOKEN) == rows
    (request,) = server.requests
    assert request.line == f"GET /wxaapi/newtmpl/gettemplate?access_token={TOKEN} HTTP/1.1"


@pytest.mark.parametrize(
    "words", [{"errcode": 0}, {"errcode": 0, "data": {}}, {"errcode": 0, "data": [1]}, {"data": None}]
)
def test_an_answer_without_a_list_is_not_an_account_without_templates(words: dict[str, object]) -> None:
    with pytest.raises(WeChatUnreachable, match="holds no list"):
        gateway_answering(json.dumps(words).encode()).templates(token=TOKEN)


def test_a_refused_list_of_templates_keeps_its_word() -> None:
    with pytest.raises(WeChatRefused) as caught:
        gateway_answering(b'{"errcode":42001,"errmsg":"access_token expired"}').templates(token=TOKEN)
    assert (caught.value.code, caught.value.word, caught.value.detail) == (42001, Word.TOKEN, "access_token expired")


# --- the quota -------------------------------------------------------------------------------------------------------


def test_the_quota_is_asked_by_path_and_what_remains_is_told(serving, gateway_to) -> None:
    words = {"errcode": 0, "errmsg": "ok", "quota": {"daily_limit": 10_000_000, "used": 9_999_900, "remain": 100}}
    server = serving(answering(json.dumps(words).encode()))
    assert gateway_to(server.url).quota_left(token=TOKEN, path="/cgi-bin/message/subscribe/send") == 100
    (request,) = server.requests
    assert request.line == f"POST /cgi-bin/openapi/quota/get?access_token={TOKEN} HTTP/1.1"
    assert json.loads(request.body) == {"cgi_path": "/cgi-bin/message/subscribe/send"}


@pytest.mark.parametrize(
    "words", [{"errcode": 0}, {"errcode": 0, "quota": []}, {"errcode": 0, "quota": {}}, {"quota": {"remain": "many"}}]
)
def test_an_answer_without_a_quota_is_not_a_quota_used_up(words: dict[str, object]) -> None:
    with pytest.raises(WeChatUnreachable, match="holds no quota"):
        gateway_answering(json.dumps(words).encode()).quota_left(token=TOKEN, path="/cgi-bin/x")


# --- login -----------------------------------------------------------------------------------------------------------


def test_a_login_gives_the_person_and_drops_the_session_key(serving, gateway_to) -> None:
    words = {"openid": "o9AgO5Kd5ggOC-bXrbNODIiE3bGY", "session_key": "tiihtNczf5v6AKRyjwEUhQ==", "unionid": "oU"}
    server = serving(lambda link: (link.read_request(), link.send(answer(json.dumps(words).encode()))))
    login = gateway_to(server.url).login(secret=SECRET, code="0a1 b&c")
    assert login == Login(openid="o9AgO5Kd5ggOC-bXrbNODIiE3bGY", unionid="oU")
    assert "tiihtNczf5v6AKRyjwEUhQ" not in repr(login)
    (request,) = server.requests
    method, address, _version = request.line.split(" ")
    assert (method, urlsplit(address).path) == ("GET", "/sns/jscode2session")
    assert parse_qs(urlsplit(address).query) == {
        "appid": [APP_ID],
        "secret": [SECRET],
        "js_code": ["0a1 b&c"],
        "grant_type": ["authorization_code"],
    }


@pytest.mark.parametrize("unionid", [None, 5, []])
def test_a_login_without_a_readable_unionid_has_none(unionid: object) -> None:
    words = {"openid": "o1", "session_key": "k", "unionid": unionid}
    assert gateway_answering(json.dumps(words).encode()).login(secret=SECRET, code="c") == Login(openid="o1")


def test_a_login_without_an_openid_is_no_login() -> None:
    with pytest.raises(WeChatUnreachable, match="holds no openid"):
        gateway_answering(b'{"session_key":"k"}').login(secret=SECRET, code="c")


def test_a_refused_login_is_refused_with_its_code() -> None:
    with pytest.raises(WeChatRefused) as caught:
        gateway_answering(b'{"errcode":40029,"errmsg":"invalid code, rid: x"}').login(secret=SECRET, code="c")
    assert (caught.value.code, caught.value.detail) == (40029, "invalid code, rid: x")


# --- no answer -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "serve",
    [resets, lambda link: (link.read_request(), link.send(answer(b"<html>", status="502 Bad Gateway")))],
    ids=["reset", "502"],
)
def test_a_call_without_an_answer_is_unreachable_and_names_no_secret(serving, gateway_to, serve: Serve) -> None:
    gateway = gateway_to(serving(serve).url)
    for call in (
        lambda: gateway.stable_token(secret=SECRET),
        lambda: gateway.templates(token=TOKEN),
        lambda: gateway.quota_left(token=TOKEN, path="/cgi-bin/x"),
        lambda: gateway.login(secret=SECRET, code="c"),
    ):
        with pytest.raises(WeChatUnreachable) as caught:
            call()
        assert (SECRET in str(caught.value), TOKEN in str(caught.value)) == (False, False)


def test_the_status_of_a_foreign_answer_is_told() -> None:
    with pytest.raises(WeChatUnreachable, match=r"^HTTP 502 without an answer of WeChat's$"):
        gateway_answering(b'{"message":"bad gateway"}', status=502).templates(token=TOKEN)


# --- made for a mini-program -----------------------------------------------------------------------------------------


def test_a_gateway_for_a_mini_program_uses_its_app_id_and_its_proxy(serving, settings) -> None:
    settings.WECHAT_API_BASE_URL = "http://wechat.example"
    proxy = serving(answering(json.dumps({"access_token": TOKEN, "expires_in": 7200}).encode()))
    gateway = gateway_for(MiniProgram(app_id=APP_ID, proxy_url=proxy.url), concurrency=1)
    assert gateway.stable_token(secret=SECRET) == TokenReply(token=TOKEN, expires_in=7200)
    gateway.close()
    (request,) = proxy.requests
    assert request.line == "POST http://wechat.example/cgi-bin/stable_token HTTP/1.1"
    assert json.loads(request.body)["appid"] == APP_ID
