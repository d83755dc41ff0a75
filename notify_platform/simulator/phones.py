"""Everything under ``/phone``: the phone page's files, what ``wx.*`` does for it, and its way to the platform.

Whoever asks must be a browser of this machine showing this page: no other site may play somebody's phone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from notify_platform.simulator import handset, people
from notify_platform.simulator.calls import Call, Reply, encoded
from notify_platform.simulator.passage import JSON, hand_on, refusal
from notify_platform.simulator.pushes import Pusher
from notify_platform.simulator.world import App, World

PAGE = "/phone"
WX = "/phone/wx/"
API = "/phone/api/"
APP_HEADER = "X-App-Id"
BIGGEST_BODY = 64 * 1024

_FOLDER = Path(__file__).parent / "phone"
_CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# A file is served because its name is here, so no path can lead anywhere else.
_FILES = {path.name: path for path in _FOLDER.iterdir() if path.suffix in _CONTENT_TYPES}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_LOCAL_NAMES = {"127.0.0.1", "localhost", "::1"}

Given = Mapping[str, Any]
Verb = Callable[[App, Given], dict[str, Any]]


def is_of_a_phone(path: str) -> bool:
    """Return whether a path belongs to the phone page."""
    return path == PAGE or path.startswith(f"{PAGE}/")


class Phones:
    """Answers the phone page."""

    def __init__(self, world: World, pusher: Pusher) -> None:
        self._world = world
        self._pusher = pusher
        # What a user does who may not be there yet; then what takes a user.
        self._beginnings: dict[tuple[str, str], Verb] = {
            ("GET", "users"): self._users,
            ("POST", "users"): self._new_user,
            ("POST", "login"): self._login,
        }
        self._verbs: dict[tuple[str, str], Verb] = {
            ("POST", "requestSubscribeMessage"): self._request,
            ("POST", "answer"): self._answer_popup,
            ("GET", "getSetting"): self._get_setting,
            ("GET", "settings"): self._settings_page,
            ("POST", "turn_off"): self._turn_off,
            ("POST", "turn_on"): self._turn_on,
            ("POST", "main_switch"): self._main_switch,
            ("GET", "inbox"): self._inbox,
        }

    def answer(self, call: Call) -> Reply:
        """Return the reply to one call of the page."""
        reply = self._reply(call)
        return replace(reply, headers={**_HEADERS, **reply.headers})

    def _reply(self, call: Call) -> Reply:
        if not _is_local(call):
            return refusal(403, "foreign", "the phone page is at http://127.0.0.1 or http://localhost")
        if not call.path.startswith((WX, API)):
            return _file(call)
        if call.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
            return refusal(403, "foreign", "only the phone page may ask this")
        if len(call.raw) > BIGGEST_BODY:
            return refusal(413, "too_large", f"a body has at most {BIGGEST_BODY} bytes")
        return self._wx(call) if call.path.startswith(WX) else self._hand_on(call)

    def _hand_on(self, call: Call) -> Reply:
        app = self._world.apps.get(call.headers.get(APP_HEADER, ""))
        if app is None:
            return refusal(404, "no_app", f"{APP_HEADER} names no app of this simulator")
        return hand_on(call, api_url=app.api_url)

    def _wx(self, call: Call) -> Reply:
        place = (call.method, call.path.removeprefix(WX))
        if place == ("GET", "apps"):
            return _document({"apps": handset.introduce(self._world)})
        verb = self._beginnings.get(place) or self._verbs.get(place)
        if verb is None:
            return refusal(404, "not_found", f"there is no {call.method} {call.path}")
        given = call.query if call.method == "GET" else call.document
        if given is None:
            return refusal(400, "invalid", "the body must be a JSON object")
        app = self._world.apps.get(str(given.get("app_id")))
        if app is None:
            return refusal(404, "no_app", "app_id names no app of this simulator")
        if place in self._verbs and str(given.get("openid")) not in app.users:
            return refusal(404, "no_user", "openid names no user of this app")
        try:
            return _document(verb(app, given))
        except KeyError as error:
            return refusal(400, "missing", f"{error.args[0]} is missing")
        except (ValueError, TypeError, AttributeError) as error:
            return refusal(400, "invalid", str(error))

    def _users(self, app: App, given: Given) -> dict[str, Any]:
        return handset.find_users(self._world, app, prefix=given.get("prefix", ""))

    def _new_user(self, app: App, given: Given) -> dict[str, Any]:
        return {"openid": handset.add_user(self._world, app)}

    def _login(self, app: App, given: Given) -> dict[str, Any]:
        code = people.make_login_code(self._world, app, openid=_text(given, "openid"))
        return {"errMsg": "login:ok", "code": code}

    def _request(self, app: App, given: Given) -> dict[str, Any]:
        openid, template_ids = given["openid"], _texts(given, "tmplIds")
        return handset.request(self._world, self._pusher, app, openid=openid, template_ids=template_ids)

    def _answer_popup(self, app: App, given: Given) -> dict[str, Any]:
        return handset.answer(
            self._world,
            self._pusher,
            app,
            openid=given["openid"],
            template_ids=_texts(given, "tmplIds"),
            answers=given["answers"],
            keep=given.get("keep") is True,
        )

    def _get_setting(self, app: App, given: Given) -> dict[str, Any]:
        return handset.get_setting(self._world, app, openid=given["openid"])

    def _settings_page(self, app: App, given: Given) -> dict[str, Any]:
        return handset.settings_page(self._world, app, openid=given["openid"])

    def _turn_off(self, app: App, given: Given) -> dict[str, Any]:
        template_id = _template_id(app, given)
        people.turn_off(self._world, self._pusher, app, openid=given["openid"], template_ids=[template_id])
        return {}

    def _turn_on(self, app: App, given: Given) -> dict[str, Any]:
        people.turn_on(self._world, app, openid=given["openid"], template_id=_template_id(app, given))
        return {}

    def _main_switch(self, app: App, given: Given) -> dict[str, Any]:
        people.set_main_switch(self._world, app, openid=given["openid"], on=given["on"] is True)
        return {}

    def _inbox(self, app: App, given: Given) -> dict[str, Any]:
        return handset.inbox(self._world, app, openid=given["openid"])


def _is_local(call: Call) -> bool:
    """Whether the browser was asked for this machine by name: a foreign name that leads here is somebody's trick."""
    try:
        return urlsplit(f"//{call.headers.get('Host', '')}").hostname in _LOCAL_NAMES
    except ValueError:
        return False


def _file(call: Call) -> Reply:
    path = _FILES.get(call.path.removeprefix(PAGE).removeprefix("/") or "index.html")
    if path is None:
        return refusal(404, "not_found", f"there is no {call.path}")
    if call.method != "GET":
        return refusal(405, "method", "files are only read")
    return Reply(path.read_bytes(), content_type=_CONTENT_TYPES[path.suffix])


def _document(document: Mapping[str, Any]) -> Reply:
    return Reply(encoded(document), content_type=JSON)


def _text(given: Given, name: str) -> str:
    value = given[name]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is a text")
    return value


def _texts(given: Given, name: str) -> list[str]:
    value = given[name]
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{name} is a list of texts")
    return value


def _template_id(app: App, given: Given) -> str:
    template_id = _text(given, "template_id")
    if template_id not in app.templates:
        raise ValueError(f"the app has no template {template_id}")
    return template_id
