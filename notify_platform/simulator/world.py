"""The simulator's state: mini-programs, their users, what each user agreed to and received. All in memory.

One lock guards everything; verbs that say so expect it to be held.
"""

from __future__ import annotations

import re
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from threading import RLock
from typing import Any

from notify_platform.simulator.calls import Call, WeChatError
from notify_platform.simulator.faults import Faults
from notify_platform.simulator.settings import Settings
from notify_platform.simulator.tokens import TokenDesk

# Above 2^53, where a program that reads JSON numbers as floats loses digits.
FIRST_MSGID = 3_000_000_000_000_000_001
REMEMBERED_RIDS = 10_000

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_]+\d+)\.DATA\s*\}\}")


class Kind(StrEnum):
    """How a template's consent works. Service cards are listed, and can be neither asked for nor sent."""

    ONE_TIME = "one_time"
    LONG_TERM = "long_term"
    CAPPED_LONG_TERM = "capped_long_term"
    SERVICE_CARD = "service_card"


ONE_TIME_TYPE = 2
LONG_TERM_TYPE = 3


@dataclass(slots=True)
class Template:
    """A private template. ``row`` is what gettemplate shows; ``fields`` its keys in the order of the card."""

    row: dict[str, Any]
    kind: Kind
    fields: tuple[str, ...]
    choices: dict[str, frozenset[str]]

    @classmethod
    def from_row(cls, given: Mapping[str, Any]) -> Template:
        """Read a row of gettemplate, with an optional ``kind`` beside WeChat's own members."""
        row = dict(given)
        default = Kind.LONG_TERM if row["type"] == LONG_TERM_TYPE else Kind.ONE_TIME
        kind = Kind(row.pop("kind", default))
        choices = {
            each["keywordCode"].removesuffix(".DATA"): frozenset(each["enumValueList"])
            for each in row.get("keywordEnumValueList", [])
        }
        return cls(row, kind, tuple(_PLACEHOLDER.findall(row["content"])), choices)

    @property
    def template_id(self) -> str:
        """WeChat's ``priTmplId``."""
        return str(self.row["priTmplId"])

    @property
    def is_switch(self) -> bool:
        """Whether consent is a switch rather than a stock."""
        return self.kind in {Kind.LONG_TERM, Kind.CAPPED_LONG_TERM}


@dataclass(slots=True)
class Stock:
    """One user's consent to one template. ``balance`` of a long-term template is 1 while it is on."""

    granted: int = 0
    counted: int = 0
    balance: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """A message WeChat counted."""

    openid: str
    template_id: str
    data: dict[str, str]
    page: str
    msgid: int
    at: float
    miniprogram_state: str
    lang: str


@dataclass(slots=True)
class User:
    """One openid: consent per template, the main switch, when the mini-program was last open, messages received.

    ``kept``: template id → accept or reject, where WeChat does not ask again ("always keep", or turned off).
    """

    stocks: dict[str, Stock] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    main_switch: bool = True
    visited_at: float = 0.0
    inbox: list[Message] = field(default_factory=list)

    def stock(self, template_id: str) -> Stock:
        """Return the consent for a template, empty at first."""
        return self.stocks.setdefault(template_id, Stock())


@dataclass(slots=True)
class Tally:
    """Sums of sends for one template: ``counted`` messages are the truth; ``doubles`` are alike to an earlier one."""

    requests: int = 0
    counted: int = 0
    doubles: int = 0
    escaped_bodies: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Scene:
    """A moment of the mini-program at which it may ask for consent: the platform's code for it, and a name to tap."""

    code: str
    name: str


@dataclass(slots=True)
class App:
    """A mini-program as WeChat's console knows it. ``pages``: the published ones, or None when any page will do.

    ``name``, ``api_url`` (the platform's base URL) and ``scenes`` are for the phone page, which plays the mini-program.
    """

    app_id: str
    secret: str
    original_id: str
    callback_url: str
    callback_token: str
    aes_key: str
    mode: str
    format: str
    pages: frozenset[str] | None
    templates: dict[str, Template]
    name: str = ""
    api_url: str = ""
    scenes: tuple[Scene, ...] = ()
    users: dict[str, User] = field(default_factory=dict)
    deliveries: list[Message] = field(default_factory=list)
    fingerprints: set[int] = field(default_factory=set)
    used_today: Counter[str] = field(default_factory=Counter)
    quota_clears: list[float] = field(default_factory=list)


@dataclass(slots=True)
class LoginCode:
    """A code of wx.login: five minutes, once."""

    app_id: str
    openid: str
    expires_at: float
    used: bool = False


class World:
    """Everything the simulator knows."""

    def __init__(self, *, seed: int, settings: Settings) -> None:
        self.seed = seed
        self.lock = RLock()
        self.settings = settings
        self._first_settings = settings
        self.reset()

    def reset(self) -> None:
        """Forget everything and go back to the settings of the start."""
        with self.lock:
            self.settings = self._first_settings
            self.rng = Random(self.seed)  # noqa: S311 - repeatable on purpose
            self.apps: dict[str, App] = {}
            self.tokens = TokenDesk(self.rng)
            self.faults = Faults()
            self.codes: dict[str, LoginCode] = {}
            self.in_flight: set[tuple[str, str]] = set()
            self.calls: Counter[str] = Counter()
            self.tallies: dict[tuple[str, str], Tally] = {}
            self.rids: OrderedDict[str, dict[str, Any]] = OrderedDict()
            self._last_msgid = FIRST_MSGID

    def now(self) -> float:
        """Return the simulator's clock, Unix seconds."""
        return time.time() + self.settings.clock_shift_s

    def app(self, app_id: str) -> App:
        """Return an app; raise ``ValueError`` for the control API when there is none."""
        if app_id not in self.apps:
            raise ValueError(f"there is no app {app_id}; POST /_sim/setup makes one")
        return self.apps[app_id]

    def authorised_app(self, call: Call) -> App:
        """Return the app of the call's token and count the call against the day's quota (lock held).

        Raises 41001, 40014, 40001 or 42001 for the token and 45009 when the quota is used up.
        """
        app = self.apps[self.tokens.owner(call.query.get("access_token", ""), now=self.now())]
        if app.used_today[call.path] >= self.settings.daily_limit:
            raise WeChatError(45009)
        app.used_today[call.path] += 1
        return app

    def tally(self, app_id: str, template_id: str) -> Tally:
        """Return the sums of one template of one app, both empty when the call named none (lock held)."""
        return self.tallies.setdefault((app_id, template_id), Tally())

    def count_message(self, app: App, **members: Any) -> Message:
        """Keep a message: in the user's inbox, in the app's deliveries, in the sums; take its unit (lock held)."""
        self._last_msgid += self.rng.randrange(1, 1_000_000)
        message = Message(msgid=self._last_msgid, at=self.now(), **members)
        user = app.users[message.openid]
        stock = user.stock(message.template_id)
        stock.counted += 1
        if not app.templates[message.template_id].is_switch:
            stock.balance -= 1
        user.inbox.append(message)
        app.deliveries.append(message)
        tally = self.tally(app.app_id, message.template_id)
        tally.counted += 1
        fingerprint = hash((message.openid, message.template_id, message.page, *message.data.items()))
        if fingerprint in app.fingerprints:
            tally.doubles += 1
        app.fingerprints.add(fingerprint)
        return message

    def remember_rid(self, rid: str, record: dict[str, Any]) -> None:
        """Keep what rid/get tells about a refused call; the oldest are forgotten (lock held)."""
        self.rids[rid] = record
        if len(self.rids) > REMEMBERED_RIDS:
            self.rids.popitem(last=False)
