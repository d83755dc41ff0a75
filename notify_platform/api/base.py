"""What every endpoint does alike: language, limits, reading, answering."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import AllowAny
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from notify_platform.api.authentication import (
    ApiKeyAuthentication,
    IsBackEnd,
    IsSubscriber,
    SessionAuthentication,
)
from notify_platform.api.models import ApiKey
from notify_platform.api.reading import JsonParser
from notify_platform.api.throttles import CallerThrottle
from subscriptions.models import Subscriber
from templates_app.models import MiniProgram


class _OneAnswer(DefaultContentNegotiation):
    """What an address answers does not depend on the caller's Accept."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Return the one there is."""
        only = next(iter(renderers))
        return only, only.media_type or ""


class ApiView(APIView):
    """One address of the API. It has a ``throttle_scope``, one input and one output shape."""

    http_method_names = ["get", "head", "post", "put", "patch", "delete"]
    content_negotiation_class = _OneAnswer
    parser_classes = [JsonParser]
    throttle_classes = [CallerThrottle]
    max_body_bytes = 16 * 1024
    throttle_scope: str

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer in the language the caller asks for; nobody in between keeps a copy."""
        # A mini-program cannot say PATCH (WeChat's docs, wx.request: method), so it says that it means it.
        if request.method == "POST" and request.headers.get("X-HTTP-Method-Override", "").upper() == "PATCH":
            request.method = "PATCH"
        with translation.override(translation.get_language_from_request(request)):
            response = super().dispatch(request, *args, **kwargs)
            response.headers.setdefault("Content-Language", translation.get_language() or "")
        patch_vary_headers(response, ["Accept-Language"])
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    def given(self, shape: type[Serializer[Any]]) -> dict[str, Any]:
        """Return the input in this shape; a GET has it in the address. Raises DRF's ``ValidationError``."""
        source = self.request.query_params.dict() if self.request.method in {"GET", "HEAD"} else self.request.data
        read = shape(data=source)
        read.is_valid(raise_exception=True)
        values: dict[str, Any] = read.validated_data
        return values


class PhoneView(ApiView):
    """An address for people with a session."""

    authentication_classes = [SessionAuthentication]
    permission_classes = [IsSubscriber]

    @property
    def subscriber(self) -> Subscriber:
        """The person, who is never named by the body."""
        person = self.request.auth
        if not isinstance(person, Subscriber):
            raise TypeError("asked for the person before the session was checked")
        return person


class KeyView(ApiView):
    """An address for back ends; ``scope`` is what their key must be good for."""

    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [IsBackEnd]
    scope: ApiKey.Scope

    @property
    def key(self) -> ApiKey:
        """The key that was shown."""
        key = self.request.auth
        if not isinstance(key, ApiKey):
            raise TypeError("asked for the key before it was checked")
        return key

    def check_permissions(self, request: Request) -> None:
        """Refuse a key for other purposes before the body is read."""
        super().check_permissions(request)
        check_scope(self.key, scope=self.scope)

    def mini_program(self, app_id: str) -> MiniProgram:
        """Return the mini-program the caller names. Raises ``PermissionDenied`` when it is not the key's."""
        return mini_program_of(self.key, app_id=app_id)


@extend_schema(exclude=True)
class NowhereView(ApiView):
    """Every address under ``/api/`` that is none of ours."""

    permission_classes = [AllowAny]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Answer before anything else is looked at."""
        self.headers.pop("Allow", None)
        raise NotFound


def check_scope(key: ApiKey, *, scope: ApiKey.Scope) -> None:
    """Raise ``PermissionDenied`` when a key may not be used for this."""
    if scope not in key.scopes:
        raise PermissionDenied(_("This API key may not %(deed)s.") % {"deed": scope.label}, "wrong_scope")


def mini_program_of(key: ApiKey, *, app_id: str) -> MiniProgram:
    """Return the mini-program of a key. Raises ``PermissionDenied`` when the caller names another one."""
    if key.mini_program.app_id != app_id:
        raise PermissionDenied(_("This API key is of another mini-program."), "wrong_app")
    return key.mini_program


def answer(shape: type[Serializer[Any]], content: Any, *, status: int = status.HTTP_200_OK) -> Response:
    """Answer with some content in this shape."""
    return Response(shape(content).data, status=status)
