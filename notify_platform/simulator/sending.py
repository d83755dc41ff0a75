"""``subscribe/send``: WeChat's checks in WeChat's order, then one message in the user's inbox.

Source: WeChat's docs, "send a subscription message". Where they say nothing (the order of checks, keys too many) the
simulator takes what developers report, or the strict side.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from notify_platform.simulator.calls import Call, WeChatError
from notify_platform.simulator.judge import CUT, complaint
from notify_platform.simulator.pushes import Pusher
from notify_platform.simulator.world import App, Kind, Message, Template, World

SEND = "/cgi-bin/message/subscribe/send"
STATES = ("developer", "trial", "formal")
LANGUAGES = ("zh_CN", "en_US", "zh_HK", "zh_TW")


def send(world: World, pusher: Pusher, call: Call) -> dict[str, Any]:
    """Answer one send: takes ``latency_ms`` plus the call's delay, while no other send to the same user may run."""
    with world.lock:
        app = world.authorised_app(call)
        document = call.body()
        openid = call.text("touser")
        if openid not in app.users:
            raise WeChatError(40003)
    with _only_one_in_flight(world, app_id=app.app_id, openid=openid):
        seconds = world.settings.latency_ms / 1000 + call.delay_s
        if seconds:
            time.sleep(seconds)
        with world.lock:
            message = _deliver(world, app, openid=openid, document=document)
            told = {"msgid": message.msgid} if world.settings.msgid else {}
    pusher.message_sent(app, message)
    return {"errcode": 0, "errmsg": "ok", **told}


@contextmanager
def _only_one_in_flight(world: World, *, app_id: str, openid: str) -> Iterator[None]:
    place = (app_id, openid)
    with world.lock:
        if place in world.in_flight:
            raise WeChatError(43108)
        world.in_flight.add(place)
    try:
        yield
    finally:
        with world.lock:
            world.in_flight.discard(place)


def _deliver(world: World, app: App, *, openid: str, document: Mapping[str, Any]) -> Message:
    """Judge the body and count the message (lock held)."""
    template = _template(app, document)
    state = _choice(document, "miniprogram_state", values=STATES, default="formal")
    lang = _choice(document, "lang", values=LANGUAGES, default="zh_CN")
    page = _page(app, document)
    user = app.users[openid]
    if not user.main_switch or user.stock(template.template_id).balance <= 0:
        raise WeChatError(43101)
    data = document.get("data")
    text = complaint(data, fields=template.fields, choices=template.choices)
    if text is not None:
        raise WeChatError(47003, f"argument invalid! {text}")
    return world.count_message(
        app,
        openid=openid,
        template_id=template.template_id,
        data={key: item["value"] for key, item in (data or {}).items()},
        page=page,
        miniprogram_state=state,
        lang=lang,
    )


def _template(app: App, document: Mapping[str, Any]) -> Template:
    template_id = document.get("template_id")
    template = app.templates.get(template_id) if isinstance(template_id, str) else None
    if template is None or template.kind is Kind.SERVICE_CARD:
        raise WeChatError(40037)
    return template


def _choice(document: Mapping[str, Any], name: str, *, values: tuple[str, ...], default: str) -> str:
    """Return a member that takes a few words only; absent and empty mean the default."""
    value = document.get(name, "")
    if value == "":
        return default
    if value not in values:
        raise WeChatError(47003, "argument invalid! " + f"{name} invalid"[:CUT])
    return str(value)


def _page(app: App, document: Mapping[str, Any]) -> str:
    page = document.get("page", "")
    if not isinstance(page, str):
        raise WeChatError(41030)
    if page and app.pages is not None and page.partition("?")[0] not in app.pages:
        raise WeChatError(41030)
    return page
