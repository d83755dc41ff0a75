"""The client of the simulator's control API, for the demo and for tests; usable from any process of the machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any, NamedTuple, Self

import requests

TIMEOUT_S = 60.0
USERS_PER_CALL = 10_000


class LedgerRow(NamedTuple):
    """One user's consent to one template; a long-term template's balance is 1 while it is on."""

    openid: str
    template_id: str
    granted: int
    counted: int
    balance: int


class DeliveryRow(NamedTuple):
    """One counted message."""

    openid: str
    template_id: str
    msgid: str
    page: str


@dataclass(frozen=True, slots=True)
class Pushes:
    """Pushes of one app or all: waiting, answered with 200, given up, dropped on order; ``tries`` are requests made."""

    queued: int
    ok: int
    failed: int
    dropped: int
    tries: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What WeChat's side saw. ``counted`` messages are the truth every book is compared with.

    ``requests``: sends that arrived; ``refused_by_code``: sends by errcode; ``doubles``: counted messages with the same
    user, template, page and data as an earlier one; ``escaped_bodies``: sends written with ``\\uXXXX``; ``faults``:
    ordered faults that hit a send; ``calls``: arrivals by path, of all apps.
    """

    requests: int
    counted: int
    doubles: int
    escaped_bodies: int
    refused_by_code: dict[int, int]
    faults: dict[str, int]
    pushes: Pushes
    calls: dict[str, int]


class ControlError(Exception):
    """The simulator refused a control call; the text says why."""


class SimulatorControl:
    """Steers a running simulator. One instance belongs to one thread; every method may raise ``ControlError``."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False  # the simulator is on this machine, never behind a proxy

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def setup(
        self, *, apps: Sequence[Mapping[str, Any]] = (), settings: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Make apps, or configure those that exist anew (their users and books stay), and change settings.

        An app: ``{"app_id", "secret"}`` and, where wanted,

        - ``original_id``; ``templates``: rows of gettemplate, each with an optional ``kind``; ``pages``: the published
          ones (absent: any page will do);
        - ``callback_url``, ``callback_token``, ``aes_key``, ``mode``, ``format``: where and how events are pushed;
        - for the phone page at ``/phone``: ``name``; ``api_url``: the platform's base URL, like
          ``http://127.0.0.1:8000``, without which the mini-program cannot start there; ``scenes``:
          ``[{"code", "name"?}]``, the platform's codes and what is written on them.
        """
        return self._post("setup", {"apps": list(apps), "settings": dict(settings or {})})

    def add_users(self, app_id: str, users: Iterable[Mapping[str, Any]]) -> int:
        """Add users in bulk, or consent to those who exist; return how many rows were taken.

        Row: ``{"openid", "balances"?: {template_id: n}, "long_term"?: [template_id], "main_switch"?: bool}``.
        """
        rows = iter(users)
        total = 0
        while batch := [dict(row) for row in islice(rows, USERS_PER_CALL)]:
            total += int(self._post("users", {"app_id": app_id, "users": batch})["users"])
        return total

    def set_faults(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """Replace all fault rules; an empty list ends the trouble. Members of a rule: see ``faults.FaultRule``."""
        self._post("faults", {"rules": [dict(rule) for rule in rules]})

    def change_settings(self, **changes: Any) -> dict[str, Any]:
        """Change settings by name (see ``settings.Settings``); return all of them. Without changes: only ask."""
        return self._post("settings", changes)

    def popup(self, app_id: str, openid: str, results: Mapping[str, str], *, silent: bool = False) -> dict[str, Any]:
        """Let a user answer the popup; return what ``wx.requestSubscribeMessage`` gives to the mini-program."""
        body = {"app_id": app_id, "openid": openid, "results": dict(results), "silent": silent}
        return self._post("popup", body)

    def turn_off(self, app_id: str, openid: str, *template_ids: str) -> None:
        """Let a user turn templates off in the settings of the mini-program; its phone page asks no more for them."""
        self._post("turn_off", {"app_id": app_id, "openid": openid, "template_ids": list(template_ids)})

    def set_main_switch(self, app_id: str, openid: str, *, on: bool) -> None:
        """Let a user turn all messages of the mini-program off or on."""
        self._post("main_switch", {"app_id": app_id, "openid": openid, "on": on})

    def login_code(self, app_id: str, openid: str) -> str:
        """Return a code of ``wx.login`` for this user; one nobody added comes into being."""
        return str(self._post("login_code", {"app_id": app_id, "openid": openid})["code"])

    def counts(self, *, app_id: str = "", template_id: str = "") -> Counts:
        """Return the sums of one app, one template, or everything."""
        found = self._get("counts", app_id=app_id, template_id=template_id)
        found["refused_by_code"] = {int(code): number for code, number in found["refused_by_code"].items()}
        found["pushes"] = Pushes(**found["pushes"])
        return Counts(**found)

    def ledger(self, app_id: str) -> list[LedgerRow]:
        """Return every user's consent to every template."""
        return [LedgerRow(*row) for row in self._get("ledger", app_id=app_id)["rows"]]

    def deliveries(self, app_id: str) -> list[DeliveryRow]:
        """Return every counted message, oldest first."""
        return [DeliveryRow(*row) for row in self._get("deliveries", app_id=app_id)["rows"]]

    def inbox(self, app_id: str, openid: str) -> list[dict[str, Any]]:
        """Return what a user received: openid, template_id, data, page, msgid, at, miniprogram_state, lang."""
        messages: list[dict[str, Any]] = self._get("inbox", app_id=app_id, openid=openid)["messages"]
        return messages

    def wait_for_pushes(self, *, timeout_s: float = 10.0) -> bool:
        """Wait until no push waits or is under way; return whether that came true in time."""
        return bool(self._get("quiet", takes_s=timeout_s, timeout_s=str(timeout_s))["quiet"])

    def reset(self) -> None:
        """Make the simulator forget everything, and go back to the settings it was started with."""
        self._post("reset", {})

    def health(self) -> dict[str, Any]:
        """Return how many users each app has, how many sends are in flight, and the simulator's clock."""
        return self._get("health")

    def _post(self, verb: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return _result(self._session.post(f"{self.url}/_sim/{verb}", json=body, timeout=TIMEOUT_S))

    def _get(self, verb: str, *, takes_s: float = 0.0, **query: str) -> dict[str, Any]:
        """Ask; the answer may take so many seconds longer than others."""
        return _result(self._session.get(f"{self.url}/_sim/{verb}", params=query, timeout=TIMEOUT_S + takes_s))


def _result(answer: requests.Response) -> dict[str, Any]:
    document: dict[str, Any] = answer.json()
    if not answer.ok:
        raise ControlError(document["error"]["message"])
    return document
