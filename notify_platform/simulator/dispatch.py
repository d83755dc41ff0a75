"""From a call to a reply: the right endpoint, the faults on order, WeChat's way of saying no."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from notify_platform.simulator import account, newtmpl, people, sending
from notify_platform.simulator.calls import JSON_TYPE, TEXT_TYPE, Call, Reply, Silence, WeChatError, encoded
from notify_platform.simulator.faults import Action, Fault, FaultRule
from notify_platform.simulator.pushes import Pusher
from notify_platform.simulator.sending import SEND
from notify_platform.simulator.world import Tally, World

GET, POST = "GET", "POST"
LOGIN = "/sns/jscode2session"
JSON_LIMIT_SHOWN = 2000  # characters of a body that rid/get shows

Endpoint = Callable[[World, Call], dict[str, Any]]
ENDPOINTS: dict[str, tuple[str, Endpoint]] = {
    "/cgi-bin/token": (GET, account.token),
    "/cgi-bin/stable_token": (POST, account.stable_token),
    LOGIN: (GET, people.jscode2session),
    "/wxaapi/newtmpl/getcategory": (GET, newtmpl.getcategory),
    "/wxaapi/newtmpl/getpubtemplatetitles": (GET, newtmpl.getpubtemplatetitles),
    "/wxaapi/newtmpl/getpubtemplatekeywords": (GET, newtmpl.getpubtemplatekeywords),
    "/wxaapi/newtmpl/addtemplate": (POST, newtmpl.addtemplate),
    "/wxaapi/newtmpl/gettemplate": (GET, newtmpl.gettemplate),
    "/wxaapi/newtmpl/deltemplate": (POST, newtmpl.deltemplate),
    "/wxa/msg_sec_check": (POST, account.msg_sec_check),
    "/cgi-bin/openapi/quota/get": (POST, account.quota_get),
    "/cgi-bin/openapi/rid/get": (POST, account.rid_get),
    "/cgi-bin/clear_quota": (POST, account.clear_quota),
    "/cgi-bin/clear_quota/v2": (POST, account.clear_quota_v2),
}

_LOST_BEFORE = (Action.HANG, Action.RESET_BEFORE, Action.STATUS_BEFORE)
_LOST_AFTER = (Action.RESET_AFTER, Action.STATUS_AFTER, Action.GARBAGE)


class Dispatcher:
    """Answers WeChat's own paths."""

    def __init__(self, world: World, pusher: Pusher) -> None:
        self._world = world
        self._pusher = pusher

    def answer(self, call: Call) -> Reply | Silence:
        """Return what goes back over the wire, after whatever delay and faults were ordered."""
        started = time.monotonic()
        fault = self._world.faults.draw(path=call.path, openid=call.text("touser") or call.text("openid"))
        tally = self._note(call, fault)
        call.delay_s = fault.delay_s
        # A send waits by itself, while it blocks others to the same user.
        if fault.delay_s and (call.path != SEND or fault.ends_with(Action.CODE, *_LOST_BEFORE)):
            time.sleep(fault.delay_s)
        if fault.rule and fault.rule.action in _LOST_BEFORE:
            return _lost(fault.rule)
        try:
            if fault.rule and fault.rule.action is Action.CODE:
                raise WeChatError(fault.rule.code)
            body = encoded(self._route(call))
        except WeChatError as error:
            body = self._refusal(call, error, tally=tally, started=started)
        if fault.rule and fault.rule.action in _LOST_AFTER:
            return _lost(fault.rule)
        return Reply(body, content_type=TEXT_TYPE if call.path == LOGIN else JSON_TYPE)

    def _note(self, call: Call, fault: Fault) -> Tally | None:
        """Count the call; return the sums it belongs to when it is a send."""
        with self._world.lock:
            self._world.calls[call.path] += 1
            if call.path != SEND:
                return None
            app_id = self._world.tokens.issued_to(call.query.get("access_token", ""))
            tally = self._world.tally(app_id, call.text("template_id"))
            tally.requests += 1
            tally.escaped_bodies += call.is_escaped
            tally.faults.update(str(action) for action in fault.actions)
            return tally

    def _route(self, call: Call) -> dict[str, Any]:
        if call.path == SEND:
            _require(POST, call)
            return sending.send(self._world, self._pusher, call)
        if call.path not in ENDPOINTS:
            raise WeChatError(40066)
        method, endpoint = ENDPOINTS[call.path]
        _require(method, call)
        return endpoint(self._world, call)

    def _refusal(self, call: Call, error: WeChatError, *, tally: Tally | None, started: float) -> bytes:
        """Write an error the way WeChat does, with a rid that begins with the time of the call."""
        world = self._world
        with world.lock:
            if tally is not None:
                tally.refused[error.code] += 1
            now = int(world.now())
            rid = f"{now:08x}-{world.rng.getrandbits(32):08x}-{world.rng.getrandbits(32):08x}"
            body = encoded({"errcode": error.code, "errmsg": f"{error.text} rid: {rid}", **error.extra})
            request = {
                "invoke_time": now,
                "cost_in_ms": int((time.monotonic() - started) * 1000),
                "request_url": "&".join(f"{name}={value}" for name, value in call.query.items()),
                "request_body": call.raw.decode("utf-8", "replace")[:JSON_LIMIT_SHOWN],
                "response_body": body.decode("utf-8"),
                "client_ip": call.client_ip,
            }
            app_id = world.tokens.issued_to(call.query.get("access_token", ""))
            world.remember_rid(rid, {"app_id": app_id, "request": request})
            return body


def _require(method: str, call: Call) -> None:
    """Raise what WeChat says when GET and POST are mixed up."""
    if call.method != method:
        raise WeChatError(43002 if method == POST else 404)


def _lost(rule: FaultRule) -> Reply | Silence:
    """Return the end of a call whose real answer never arrives."""
    if rule.action in {Action.RESET_BEFORE, Action.RESET_AFTER}:
        return Silence(reset=True)
    if rule.action is Action.HANG:
        return Silence(reset=False)
    if rule.action is Action.GARBAGE:
        return Reply(b'{"errcode":0,"errm')
    return Reply(b"<html><body>gateway trouble</body></html>", status=rule.http_status, content_type="text/html")
