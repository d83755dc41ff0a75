"""``/metrics`` for Prometheus: what a person on call needs, read from the database when it is asked.

No process keeps a count of its own, so it does not matter which of them answers, and a restart loses nothing. Without
``METRICS_TOKEN`` the page does not exist: whoever has not asked for it need not know that it could.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator

from django.conf import settings
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from notify_platform.console import figures


class _Figures(Collector):
    """What the library asks for everything there is to tell."""

    def collect(self) -> Iterator[Metric]:
        """Ask the database."""
        return figures.everything()


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Every figure as text; 401 without the token, 503 when the database does not answer."""
    if not settings.METRICS_TOKEN:
        raise Http404
    if not _is_known(request.headers.get("Authorization", "")):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    try:
        text = generate_latest(_Figures())
    except DatabaseError:
        return HttpResponse("the database does not answer\n", status=503, content_type="text/plain")
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)


def _is_known(header: str) -> bool:
    scheme, _space, token = header.partition(" ")
    # Compared as bytes: a text with other than ASCII letters is refused with an exception.
    return scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), settings.METRICS_TOKEN.encode())
