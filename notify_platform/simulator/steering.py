"""The control API under ``/_sim/``: sets the stage, plays the users, tells the truth afterwards.

``control.SimulatorControl`` is its client. Errors are HTTP 400 with ``{"error": {"code", "message"}}``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from notify_platform.simulator import people
from notify_platform.simulator.calls import Call, Reply, encoded
from notify_platform.simulator.events import FORMATS, JSON, MODES, PLAINTEXT
from notify_platform.simulator.pushes import Pusher
from notify_platform.simulator.world import App, Message, Scene, Template, World
from notify_platform.wechat.signing import BadEnvelope, CallbackKeys, encrypt

PREFIX = "/_sim/"

_CONFIGURED = (
    *("secret", "original_id", "callback_url", "callback_token", "aes_key", "mode", "format", "pages", "templates"),
    *("name", "api_url", "scenes"),
)


class Steering:
    """Answers the control API."""

    def __init__(self, world: World, pusher: Pusher) -> None:
        self._world = world
        self._pusher = pusher
        self._routes: dict[tuple[str, str], Callable[[dict[str, str], dict[str, Any]], Any]] = {
            ("POST", "setup"): self._setup,
            ("POST", "users"): self._users,
            ("POST", "faults"): self._faults,
            ("POST", "settings"): self._settings,
            ("POST", "popup"): self._popup,
            ("POST", "turn_off"): self._turn_off,
            ("POST", "main_switch"): self._main_switch,
            ("POST", "login_code"): self._login_code,
            ("POST", "reset"): self._reset,
            ("GET", "counts"): self._counts,
            ("GET", "ledger"): self._ledger,
            ("GET", "inbox"): self._inbox,
            ("GET", "deliveries"): self._deliveries,
            ("GET", "quiet"): self._quiet,
            ("GET", "health"): self._health,
        }

    def answer(self, call: Call) -> Reply:
        """Return the reply to one control call."""
        verb = self._routes.get((call.method, call.path.removeprefix(PREFIX)))
        if verb is None:
            return _error(404, "not_found", f"there is no {call.method} {call.path}")
        if call.raw and call.document is None:
            return _error(400, "invalid", "the body must be a JSON object")
        try:
            return Reply(encoded(verb(call.query, call.document or {})))
        except KeyError as error:
            return _error(400, "missing", f"{error.args[0]} is missing")
        except (ValueError, TypeError, AttributeError, BadEnvelope) as error:
            return _error(400, "invalid", str(error))

    def _setup(self, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        settings = self._world.settings.changed(body.get("settings", {}))
        apps = [_app(row) for row in body.get("apps", [])]
        with self._world.lock:
            self._world.settings = settings
            for app in apps:
                old = self._world.apps.get(app.app_id)
                if old is not None:
                    _configure(old, app)
                else:
                    self._world.apps[app.app_id] = app
        return {"apps": sorted(self._world.apps)}

    def _users(self, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        app = self._world.app(body["app_id"])
        return {"users": people.add_users(self._world, app, body["users"])}

    def _faults(self, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        self._world.faults.replace(body["rules"], seed=self._world.seed)
        return {"rules": len(body["rules"])}

    def _settings(self, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        with self._world.lock:
            self._world.settings = self._world.settings.changed(body)
            return asdict(self._world.settings)

    def _popup(self, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        answers: Mapping[str, str] = body["results"]
        if strange := set(answers.values()) - {"accept", "reject"}:
            raise ValueError(f"a user answers accept or reject, not {', '.join(sorted(strange))}")
        return people.answer_popup(
            self._world,
            self._pusher,
            self._world.app(body["app_id"]),
            openid=body["openid"],
            answers=answers,
            silent=bool(body.get("silent", False)),
        )

    def _turn_off(self, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        template_ids = body["template_ids"] if "template_ids" in body else [body["template_id"]]
        app = self._world.app(body["app_id"])
        people.turn_off(self._world, self._pusher, app, openid=body["openid"], template_ids=template_ids)
        return {}

    def _main_switch(self, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        app = self._world.app(body["app_id"])
        people.set_main_switch(self._world, app, openid=body["openid"], on=bool(body["on"]))
        return {}

    def _login_code(self, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        app = self._world.app(body["app_id"])
        return {"code": people.make_login_code(self._world, app, openid=body["openid"])}

    def _reset(self, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        self._world.reset()
        self._pusher.reset()
        return {}

    def _counts(self, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        wanted = (query.get("app_id", ""), query.get("template_id", ""))
        with self._world.lock:
            tallies = [tally for key, tally in self._world.tallies.items() if _matches(wanted, key)]
            refused: Counter[int] = sum((tally.refused for tally in tallies), Counter())
            faults: Counter[str] = sum((tally.faults for tally in tallies), Counter())
            calls = dict(self._world.calls)
        return {
            "requests": sum(tally.requests for tally in tallies),
            "counted": sum(tally.counted for tally in tallies),
            "doubles": sum(tally.doubles for tally in tallies),
            "escaped_bodies": sum(tally.escaped_bodies for tally in tallies),
            "refused_by_code": {str(code): refused[code] for code in sorted(refused)},
            "faults": dict(sorted(faults.items())),
            "pushes": asdict(self._pusher.counts(wanted[0])),
            "calls": dict(sorted(calls.items())),
        }

    def _ledger(self, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        app = self._world.app(query["app_id"])
        with self._world.lock:
            rows = [
                [openid, template_id, stock.granted, stock.counted, stock.balance]
                for openid, user in app.users.items()
                for template_id, stock in user.stocks.items()
            ]
        return {"columns": ["openid", "template_id", "granted", "counted", "balance"], "rows": rows}

    def _inbox(self, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        app, openid = self._world.app(query["app_id"]), query["openid"]
        with self._world.lock:
            messages = list(app.users[openid].inbox) if openid in app.users else []
        return {"messages": [_shown(message) for message in messages]}

    def _deliveries(self, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        app = self._world.app(query["app_id"])
        with self._world.lock:
            messages = list(app.deliveries)
        rows = [[each.openid, each.template_id, str(each.msgid), each.page] for each in messages]
        return {"columns": ["openid", "template_id", "msgid", "page"], "rows": rows}

    def _quiet(self, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        return {"quiet": self._pusher.wait_until_quiet(timeout_s=float(query.get("timeout_s", "0")))}

    def _health(self, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        with self._world.lock:
            users = {app.app_id: len(app.users) for app in self._world.apps.values()}
            return {"ok": True, "users": users, "in_flight": len(self._world.in_flight), "clock": self._world.now()}


def _app(row: Mapping[str, Any]) -> App:
    """Read an app's configuration; raise ``ValueError`` or ``BadEnvelope`` for one that could not work."""
    mode, text_format = row.get("mode", PLAINTEXT), row.get("format", JSON)
    if mode not in MODES or text_format not in FORMATS:
        raise ValueError(f"mode is one of {', '.join(MODES)}, format one of {', '.join(FORMATS)}")
    if mode != PLAINTEXT:
        encrypt(b"", keys=CallbackKeys(row["app_id"], row["callback_token"], row["aes_key"]))
    templates = [Template.from_row(each) for each in row.get("templates", [])]
    pages = row.get("pages")
    return App(
        app_id=row["app_id"],
        secret=row["secret"],
        original_id=row.get("original_id", "gh_000000000000"),
        callback_url=row.get("callback_url", ""),
        callback_token=row.get("callback_token", ""),
        aes_key=row.get("aes_key", ""),
        mode=mode,
        format=text_format,
        pages=None if pages is None else frozenset(pages),
        templates={template.template_id: template for template in templates},
        name=row.get("name", ""),
        api_url=_base_url(row.get("api_url", "")),
        scenes=tuple(Scene(each["code"], each.get("name", each["code"])) for each in row.get("scenes", [])),
    )


def _base_url(given: str) -> str:
    """Return the platform's address without a slash at its end; raise ``ValueError`` for what is no HTTP address."""
    parts = urlsplit(given)
    if given and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment):
        raise ValueError(f"api_url is an address like http://127.0.0.1:8000, not {given!r}")
    return given.rstrip("/")


def _configure(old: App, new: App) -> None:
    """Give an app another configuration; its users, books and messages stay."""
    for name in _CONFIGURED:
        setattr(old, name, getattr(new, name))


def _matches(wanted: tuple[str, str], key: tuple[str, str]) -> bool:
    return all(part in {"", each} for part, each in zip(wanted, key, strict=True))


def _shown(message: Message) -> dict[str, Any]:
    return {**asdict(message), "msgid": str(message.msgid)}


def _error(status: int, code: str, sentence: str) -> Reply:
    return Reply(encoded({"error": {"code": code, "message": sentence}}), status=status)
