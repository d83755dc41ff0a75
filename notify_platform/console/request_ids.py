"""Every request has a name that stands in all it logs, and in its answer."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse

from notify_platform.core import logs

HEADER: Final = "X-Request-Id"
# A proxy's is 32 hexadecimal digits, or a UUID.
SANE: Final = re.compile(r"[0-9A-Za-z._-]{8,64}")
OWN_BYTES: Final = 8


def request_ids(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[..., HttpResponse]:
    """Return the middleware: it takes the name a proxy or a back end has given, when it is a sane one, or makes one."""

    def answer(request: HttpRequest) -> HttpResponse:
        name = _given(request) or secrets.token_hex(OWN_BYTES)
        request.META[logs.REQUEST_ID] = name
        with logs.about(request_id=name):
            response = get_response(request)
        response.headers[HEADER] = name
        return response

    return answer


def _given(request: HttpRequest) -> str:
    """Return the name that came with the request; nothing for one that could be a person's."""
    name = request.META.get(logs.REQUEST_ID, "")
    return name if SANE.fullmatch(name) and "…" not in logs.redact(name) else ""
