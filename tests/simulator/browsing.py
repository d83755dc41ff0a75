"""What a browser on this machine asks the phone page's endpoints."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.simulator.stage import ANNA, APP

SCENES = [{"code": "paid", "name": "支付成功页"}, {"code": "borrowed"}]


class Browser:
    """Requests as a browser on this machine sends them, paths untouched."""

    def __init__(self, url: str) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)

    def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        self.connection.request(method, path, raw, dict(headers or {}))
        reply = self.connection.getresponse()
        return reply.status, dict(reply.headers), reply.read()

    def wx(self, method: str, verb: str, openid: str = ANNA, **given: Any) -> tuple[int, dict[str, Any]]:
        whole = {"app_id": APP, "openid": openid, **given}
        query = f"?{urlencode(whole)}" if method == "GET" else ""
        status, _, raw = self.ask(method, f"/phone/wx/{verb}{query}", None if query else whole)
        return status, json.loads(raw)

    def api(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, dict[str, Any]]:
        names = {"X-App-Id": APP} | {name.replace("_", "-"): value for name, value in headers.items()}
        status, _, raw = self.ask(method, f"/phone/api/{path}", body, names)
        return status, json.loads(raw)
