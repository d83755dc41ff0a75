"""What WeChat shows on a phone beside the mini-program: the popup, the settings page, the service notifications.

Source: WeChat's docs, "requestSubscribeMessage" and "getSetting". Every verb expects a user that is there.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from heapq import nlargest
from typing import Any

from notify_platform.simulator import people
from notify_platform.simulator.pushes import Pusher
from notify_platform.simulator.world import App, Message, Template, User, World

MOST_USERS_SHOWN = 30
MOST_CARDS_SHOWN = 50

_LINE = re.compile(r"^(?P<label>.*?)[:：]?\s*\{\{\s*(?P<key>\w+)\.DATA\s*\}\}", re.MULTILINE)


def introduce(world: World) -> list[dict[str, Any]]:
    """Return the mini-programs of this phone: name, scenes, templates, the platform's address."""
    with world.lock:
        return [
            {
                "app_id": app.app_id,
                "name": app.name or app.app_id,
                "api_url": app.api_url,
                "scenes": [{"code": scene.code, "name": scene.name} for scene in app.scenes],
                "templates": [_template(each) for each in app.templates.values()],
            }
            for app in world.apps.values()
        ]


def find_users(world: World, app: App, *, prefix: str) -> dict[str, Any]:
    """Return the users whose openid begins like this, who was here last first, and how many there are."""
    with world.lock:
        found = [(openid, user) for openid, user in app.users.items() if openid.startswith(prefix)]
    shown = nlargest(MOST_USERS_SHOWN, found, key=lambda pair: (pair[1].visited_at, len(pair[1].inbox)))
    return {
        "total": len(found),
        "users": [
            {"openid": openid, "cards": len(user.inbox), "visited_at": user.visited_at, "main_switch": user.main_switch}
            for openid, user in shown
        ],
    }


def add_user(world: World, app: App) -> str:
    """Let somebody new come into being; return the openid."""
    with world.lock:
        openid = "o" + base64.urlsafe_b64encode(world.rng.randbytes(21)).decode("ascii")[:27]
        app.users[openid] = User(visited_at=world.now())
        return openid


def request(world: World, pusher: Pusher, app: App, *, openid: str, template_ids: Sequence[str]) -> dict[str, Any]:
    """Begin ``wx.requestSubscribeMessage``: return ``{"popup": ids to ask for}``, or its result when nobody is asked.

    Who ticked "always keep" for every template is not asked: the former choice is the answer.
    """
    with world.lock:
        user = app.users[openid]
        user.visited_at = world.now()
        failure = people.popup_failure(app, user, template_ids)
        if failure:
            return people.failed(failure)
        questions = _questions(app, user, template_ids)
        if questions:
            return {"popup": questions}
        return _settle(world, pusher, app, openid=openid, template_ids=template_ids, answers={})


def answer(
    world: World,
    pusher: Pusher,
    app: App,
    *,
    openid: str,
    template_ids: Sequence[str],
    answers: Mapping[str, str],
    keep: bool,
) -> dict[str, Any]:
    """End ``wx.requestSubscribeMessage`` with what the user answered to each question of the popup; return its result.

    ``keep``: "always keep these choices" was ticked. Raises ``ValueError`` for other answers than the popup asked for.
    """
    if strange := set(answers.values()) - {"accept", "reject"}:
        raise ValueError(f"a user answers accept or reject, not {', '.join(sorted(strange))}")
    with world.lock:
        user = app.users[openid]
        failure = people.popup_failure(app, user, template_ids)
        if failure:
            return people.failed(failure)
        if set(answers) != set(_questions(app, user, template_ids)):
            raise ValueError("answer each template the popup shows, and no other")
        result = _settle(world, pusher, app, openid=openid, template_ids=template_ids, answers=answers)
        if keep:
            user.kept.update(answers)
        return result


def get_setting(world: World, app: App, *, openid: str) -> dict[str, Any]:
    """Return what ``wx.getSetting`` with subscriptions tells: only kept choices, and no list when there is none."""
    with world.lock:
        user = app.users[openid]
        kept = {"itemSettings": dict(user.kept)} if user.kept else {}
        return {
            "errMsg": "getSetting:ok",
            "authSetting": {},
            "subscriptionsSetting": {"mainSwitch": user.main_switch, **kept},
        }


def settings_page(world: World, app: App, *, openid: str) -> dict[str, Any]:
    """Return the settings page: the main switch, and each template the user ever answered."""
    with world.lock:
        user = app.users[openid]
        answered = [each for each in app.templates.values() if each.template_id in {*user.stocks, *user.kept}]
        return {
            "main_switch": user.main_switch,
            "templates": [
                {
                    "template_id": each.template_id,
                    "title": each.row["title"],
                    "kind": each.kind,
                    "is_on": user.kept.get(each.template_id) != "reject",
                    "is_kept": each.template_id in user.kept,
                }
                for each in answered
            ],
        }


def inbox(world: World, app: App, *, openid: str) -> dict[str, Any]:
    """Return the newest cards, oldest first, and how many came in all."""
    with world.lock:
        messages = app.users[openid].inbox
        return {"total": len(messages), "cards": [_card(app, each) for each in messages[-MOST_CARDS_SHOWN:]]}


def _questions(app: App, user: User, template_ids: Sequence[str]) -> list[str]:
    """Return what the popup asks: each title once, without what the user keeps (lock held)."""
    return [each for each in people.without_same_titles(app, template_ids) if each not in user.kept]


def _settle(
    world: World, pusher: Pusher, app: App, *, openid: str, template_ids: Sequence[str], answers: Mapping[str, str]
) -> dict[str, Any]:
    """Count what the popup was answered and what is kept; return wx's result (lock held)."""
    user = app.users[openid]
    shown = people.without_same_titles(app, template_ids)
    kept = {each: user.kept[each] for each in shown if each in user.kept}
    result: dict[str, Any] = {"errMsg": "requestSubscribeMessage:ok", **dict.fromkeys(template_ids, "filter")}
    for given, silent in ((answers, False), (kept, True)):
        if given:
            result |= people.answer_popup(world, pusher, app, openid=openid, answers=given, silent=silent)
    return result


def _template(template: Template) -> dict[str, Any]:
    examples = dict(re.findall(r"^(.*?)[:：](.*)$", str(template.row.get("example", "")), re.MULTILINE))
    return {
        "template_id": template.template_id,
        "title": template.row["title"],
        "kind": template.kind,
        "lines": [{"label": label, "value": examples.get(label, "")} for label in _labels(template).values()],
    }


def _card(app: App, message: Message) -> dict[str, Any]:
    """Return a message as a card; a template that is gone by now has no title and no labels left."""
    template = app.templates.get(message.template_id)
    labels = _labels(template) if template else {}
    return {
        "msgid": str(message.msgid),
        "template_id": message.template_id,
        "title": template.row["title"] if template else "",
        "lines": [{"label": labels.get(key, ""), "value": value} for key, value in message.data.items()],
        "page": message.page,
        "at": message.at,
        "miniprogram_state": message.miniprogram_state,
        "lang": message.lang,
    }


def _labels(template: Template) -> dict[str, str]:
    """Return key → label in the order of the card."""
    return {found["key"]: found["label"].strip() for found in _LINE.finditer(template.row["content"])}
