"""Access tokens: two isolated kinds, as WeChat hands them out.

Source: WeChat's docs, "get the access token" and "get the stable access token".
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from random import Random

from notify_platform.simulator.calls import WeChatError

FORCED_PER_DAY = 20
FORCED_APART_S = 30
DAY_S = 86_400
# The overlap of old and new, and the head start of a renewal: 5 minutes of the usual 7200 s. A shorter life, set for a
# test, keeps the proportion.
OVERLAP = 300 / 7200

_SHAPE = re.compile(r"\d+_[A-Za-z0-9_-]{60,512}")


@dataclass(slots=True)
class AccessToken:
    """One token. ``replaced``: a newer one took its place, so after its end it is "not latest" rather than expired."""

    app_id: str
    value: str
    expires_at: float
    replaced: bool = False


class TokenDesk:
    """Issues and checks the tokens of all apps. Not locked: the world's lock is held by the callers."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._by_value: dict[str, AccessToken] = {}
        self._plain: dict[str, AccessToken] = {}
        self._stable: dict[str, AccessToken] = {}
        self._forced: dict[str, list[float]] = {}

    def plain(self, app_id: str, *, now: float, lifetime_s: float) -> AccessToken:
        """Return a new token; the app's previous one lives on for the overlap at most."""
        old = self._plain.get(app_id)
        if old is not None:
            self._replace(old, ends_at=now + lifetime_s * OVERLAP)
        token = self._plain[app_id] = self._issue(app_id, expires_at=now + lifetime_s)
        return token

    def stable(self, app_id: str, *, now: float, lifetime_s: float, force: bool) -> AccessToken:
        """Return the app's stable token: the same one while it is valid, a new one near its end or when forced.

        A forced refresh less than 30 s after the last one refreshes nothing; the 21st of a day raises 45009.
        """
        old = self._stable.get(app_id)
        if old is not None and now < old.expires_at:
            if force and self._may_force(app_id, now=now):
                self._replace(old, ends_at=now)
            elif force or old.expires_at - now > lifetime_s * OVERLAP:
                return old
        token = self._stable[app_id] = self._issue(app_id, expires_at=now + lifetime_s)
        return token

    def owner(self, value: str, *, now: float) -> str:
        """Return the app id of a valid token; raise 41001 (none), 40014 (no token), 40001 (not latest), 42001 (old)."""
        if not value:
            raise WeChatError(41001)
        if not _SHAPE.fullmatch(value):
            raise WeChatError(40014)
        token = self._by_value.get(value)
        if token is None or (token.replaced and now >= token.expires_at):
            raise WeChatError(40001)
        if now >= token.expires_at:
            raise WeChatError(42001)
        return token.app_id

    def issued_to(self, value: str) -> str:
        """Return the app id a token was made for, valid or not; empty for a stranger's."""
        token = self._by_value.get(value)
        return token.app_id if token else ""

    def _may_force(self, app_id: str, *, now: float) -> bool:
        forced = [moment for moment in self._forced.get(app_id, []) if moment > now - DAY_S]
        if forced and now - forced[-1] < FORCED_APART_S:
            return False
        if len(forced) >= FORCED_PER_DAY:
            raise WeChatError(45009)
        self._forced[app_id] = [*forced, now]
        return True

    def _issue(self, app_id: str, *, expires_at: float) -> AccessToken:
        body = base64.urlsafe_b64encode(self._rng.randbytes(96)).decode("ascii")
        token = AccessToken(app_id, f"{50 + len(self._by_value)}_{body}", expires_at)
        self._by_value[token.value] = token
        return token

    @staticmethod
    def _replace(old: AccessToken, *, ends_at: float) -> None:
        old.expires_at = min(old.expires_at, ends_at)
        old.replaced = True
