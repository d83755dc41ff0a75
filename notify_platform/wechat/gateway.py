"""The calls to WeChat's server API, and what their answers mean. Knows no tables and keeps no tokens."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from django.conf import settings

from notify_platform.core.documents import UNSTORABLE
from notify_platform.wechat.outcomes import (
    NOT_SENT,
    UNKNOWN,
    Outcome,
    Word,
    outcome_of_code,
    outcome_of_status,
    outcome_of_token_call,
)
from notify_platform.wechat.transport import Reply, RequestsTransport, Transport, TransportFailure

if TYPE_CHECKING:
    from templates_app.models import MiniProgram

SEND: Final = "/cgi-bin/message/subscribe/send"
STABLE_TOKEN: Final = "/cgi-bin/stable_token"  # noqa: S105 - a path
TEMPLATES: Final = "/wxaapi/newtmpl/gettemplate"
CATEGORIES: Final = "/wxaapi/newtmpl/getcategory"
PUBLIC_TITLES: Final = "/wxaapi/newtmpl/getpubtemplatetitles"
PUBLIC_KEYWORDS: Final = "/wxaapi/newtmpl/getpubtemplatekeywords"
ADD_TEMPLATE: Final = "/wxaapi/newtmpl/addtemplate"
DELETE_TEMPLATE: Final = "/wxaapi/newtmpl/deltemplate"
QUOTA: Final = "/cgi-bin/openapi/quota/get"
LOGIN: Final = "/sns/jscode2session"

# WeChat's docs: the most titles one call returns, and the first id of the new cards for services.
TITLES_AT_ONCE: Final = 30
FIRST_SERVICE_CARD: Final = 10_000_001
DETAIL_CHARACTERS: Final = 200
# WeChat's error code is a 32-bit number everywhere it is documented; a longer one is not WeChat's.
CODE: Final = re.compile(r"-?[0-9]{1,9}")
# WeChat's are 19 digits; a longer one than the books keep is as good as none.
MSGID: Final = re.compile(r"[0-9A-Za-z_-]{1,32}")
# Control characters inside texts are seen in practice. Made once: making it costs more than reading an answer.
LENIENT: Final = json.JSONDecoder(strict=False)
RID: Final = re.compile(r"rid: ?([0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8})")
# WeChat cuts the text after 30 characters, so nothing behind ".val" is sure to be there (seen in practice).
FIELD: Final = re.compile(r"data\.([a-z_]{1,30}[0-9]{1,9})\.val")
# Tokens, secrets, session keys and template ids are all longer than a rid (26) or an openid (28).
LOOKS_SECRET: Final = re.compile(r"[0-9A-Za-z_%+/=-]{32,}")


@dataclass(frozen=True, slots=True)
class SendResult:
    """What became of one message. ``code`` is WeChat's errcode, None when WeChat's own words never came.

    ``msgid``: WeChat's id of the message, as text (it is longer than a float holds), often missing. ``field``: the key
    WeChat complains about, e.g. ``thing1``. ``detail``: WeChat's errmsg or the failure, at most 200 characters.
    """

    outcome: Outcome
    code: int | None
    msgid: str = ""
    rid: str = ""
    field: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TokenReply:
    """An access token and for how many seconds it is still valid."""

    token: str = field(repr=False)
    expires_in: int


@dataclass(frozen=True, slots=True)
class Login:
    """Who called wx.login. ``unionid`` is empty unless the mini-program is bound to an open-platform account."""

    openid: str
    unionid: str = ""


@dataclass(frozen=True, slots=True)
class Category:
    """A category (类目) of the account."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class PublicTitle:
    """A public template (公共模板); ``type`` as WeChat says it."""

    tid: int
    title: str
    type: str

    @property
    def is_service_card(self) -> bool:
        """WeChat's docs: these ids are never sent by subscribe/send, and no popup may ask for them."""
        return self.tid >= FIRST_SERVICE_CARD


@dataclass(frozen=True, slots=True)
class PublicTitles:
    """A page of public templates, and how many there are."""

    count: int
    titles: Sequence[PublicTitle]


@dataclass(frozen=True, slots=True)
class PublicKeyword:
    """A keyword (关键词) a public template offers; ``rule`` is its type, e.g. ``thing``."""

    kid: int
    name: str
    example: str
    rule: str


class WeChatRefused(Exception):
    """WeChat answered a call with an error code. ``outcome`` holds our word and the sentences for a person."""

    def __init__(self, *, code: int, outcome: Outcome, detail: str) -> None:
        """Store WeChat's errcode, its meaning, and its errmsg without secrets."""
        super().__init__(f"{outcome.word} ({code}): {detail}")
        self.code = code
        self.outcome = outcome
        self.detail = detail

    @property
    def word(self) -> Word:
        """Our word for the refusal."""
        return self.outcome.word


class WeChatUnreachable(Exception):
    """No answer from WeChat, or one that is not WeChat's. The text says which, without secrets."""


class Gateway:
    """WeChat's server API for one mini-program. Serves as many threads as its transport does."""

    def __init__(self, *, app_id: str, base_url: str, transport: Transport) -> None:
        """Take the transport over: closing the gateway closes it."""
        self.app_id = app_id
        self._base_url = base_url
        self._transport = transport

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()

    def send_url(self, *, token: str) -> str:
        """Return the address that takes messages. It holds the token: make it once for each, and show it nowhere."""
        return f"{self._base_url}{SEND}?{urlencode({'access_token': token})}"

    def stable_token(self, *, secret: str, force_refresh: bool = False) -> TokenReply:
        """Ask for the access token (WeChat's docs: getStableAccessToken).

        Without ``force_refresh`` every caller gets the same token until WeChat renews it. A forced one kills the old
        token at once and is granted 20 times a day. Raises ``WeChatRefused`` and ``WeChatUnreachable``.
        """
        body = {
            "grant_type": "client_credential",
            "appid": self.app_id,
            "secret": secret,
            "force_refresh": force_refresh,
        }
        sent = json.dumps(body).encode()
        reply = self._exchange(method="POST", path=STABLE_TOKEN, params={}, body=sent)
        words = _words_or_refusal(reply, secret=secret, token_call=True)
        token, expires_in = words.get("access_token"), words.get("expires_in")
        if not (isinstance(token, str) and token and type(expires_in) is int and expires_in > 0):
            raise WeChatUnreachable("the answer holds no access token")
        return TokenReply(token=token, expires_in=expires_in)

    def templates(self, *, token: str) -> list[dict[str, object]]:
        """Return the rows of the account's own templates as WeChat gives them (WeChat's docs: getMessageTemplateList).

        Raises ``WeChatRefused`` and ``WeChatUnreachable``; an answer without a list is no empty list.
        """
        reply = self._exchange(method="GET", path=TEMPLATES, params={"access_token": token}, body=None)
        rows = _words_or_refusal(reply, secret=token).get("data")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise WeChatUnreachable("the answer holds no list of templates")
        return rows

    def categories(self, *, token: str) -> list[Category]:
        """Return the categories of the account (WeChat's docs: getCategory)."""
        rows = self._rows(CATEGORIES, {"access_token": token}, secret=token)[0]
        return [Category(number, _text(row, "name")) for row in rows if (number := _number(row, "id")) is not None]

    def public_titles(self, *, token: str, category: int, start: int) -> PublicTitles:
        """Return up to ``TITLES_AT_ONCE`` public templates of a category (WeChat's docs: getPubTemplateTitleList)."""
        params = {"access_token": token, "ids": str(category), "start": str(start), "limit": str(TITLES_AT_ONCE)}
        rows, words = self._rows(PUBLIC_TITLES, params, secret=token)
        titles = [
            PublicTitle(tid, _text(row, "title"), str(row.get("type", "")))
            for row in rows
            if (tid := _number(row, "tid")) is not None
        ]
        count = _number(words, "count")
        return PublicTitles(count=start + len(titles) if count is None else count, titles=titles)

    def public_keywords(self, *, token: str, tid: int) -> list[PublicKeyword]:
        """Return the keywords a public template offers (WeChat's docs: getPubTemplateKeyWordsById)."""
        rows = self._rows(PUBLIC_KEYWORDS, {"access_token": token, "tid": str(tid)}, secret=token)[0]
        return [
            PublicKeyword(kid, _text(row, "name"), _text(row, "example"), _text(row, "rule"))
            for row in rows
            if (kid := _number(row, "kid")) is not None
        ]

    def add_template(self, *, token: str, tid: int, kids: Sequence[int], scene: str) -> str:
        """Make a template of a public one with these keywords in this order; returns its id (docs: addMessageTemplate).

        One that is there already is as good as a new one: WeChat then names its id together with the refusal (seen).
        """
        body = {"tid": str(tid), "kidList": list(kids), "sceneDesc": scene}
        reply = self._exchange(
            method="POST",
            path=ADD_TEMPLATE,
            params={"access_token": token},
            body=json.dumps(body, ensure_ascii=False).encode(),
        )
        words = _words(reply) or {}
        if not (made := _text(words, "priTmplId")):
            made = _text(_words_or_refusal(reply, secret=token), "priTmplId")
        if not made:
            raise WeChatUnreachable("the answer holds no template id")
        return made

    def delete_template(self, *, token: str, template_id: str) -> None:
        """Delete a template of the account (WeChat's docs: deleteMessageTemplate)."""
        body = json.dumps({"priTmplId": template_id}).encode()
        reply = self._exchange(method="POST", path=DELETE_TEMPLATE, params={"access_token": token}, body=body)
        _words_or_refusal(reply, secret=token)

    def quota_left(self, *, token: str, path: str) -> int:
        """Return how many calls of a path the account has left today (WeChat's docs: getApiQuota)."""
        body = json.dumps({"cgi_path": path}).encode()
        reply = self._exchange(method="POST", path=QUOTA, params={"access_token": token}, body=body)
        quota = _words_or_refusal(reply, secret=token).get("quota")
        left = _number(quota, "remain") if isinstance(quota, dict) else None
        if left is None:
            raise WeChatUnreachable("the answer holds no quota")
        return left

    def _rows(
        self, path: str, params: Mapping[str, str], *, secret: str
    ) -> tuple[list[dict[str, object]], dict[str, object]]:
        words = _words_or_refusal(self._exchange(method="GET", path=path, params=params, body=None), secret=secret)
        rows = words.get("data")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise WeChatUnreachable("the answer holds no list")
        return rows, words

    def login(self, *, secret: str, code: str) -> Login:
        """Exchange the code of wx.login, good once within five minutes, for the person (WeChat's docs: code2Session).

        The session key is dropped here. Raises ``WeChatRefused`` and ``WeChatUnreachable``.
        """
        params = {"appid": self.app_id, "secret": secret, "js_code": code, "grant_type": "authorization_code"}
        reply = self._exchange(method="GET", path=LOGIN, params=params, body=None)
        words = _words_or_refusal(reply, secret=secret)
        openid, unionid = words.get("openid"), words.get("unionid")
        if not (isinstance(openid, str) and openid):
            raise WeChatUnreachable("the answer holds no openid")
        return Login(openid=openid, unionid=unionid if isinstance(unionid, str) else "")

    def _exchange(self, *, method: str, path: str, params: Mapping[str, str], body: bytes | None) -> Reply:
        try:
            return self._transport.exchange(method=method, url=self._base_url + path, params=params, body=body)
        except TransportFailure as failure:
            raise WeChatUnreachable(str(failure)) from failure


def gateway_for(mini_program: MiniProgram, *, concurrency: int = 20) -> Gateway:
    """Return a gateway for the mini-program, through its proxy; ``concurrency`` is the most connections it opens.

    It keeps connections: use one for many calls, make it after a fork, and close it at the end.
    """
    base_url = settings.WECHAT_API_BASE_URL
    transport = RequestsTransport(base_url=base_url, proxy_url=mini_program.proxy_url, concurrency=concurrency)
    return Gateway(app_id=mini_program.app_id, base_url=base_url, transport=transport)


def send_result(landed: Reply | TransportFailure, *, token: str) -> SendResult:
    """Return what became of one subscription message; never raises (WeChat's docs: sendMessage).

    There is no idempotency key, so whatever may have left and was not answered in WeChat's own words is
    ``Word.UNKNOWN``. ``token``: the one it was sent with, to keep it out of the detail.
    """
    if isinstance(landed, TransportFailure):
        return SendResult(UNKNOWN if landed.body_began else NOT_SENT, code=None, detail=str(landed))
    words = _words(landed)
    code = None if words is None else _code(words)
    if words is None or code is None:
        return SendResult(outcome_of_status(landed.status), code=None, detail=f"HTTP {landed.status}")
    msgid = _msgid(words.get("msgid"))
    if code == 0 and "errcode" not in words and not msgid:
        # Only accepted messages have a msgid; without either of the two the answer says nothing about this one.
        return SendResult(UNKNOWN, code=None, detail="neither errcode nor msgid")
    if code == 0:
        return SendResult(outcome_of_code(0), code=0, msgid=msgid)
    errmsg = _errmsg(words)
    rid, key = RID.search(errmsg), FIELD.search(errmsg)
    return SendResult(
        outcome_of_code(code),
        code=code,
        msgid=msgid,
        rid=rid[1] if rid else "",
        field=key[1] if key else "",
        detail=_detail(errmsg, secret=token),
    )


def _words_or_refusal(reply: Reply, *, secret: str, token_call: bool = False) -> dict[str, object]:
    words = _words(reply)
    code = None if words is None else _code(words)
    if words is None or code is None:
        raise WeChatUnreachable(f"HTTP {reply.status} without an answer of WeChat's")
    if code:
        outcome = outcome_of_token_call(code) if token_call else outcome_of_code(code)
        raise WeChatRefused(code=code, outcome=outcome, detail=_detail(_errmsg(words), secret=secret))
    return words


def _words(reply: Reply) -> dict[str, object] | None:
    """Return WeChat's own words, whatever the status and the content type say; None when the body holds none.

    WeChat answers 200, so under any other status only an errcode shows that the words are not a proxy's.
    """
    try:
        words = LENIENT.decode(reply.body.removeprefix(BOM_UTF8).decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(words, dict) or not (reply.status == 200 or "errcode" in words):
        return None
    return words


def _code(words: Mapping[str, object]) -> int | None:
    """Return the errcode: a number or its text; 0 when absent, as in the answers to token and login calls."""
    given = words.get("errcode", 0)
    if isinstance(given, bool) or not isinstance(given, int | str) or not CODE.fullmatch(str(given)):
        return None
    return int(given)


def _number(row: Mapping[str, object], name: str) -> int | None:
    """Return a number that may be written as a text; None for anything else."""
    given = row.get(name)
    if isinstance(given, bool) or not isinstance(given, int | str) or not CODE.fullmatch(str(given)):
        return None
    return int(given)


def _text(row: Mapping[str, object], name: str) -> str:
    """Return a text without the characters no database keeps; empty for anything else."""
    given = row.get(name)
    return UNSTORABLE.sub("", given) if isinstance(given, str) else ""


def _errmsg(words: Mapping[str, object]) -> str:
    """Return WeChat's text without the characters no database keeps."""
    errmsg = words.get("errmsg")
    return UNSTORABLE.sub("", errmsg) if isinstance(errmsg, str) else ""


def _msgid(given: object) -> str:
    """Return the message id as text, empty for anything that cannot be one."""
    if isinstance(given, bool) or not isinstance(given, int | str) or not MSGID.fullmatch(str(given)):
        return ""
    return "" if given == 0 else str(given)


def _detail(errmsg: str, *, secret: str) -> str:
    """Return WeChat's text on one line, short, and without anything that may be a secret."""
    hidden = errmsg.replace(secret, "***") if secret else errmsg
    return LOOKS_SECRET.sub("***", " ".join(hidden.split()))[:DETAIL_CHARACTERS]
