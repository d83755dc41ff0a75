"""Two questions of whoever runs the process: is it alive, and can it do its work?"""

from __future__ import annotations

from datetime import timedelta

from django.db import DatabaseError
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from notify_platform.core.models import Bell, WorkerNode
from templates_app.models import AccessToken

WORKER_SILENT_AFTER = timedelta(seconds=15)
BELL_LATE_AFTER = timedelta(seconds=60)


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return HttpResponse("ok", content_type="text/plain")


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Database, queue, worker and token, each with a word; 503 when one of the first three is not well."""
    try:
        checks = _checks()
    except DatabaseError:
        checks = {"database": "no answer"}
    ready = all(checks.get(name) == "ok" for name in ("database", "queue", "worker"))
    return JsonResponse({"ready": ready, **checks}, status=200 if ready else 503)


def _checks() -> dict[str, str]:
    worker = WorkerNode.objects.filter(beat_at__gt=Now() - WORKER_SILENT_AFTER).exists()
    late = Bell.objects.filter(rung_at__lt=Now() - BELL_LATE_AFTER).exists()
    token = AccessToken.objects.filter(expires_at__gt=Now()).exists()
    return {
        "database": "ok",
        "queue": "a task has waited for more than a minute" if late else "ok",
        "worker": "ok" if worker else "no worker has beaten for 15 s",
        "token": "ok" if token else "none is valid; the next message fetches one",
    }
