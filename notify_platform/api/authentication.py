"""Who calls: a person by the session of the phone, or a back end by its key. Both stand in ``request.auth``.

The desk's users never come in here, so ``request.user`` is always anonymous and no cookie is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.views import View
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from notify_platform.api import keys, sessions
from notify_platform.api.models import ApiKey
from notify_platform.core import logs
from notify_platform.core.errors import Refused
from subscriptions.models import Subscriber

Caller = TypeVar("Caller", Subscriber, ApiKey)


class SessionAuthentication(BaseAuthentication):
    """``Authorization: Bearer <token>`` of a phone."""

    scheme: ClassVar[str] = "Bearer"

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Subscriber] | None:
        """Return the person, None when the header is not there or of another kind."""
        return _caller(request, scheme=self.scheme, check=sessions.check)

    def authenticate_header(self, request: Request) -> str:
        """Return what a refusal asks for."""
        return self.scheme


class ApiKeyAuthentication(BaseAuthentication):
    """``Authorization: Api-Key <prefix>.<secret>`` of a back end."""

    scheme: ClassVar[str] = "Api-Key"

    def authenticate(self, request: Request) -> tuple[AnonymousUser, ApiKey] | None:
        """Return the key, None when the header is not there or of another kind."""
        return _caller(request, scheme=self.scheme, check=keys.check)

    def authenticate_header(self, request: Request) -> str:
        """Return what a refusal asks for."""
        return self.scheme


class IsSubscriber(BasePermission):
    """Only a person with a session."""

    def has_permission(self, request: Request, view: View) -> bool:
        """Whether a session was shown."""
        return isinstance(request.auth, Subscriber)


class IsBackEnd(BasePermission):
    """Only a back end with a key."""

    def has_permission(self, request: Request, view: View) -> bool:
        """Whether a key was shown; what it may be used for is the view's to ask."""
        return isinstance(request.auth, ApiKey)


def _caller(request: Request, *, scheme: str, check: Callable[[str], Caller]) -> tuple[AnonymousUser, Caller] | None:
    given, _space, credential = request.headers.get("Authorization", "").partition(" ")
    if given.lower() != scheme.lower():
        return None
    try:
        caller = check(credential.strip())
    except Refused as refused:
        raise AuthenticationFailed(refused.message, refused.code) from refused
    logs.add(mini_program=caller.mini_program_id)
    return AnonymousUser(), caller
