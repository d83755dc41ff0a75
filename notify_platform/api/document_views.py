"""The contract, for programs and for people; both work without another host."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import translation
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request

from notify_platform.api.base import ApiView

# The page draws itself with scripts and styles of ours and tries calls out on this host; nothing more.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; form-action 'none'; base-uri 'none'"
)


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the contract names a phone's session."""

    target_class = "notify_platform.api.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Return the header in the words of OpenAPI."""
        return {"type": "http", "scheme": "bearer", "description": "The token of POST sessions, valid for 7 days."}


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the contract names a back end's key."""

    target_class = "notify_platform.api.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Return the header in the words of OpenAPI."""
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "The word Api-Key, a blank, and the key as it was issued.",
        }


@lru_cache(maxsize=1)
def contract() -> bytes:
    """Return the contract as YAML, the same in every language; ``docs/api/schema.yml`` is its committed copy."""
    with translation.override("en"):
        schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
        content: bytes = OpenApiYamlRenderer().render(schema, renderer_context={})  # type: ignore[no-untyped-call]
        return content


@extend_schema(exclude=True)
class SchemaView(ApiView):
    """The contract as OpenAPI 3.1."""

    permission_classes = [AllowAny]
    throttle_scope = "documents"

    def get(self, request: Request) -> HttpResponse:
        """Return it."""
        content_type = "application/vnd.oai.openapi; charset=utf-8"
        return HttpResponse(contract(), content_type=content_type, headers={"Content-Language": "en"})


@extend_schema(exclude=True)
class DocsView(ApiView):
    """The contract to read and to try out."""

    permission_classes = [AllowAny]
    throttle_scope = "documents"

    def get(self, request: Request) -> HttpResponse:
        """Return the page."""
        page = render(request, "api/docs.html")
        page.headers["Content-Language"] = "en"
        page.headers["Content-Security-Policy"] = POLICY
        return page
