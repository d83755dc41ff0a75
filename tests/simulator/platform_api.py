"""A tiny platform: what a mini-program asks of ``/api/v1/``, with its books in a dictionary."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any
from urllib.parse import parse_qsl, urlencode
from urllib.request import urlopen

from tests.simulator.stage import APP, PICKUP, RETURN, SECRET

EXPIRES_AT = "2026-11-30T09:00:00+08:00"
WORDS = "取餐和还书时提醒你"


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    call: str
    query: dict[str, str]
    body: dict[str, Any]
    headers: Mapping[str, str]
    target: str


class Refusal(Exception):
    """An error in the platform's envelope."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.headers = status, code, message, headers


@dataclass
class FakePlatform:
    """Answers by the contract and remembers what it was asked.

    ``plans``: scene → template ids; ``silent``: scenes whose plan is a silent top-up; ``trouble``: call → error.
    """

    url: str = ""
    wechat_url: str = ""
    plans: dict[str, list[str]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    trouble: dict[str, Refusal] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    sessions: dict[str, str] = field(default_factory=dict)
    stock: Counter[tuple[str, str]] = field(default_factory=Counter)
    replies: dict[str, dict[str, Any]] = field(default_factory=dict)
    arrival: Condition = field(default_factory=Condition)

    def begin(self, wechat_url: str) -> None:
        """Forget everything; two scenes are asked for."""
        fresh = FakePlatform(self.url, wechat_url, {"paid": [PICKUP, RETURN], "borrowed": [RETURN]})
        self.__dict__.update({name: value for name, value in vars(fresh).items() if name != "arrival"})

    def heard(self, call: str) -> list[dict[str, Any]]:
        """The bodies of one call, in order of arrival."""
        return [each.body for each in list(self.asked) if each.call == call]

    def wait_for(self, call: str, *, times: int = 1) -> list[dict[str, Any]]:
        """Wait until a call has come so often; return its bodies."""
        with self.arrival:
            assert self.arrival.wait_for(lambda: len(self.heard(call)) >= times, timeout=10), self.heard(call)
        return self.heard(call)

    def answer(self, asked: Asked) -> dict[str, Any]:
        if asked.call in self.trouble:
            raise self.trouble[asked.call]
        if asked.call == "POST /api/v1/sessions":
            return self._session(asked.body)
        openid = self.sessions.get(asked.headers.get("Authorization", "").removeprefix("Bearer "))
        if openid is None:
            raise Refusal(401, "not_authenticated", "没有登录")
        if asked.call == "GET /api/v1/prompts":
            return self._prompt(asked.query["scene"])
        if asked.call == "POST /api/v1/authorizations":
            return self.replies.setdefault(asked.body["client_request_id"], self._authorize(openid, asked.body))
        if asked.call == "GET /api/v1/subscriptions":
            return {"subscriptions": [self._row(openid, each) for who, each in self.stock if who == openid]}
        if asked.call in {"POST /api/v1/opens", "POST /api/v1/visits"}:
            return {}
        raise Refusal(404, "not_found", "没有这个接口")

    def _session(self, body: Mapping[str, Any]) -> dict[str, Any]:
        assert body["app_id"] == APP
        query = {"appid": APP, "secret": SECRET, "js_code": body["code"], "grant_type": "authorization_code"}
        with urlopen(f"{self.wechat_url}/sns/jscode2session?{urlencode(query)}") as reply:  # noqa: S310
            openid = json.loads(reply.read())["openid"]
        token = f"token-{len(self.sessions)}"
        self.sessions[token] = openid
        return {"token": token, "expires_at": EXPIRES_AT, "subscriber": "s1"}

    def _prompt(self, scene: str) -> dict[str, Any]:
        if scene not in self.plans:
            raise Refusal(404, "unknown_scene", "没有这个场景")
        ids = self.plans[scene]
        reasons = [] if ids else [{"template_id": PICKUP, "code": "muted", "message": "用户已静音"}]
        return {
            "prompt_id": f"prompt:{scene}",
            "template_ids": ids,
            "words": WORDS,
            "silent_top_up": scene in self.silent,
            "reasons": reasons,
        }

    def _authorize(self, openid: str, body: Mapping[str, Any]) -> dict[str, Any]:
        for template_id, word in body["results"].items():
            self.stock[openid, template_id] += word == "accept"
        return {"balances": [self._row(openid, each) for each in body["results"]]}

    def _row(self, openid: str, template_id: str) -> dict[str, Any]:
        available = self.stock[openid, template_id]
        expires_at = EXPIRES_AT if available else None
        return {"template_id": template_id, "state": "on", "available": available, "expires_at": expires_at}


@contextmanager
def platform() -> Iterator[FakePlatform]:
    """Run a platform until the block ends."""
    fake = FakePlatform()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            path, _, query = self.path.partition("?")
            body = json.loads(raw) if raw else {}
            asked = Asked(f"{self.command} {path}", dict(parse_qsl(query)), body, dict(self.headers), self.path)
            try:
                status, document, headers = 200, fake.answer(asked), {}
            except Refusal as refusal:
                error = {"code": refusal.code, "message": refusal.message, "fields": {}}
                status, document, headers = refusal.status, {"error": error}, refusal.headers
            with fake.arrival:
                fake.asked.append(asked)
                fake.arrival.notify_all()
            reply = json.dumps(document, ensure_ascii=False).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(reply)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the base class names them so

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        fake.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield fake
        server.shutdown()
        thread.join()
