"""Tokens, quotas, diagnosis and the content check: what an account asks WeChat besides sending.

Source: WeChat's docs, "access token", "openApi management" and "content security".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from notify_platform.simulator.calls import Call, WeChatError
from notify_platform.simulator.people import app_by_secret
from notify_platform.simulator.tokens import DAY_S
from notify_platform.simulator.world import App, World

CLEARS_PER_MONTH = 10
MONTH_S = 30 * DAY_S
RID_LIVES_S = 7 * DAY_S
VISIT_COUNTS_S = 2 * 3600
LONGEST_TEXT = 2500
SCENES = (1, 2, 3, 4)
RISKY, PASS = {"suggest": "risky", "label": 20006}, {"suggest": "pass", "label": 100}

_RID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}")


def token(world: World, call: Call) -> dict[str, Any]:
    """Hand out a new token; the previous one of this kind ends soon."""
    with world.lock:
        app = _app_for_token(world, call.query)
        now, lifetime_s = world.now(), world.settings.token_lifetime_s
        issued = world.tokens.plain(app.app_id, now=now, lifetime_s=lifetime_s)
        return {"access_token": issued.value, "expires_in": int(issued.expires_at - now)}


def stable_token(world: World, call: Call) -> dict[str, Any]:
    """Hand out the stable token, with the seconds it still has."""
    body = call.body()
    with world.lock:
        app = _app_for_token(world, body)
        now, lifetime_s = world.now(), world.settings.token_lifetime_s
        force = body.get("force_refresh") is True
        issued = world.tokens.stable(app.app_id, now=now, lifetime_s=lifetime_s, force=force)
        return {"access_token": issued.value, "expires_in": int(issued.expires_at - now)}


def quota_get(world: World, call: Call) -> dict[str, Any]:
    """Tell how much of an endpoint's day is used up."""
    with world.lock:
        app = world.authorised_app(call)
        path = call.body().get("cgi_path")
        if not isinstance(path, str) or not path.startswith("/"):
            raise WeChatError(76003)
        if path.startswith("/sns/"):
            raise WeChatError(76022)
        if not path.startswith(("/cgi-bin/", "/wxa/", "/wxaapi/")):
            raise WeChatError(76021)
        limit, used = world.settings.daily_limit, app.used_today[path]
        return {
            "errcode": 0,
            "errmsg": "ok",
            "quota": {"daily_limit": limit, "used": used, "remain": max(0, limit - used)},
        }


def clear_quota(world: World, call: Call) -> dict[str, Any]:
    """Set the counters of the day back, with a token."""
    with world.lock:
        app = world.authorised_app(call)
        if call.body().get("appid") != app.app_id:
            raise WeChatError(40013)
        return _clear(world, app)


def clear_quota_v2(world: World, call: Call) -> dict[str, Any]:
    """Set the counters of the day back, with the app's secret; WeChat's sample has it in the query."""
    with world.lock:
        given = call.query if "appid" in call.query else call.body()
        return _clear(world, app_by_secret(world, {"appid": given.get("appid"), "secret": given.get("appsecret")}))


def rid_get(world: World, call: Call) -> dict[str, Any]:
    """Tell what a refused call was, seven days long, to the account that made it."""
    with world.lock:
        app = world.authorised_app(call)
        rid = call.body().get("rid")
        if not isinstance(rid, str) or not _RID.fullmatch(rid):
            raise WeChatError(76002)
        record = world.rids.get(rid)
        if record is None:
            raise WeChatError(76001)
        if record["app_id"] != app.app_id:
            raise WeChatError(76003)
        if world.now() - record["request"]["invoke_time"] > RID_LIVES_S:
            raise WeChatError(76004)
        return {"errcode": 0, "errmsg": "ok", "request": record["request"]}


def msg_sec_check(world: World, call: Call) -> dict[str, Any]:
    """Judge a text: risky when it holds one of the setting's words."""
    with world.lock:
        app = world.authorised_app(call)
        body = call.body()
        content = body.get("content")
        if not isinstance(content, str) or not 1 <= len(content) <= LONGEST_TEXT or body.get("version") != 2:
            raise WeChatError(47001)
        if body.get("scene") not in SCENES:
            raise WeChatError(40129)
        _check_visitor(world, app, call.text("openid"))
        words = [word for word in world.settings.risky_words if word in content]
        verdict = RISKY if words else PASS
        detail = [{"strategy": "content_model", "errcode": 0, **verdict, "prob": 90}]
        detail += [{"strategy": "keyword", "errcode": 0, **RISKY, "level": 90, "keyword": word} for word in words]
        trace_id = f"{int(world.now()):08x}-{world.rng.getrandbits(32):08x}-{world.rng.getrandbits(32):08x}"
        return {"errcode": 0, "errmsg": "ok", "result": verdict, "detail": detail, "trace_id": trace_id}


def _app_for_token(world: World, given: Mapping[str, Any]) -> App:
    if given.get("grant_type") != "client_credential":
        raise WeChatError(40002)
    return app_by_secret(world, given)


def _clear(world: World, app: App) -> dict[str, Any]:
    now = world.now()
    app.quota_clears = [moment for moment in app.quota_clears if moment > now - MONTH_S]
    if len(app.quota_clears) >= CLEARS_PER_MONTH:
        raise WeChatError(48006)
    app.quota_clears.append(now)
    app.used_today.clear()
    return {"errcode": 0, "errmsg": "ok"}


def _check_visitor(world: World, app: App, openid: str) -> None:
    """Raise 40003 for no openid, 43104 for another app's, 61010 for a user away for more than two hours."""
    if not openid:
        raise WeChatError(40003)
    user = app.users.get(openid)
    if user is None:
        raise WeChatError(43104 if any(openid in other.users for other in world.apps.values()) else 40003)
    if world.now() - user.visited_at > VISIT_COUNTS_S:
        raise WeChatError(61010)
