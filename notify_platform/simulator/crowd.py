"""People with phones: they log in, are asked, answer and open cards, over the public API alone."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import Any, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

import requests

from notify_platform.simulator.control import SimulatorControl

Result = TypeVar("Result")

TIMEOUT_S = 30.0
PHONES = 8


class ApiError(Exception):
    """The platform refused a call of a phone; the text is its own sentence."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What asking one person came to, in templates: ``planned`` by the platform, ``answered``, and ``agreed`` to."""

    planned: int
    answered: int
    agreed: int


class Phone:
    """One person's mini-program, talking to the platform's public API at ``api_url``."""

    def __init__(self, control: SimulatorControl, *, api_url: str, app_id: str, openid: str) -> None:
        self.control = control
        self.base = f"{api_url.rstrip('/')}/api/v1"
        self.app_id = app_id
        self.openid = openid
        self.session = requests.Session()
        self.session.trust_env = False  # the platform of a simulation is on this machine

    def __enter__(self) -> Self:
        self.log_in()
        return self

    def __exit__(self, *_error: object) -> None:
        self.session.close()
        self.control.close()

    def log_in(self) -> None:
        """Get a session for a fresh wx.login code."""
        code = self.control.login_code(self.app_id, self.openid)
        reply = self._call("POST", "sessions", {"app_id": self.app_id, "code": code})
        self.session.headers["Authorization"] = f"Bearer {reply['token']}"

    def be_asked(self, scene: str, *, answer: Callable[[str], str]) -> Asked:
        """Tap a scene: get its plan, answer WeChat's popup, report what WeChat said."""
        plan = self._call("GET", f"prompts?scene={scene}")
        wanted = {template_id: answer(template_id) for template_id in plan["template_ids"]}
        if not wanted:
            return Asked(0, 0, 0)
        asked_at = time.monotonic()
        said = self.control.popup(self.app_id, self.openid, wanted)
        report = {
            "prompt_id": plan["prompt_id"],
            "results": {key: value for key, value in said.items() if key in wanted},
            "client_request_id": uuid.uuid4().hex,
            "answered_ago_ms": round((time.monotonic() - asked_at) * 1000),
        }
        if "errCode" in said:
            report["err_code"] = said["errCode"]
        self._call("POST", "authorizations", report)
        words = list(report["results"].values())
        return Asked(len(wanted), len(words), sum(word.startswith("accept") for word in words))

    def open_card(self, page: str) -> bool:
        """Tap a card that opens ``page``; returns whether it carried a key to report."""
        keys = parse_qs(urlsplit(page).query).get("nk")
        if keys:
            self._call("POST", "opens", {"nk": keys[0]})
        return bool(keys)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self.session.request(method, f"{self.base}/{path}", json=body, timeout=TIMEOUT_S)
        document: dict[str, Any] = answer.json() if answer.content else {}
        if not answer.ok:
            raise ApiError(f"{answer.status_code}: {document.get('error', {}).get('message', '')}")
        return document


class Crowd:
    """Many people at once."""

    def __init__(self, *, simulator_url: str, api_url: str, app_id: str, seed: int = 0) -> None:
        self.simulator_url = simulator_url
        self.api_url = api_url
        self.app_id = app_id
        self.seed = seed

    def be_asked(self, openids: Sequence[str], *, scene: str, willing: float) -> Asked:
        """Let everybody tap a scene; ``willing`` (0..1) of the answers are yes. Returns the sums."""

        def ask(openid: str, random: Random) -> Asked:
            with self._phone(openid) as phone:
                return phone.be_asked(scene, answer=lambda _id: "accept" if random.random() < willing else "reject")

        results = self._all(openids, ask)
        return Asked(
            planned=sum(one.planned for one in results),
            answered=sum(one.answered for one in results),
            agreed=sum(one.agreed for one in results),
        )

    def open_cards(self, cards: Sequence[tuple[str, str]]) -> int:
        """Let people tap cards, given as (openid, page); returns how many opens were reported."""
        pages = dict(cards)

        def tap(openid: str, _random: Random) -> bool:
            with self._phone(openid) as phone:
                return phone.open_card(pages[openid])

        return sum(self._all(list(pages), tap))

    def _phone(self, openid: str) -> Phone:
        return Phone(SimulatorControl(self.simulator_url), api_url=self.api_url, app_id=self.app_id, openid=openid)

    def _all(self, openids: Sequence[str], do: Callable[[str, Random], Result]) -> list[Result]:
        randoms = [Random(f"{self.seed}:{openid}") for openid in openids]  # noqa: S311 - believable, not secret
        with ThreadPoolExecutor(PHONES) as phones:
            return list(phones.map(do, openids, randoms))
