"""The fixed cast of these tests: an app, its templates, two users; a client of WeChat's paths; a receiver of pushes."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

APP = "wx1234567890abcdef"
SECRET = "a-secret"
ORIGINAL = "gh_123456789abc"
TOKEN = "OpsPlatformToken2026"
AES_KEY = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
ANNA = "oAnna0000000000000000000000A"
BEN = "oBen00000000000000000000000B"

PICKUP = "PICKUP_0000000000000000000000000000000000_A"
PICKUP_TWIN = "PICKUP_0000000000000000000000000000000000_B"
RETURN = "RETURN_0000000000000000000000000000000000_C"
CHECKUP = "CHECKUP_000000000000000000000000000000000_D"
ROOM = "ROOM_000000000000000000000000000000000000_E"
CARD = "CARD_000000000000000000000000000000000000_F"

SEND = "/cgi-bin/message/subscribe/send"


def template(template_id: str, title: str, *lines: str, type: int = 2, **more: Any) -> dict[str, Any]:
    """A row of gettemplate."""
    return {
        "priTmplId": template_id,
        "title": title,
        "content": "".join(f"{line}\n" for line in lines),
        "example": "",
        "type": type,
        **more,
    }


TEMPLATES = [
    template(PICKUP, "取餐提醒", "取餐码:{{character_string1.DATA}}", "门店:{{thing2.DATA}}"),
    template(PICKUP_TWIN, "取餐提醒", "门店:{{thing2.DATA}}"),
    template(RETURN, "还书提醒", "书名:{{thing1.DATA}}"),
    template(CHECKUP, "复诊提醒", "日期:{{date1.DATA}}", type=3),
    template(
        ROOM,
        "洗衣提醒",
        "位置:{{enum_string4.DATA}}",
        keywordEnumValueList=[{"enumValueList": ["客厅", "厨房"], "keywordCode": "enum_string4.DATA"}],
    ),
    template(CARD, "出行卡片", "车次:{{thing1.DATA}}", kind="service_card"),
]
GOOD = {"character_string1": {"value": "A127"}, "thing2": {"value": "南山一店"}}


def app(**changes: Any) -> dict[str, Any]:
    """The app of the setup call."""
    return {"app_id": APP, "secret": SECRET, "original_id": ORIGINAL, "templates": TEMPLATES, **changes}


class Api:
    """WeChat's paths over one kept-alive connection."""

    def __init__(self, url: str) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
        self.token = ""

    def close(self) -> None:
        self.connection.close()

    def raw(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, str, bytes]:
        """Return status, content type and body."""
        url = f"{path}?{urlencode(query)}" if query else path
        self.connection.request(method, url, body)
        reply = self.connection.getresponse()
        return reply.status, reply.headers["Content-Type"], reply.read()

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """Return the document of a GET with the token."""
        found: dict[str, Any] = json.loads(self.raw("GET", path, {"access_token": self.token, **query})[2])
        return found

    def post(self, path: str, body: Mapping[str, Any] | bytes, *, token: str | None = None) -> dict[str, Any]:
        """Return the document of a POST with the token; a mapping is written as raw UTF-8."""
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        query = {"access_token": self.token if token is None else token}
        found: dict[str, Any] = json.loads(self.raw("POST", path, query, data)[2])
        return found

    def stable_token(self, **changes: Any) -> dict[str, Any]:
        body = {"grant_type": "client_credential", "appid": APP, "secret": SECRET, **changes}
        return self.post("/cgi-bin/stable_token", {name: value for name, value in body.items() if value is not None})

    def plain_token(self, **changes: str) -> dict[str, Any]:
        query = {"grant_type": "client_credential", "appid": APP, "secret": SECRET, **changes}
        return self.get("/cgi-bin/token", **query)

    def log_in(self) -> None:
        self.token = self.stable_token()["access_token"]

    def send(self, **changes: Any) -> dict[str, Any]:
        """Send the good message to Anna, with changes; None takes a member away."""
        body = {"touser": ANNA, "template_id": PICKUP, "data": GOOD, **changes}
        return self.post(SEND, {name: value for name, value in body.items() if value is not None})


def said(document: Mapping[str, Any]) -> tuple[int, str]:
    """The code and the text before the rid."""
    return document["errcode"], document["errmsg"].rpartition(" rid: ")[0]


@dataclass
class Push:
    """One push as it arrived."""

    query: dict[str, str]
    body: bytes
    content_type: str


@dataclass
class Receiver:
    """A callback URL: keeps what arrives, answers 200 unless told otherwise (a status, or "hang")."""

    url: str = ""
    pushes: Queue[Push] = field(default_factory=Queue)
    answers: Queue[int | str] = field(default_factory=Queue)
    ended: Event = field(default_factory=Event)

    def next(self) -> Push:
        return self.pushes.get(timeout=10)

    def clear(self) -> None:
        self.pushes = Queue()
        self.answers = Queue()


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver until the block ends."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            query = dict(parse_qsl(self.path.partition("?")[2]))
            receiver.pushes.put(Push(query, body, self.headers["Content-Type"]))
            try:
                answer = receiver.answers.get_nowait()
            except Empty:
                answer = 200
            if isinstance(answer, str):
                receiver.ended.wait()
                self.close_connection = True
                return
            self.send_response(answer)
            self.send_header("Content-Length", "7")
            self.end_headers()
            self.wfile.write(b"success")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        receiver.url = f"http://127.0.0.1:{server.server_address[1]}/wechat/callback/{APP}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield receiver
        receiver.ended.set()
        server.shutdown()
        thread.join()
