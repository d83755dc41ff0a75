"""What the users do on their phones: open the mini-program, answer the popup, turn messages off."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from notify_platform.simulator.calls import Call, WeChatError
from notify_platform.simulator.pushes import Pusher
from notify_platform.simulator.world import App, Kind, LoginCode, Template, User, World

CODE_LIVES_S = 300
MOST_IDS = 5

# wx.requestSubscribeMessage fails with these (WeChat's docs: its errCode table).
POPUP_FAILURES = {
    10001: "TmplIds can't be empty",
    20001: "No template data return, verify the template id exist",
    20002: "Templates type must be same",
    20003: "Templates count out of max bounds",
    20004: "The main switch is switched off",
}


def add_users(world: World, app: App, rows: Sequence[Mapping[str, Any]]) -> int:
    """Add users, or consent to those who are there (``balances`` count as that many accepts); return how many rows.

    Row: ``{"openid", "balances"?: {template_id: n}, "long_term"?: [template_id], "main_switch"?: bool}``.
    Raises ``ValueError`` for a template the app does not have.
    """
    wanted = {each for row in rows for each in (*row.get("balances", {}), *row.get("long_term", []))}
    if unknown := wanted - set(app.templates):
        raise ValueError(f"the app has no template {', '.join(sorted(unknown))}")
    with world.lock:
        for row in rows:
            user = app.users.setdefault(row["openid"], User())
            user.main_switch = row.get("main_switch", user.main_switch)
            for template_id, count in row.get("balances", {}).items():
                stock = user.stock(template_id)
                stock.granted += count
                stock.balance += count
            for template_id in row.get("long_term", []):
                stock = user.stock(template_id)
                stock.granted += 1
                stock.balance = 1
    return len(rows)


def answer_popup(
    world: World, pusher: Pusher, app: App, *, openid: str, answers: Mapping[str, str], silent: bool
) -> dict[str, Any]:
    """Let a user answer the popup; return what ``wx.requestSubscribeMessage`` gives the mini-program.

    A silent answer ("always keep my choice") counts alike and pushes nothing: whether WeChat pushes then is not known.
    """
    with world.lock:
        user = app.users.setdefault(openid, User())
        user.visited_at = world.now()
        failure = popup_failure(app, user, list(answers))
        if failure:
            return failed(failure)
        given = {each: answers[each] for each in without_same_titles(app, answers)}
        for template_id, answer in given.items():
            _note_answer(app.templates[template_id], user, accepted=answer == "accept")
            if not silent:
                user.kept.pop(template_id, None)  # a popup was seen, so nothing was kept
    if not silent:
        pusher.popup_answered(app, openid=openid, answers=given)
    return {"errMsg": "requestSubscribeMessage:ok", **dict.fromkeys(answers, "filter"), **given}


def turn_off(world: World, pusher: Pusher, app: App, *, openid: str, template_ids: Sequence[str]) -> None:
    """Let a user turn templates off; what was saved up is void. Raises ``ValueError`` for a user nobody added."""
    with world.lock:
        user = _user(app, openid)
        for template_id in template_ids:
            user.stock(template_id).balance = 0
            user.kept[template_id] = "reject"
    pusher.turned_off(app, openid=openid, template_ids=template_ids)


def turn_on(world: World, app: App, *, openid: str, template_id: str) -> None:
    """Let a user allow a template again: nothing comes back and nothing is pushed, but the next request may ask.

    Raises ``ValueError`` for a user nobody added.
    """
    with world.lock:
        _user(app, openid).kept.pop(template_id, None)


def set_main_switch(world: World, app: App, *, openid: str, on: bool) -> None:
    """Let a user turn all messages off or on; nothing is pushed, consent is kept. Raises ``ValueError``."""
    with world.lock:
        _user(app, openid).main_switch = on


def make_login_code(world: World, app: App, *, openid: str) -> str:
    """Return what ``wx.login`` gives this user's phone; a user nobody added comes into being."""
    with world.lock:
        app.users.setdefault(openid, User())
        code = "0" + base64.urlsafe_b64encode(world.rng.randbytes(24)).decode("ascii")[:31]
        world.codes[code] = LoginCode(app.app_id, openid, world.now() + CODE_LIVES_S)
        return code


def jscode2session(world: World, call: Call) -> dict[str, Any]:
    """Exchange a login code: five minutes, once (WeChat's docs: "code to session")."""
    with world.lock:
        app = app_by_secret(world, call.query)
        js_code = call.query.get("js_code", "")
        if not js_code:
            raise WeChatError(41008)
        if call.query.get("grant_type") != "authorization_code":
            raise WeChatError(40002)
        code = world.codes.get(js_code)
        if code is None or code.app_id != app.app_id or world.now() >= code.expires_at:
            raise WeChatError(40029)
        if code.used:
            raise WeChatError(40163)
        code.used = True
        app.users[code.openid].visited_at = world.now()
        return {"session_key": base64.b64encode(world.rng.randbytes(16)).decode("ascii"), "openid": code.openid}


def app_by_secret(world: World, given: Mapping[str, Any]) -> App:
    """Return the app named by ``appid`` and ``secret``; raise 41002, 41004, 40013 or 40125 (lock held)."""
    app_id, secret = given.get("appid"), given.get("secret")
    if not app_id:
        raise WeChatError(41002)
    if not secret:
        raise WeChatError(41004)
    app = world.apps.get(str(app_id))
    if app is None:
        raise WeChatError(40013)
    if secret != app.secret:
        raise WeChatError(40125)
    return app


def _user(app: App, openid: str) -> User:
    if openid not in app.users:
        raise ValueError(f"{app.app_id} has no user {openid}; POST /_sim/users adds some")
    return app.users[openid]


def popup_failure(app: App, user: User, template_ids: Sequence[str]) -> int:
    """Return the errCode of a popup that cannot be shown, or 0 (lock held)."""
    if not template_ids:
        return 10001
    if len(template_ids) > MOST_IDS:
        return 20003
    templates = [app.templates.get(each) for each in template_ids]
    if any(template is None or template.kind is Kind.SERVICE_CARD for template in templates):
        return 20001
    if len({template.row["type"] for template in templates if template}) > 1:
        return 20002
    return 0 if user.main_switch else 20004


def failed(code: int) -> dict[str, Any]:
    """Return what ``wx.requestSubscribeMessage`` gives to its ``fail``."""
    return {"errMsg": f"requestSubscribeMessage:fail {POPUP_FAILURES[code]}", "errCode": code}


def without_same_titles(app: App, template_ids: Iterable[str]) -> list[str]:
    """Return the first template of each title: the popup shows a title once (lock held)."""
    first: dict[str, str] = {}
    for template_id in template_ids:
        first.setdefault(app.templates[template_id].row["title"], template_id)
    return list(first.values())


def _note_answer(template: Template, user: User, *, accepted: bool) -> None:
    """Count an accept. A reject leaves a stock alone (WeChat does not say otherwise) and turns a switch off."""
    stock = user.stock(template.template_id)
    stock.granted += accepted
    if template.is_switch:
        stock.balance = int(accepted)
    else:
        stock.balance += accepted
