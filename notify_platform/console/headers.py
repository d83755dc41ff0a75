"""What a browser may do with our pages, said with every answer (Content Security Policy).

The desk runs its own scripts and styles and asks nobody else; ``unsafe-eval`` is the theme's, which writes expressions
into attributes (Alpine), ``unsafe-inline`` is for styles alone. Everything else answers programs and may do nothing;
a page that needs more says so itself.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

CSP = "Content-Security-Policy"
DESK = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; form-action 'self'; base-uri 'self'; object-src 'none'"
)
STRICT = "default-src 'none'; frame-ancestors 'none'; form-action 'none'; base-uri 'none'"


def content_security_policy(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[..., HttpResponse]:
    """Return the middleware."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        is_desk = request.path.startswith(reverse("admin:index"))
        response.headers.setdefault(CSP, DESK if is_desk else STRICT)
        return response

    return answer
