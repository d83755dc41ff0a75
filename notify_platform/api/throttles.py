"""How often anybody may call; the rates stand in the settings, one for each scope."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.request import Request
from rest_framework.throttling import ScopedRateThrottle

from notify_platform.api.models import ApiKey
from subscriptions.models import Subscriber

if TYPE_CHECKING:
    from rest_framework.views import APIView


class CallerThrottle(ScopedRateThrottle):
    """Counts a person by person, a back end by key, anybody else by address.

    Refused credentials are not counted: behind one address of a mobile network are thousands of phones, and those whose
    sessions have just expired must hear so to sign in again.
    """

    def get_cache_key(self, request: Request, view: APIView) -> str:
        """Return under which name the calls are counted."""
        return self.cache_format % {"scope": self.scope, "ident": self._caller(request)}

    def _caller(self, request: Request) -> str:
        if isinstance(request.auth, Subscriber):
            return f"person-{request.auth.pk}"
        if isinstance(request.auth, ApiKey):
            return f"key-{request.auth.pk}"
        return f"address-{self.get_ident(request)}"
