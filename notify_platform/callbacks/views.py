"""WeChat's side door: verify, store, answer. Nothing is handled inside the request."""

from __future__ import annotations

import logging
import re

from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from notify_platform.callbacks import inbox, pushes
from notify_platform.wechat.signing import CallbackKeys
from templates_app.models import MiniProgram

logger = logging.getLogger(__name__)
# As ``MiniProgram.app_id`` demands. The address may hold anything, and PostgreSQL takes no NUL even to look for.
APP_ID = re.compile(r"wx[0-9a-zA-Z]{16}")


@method_decorator(csrf_exempt, name="dispatch")
class CallbackView(View):
    """GET checks the address, POST takes a push. The signature is the permission; a bad one gets 403 and no reason."""

    http_method_names = ["get", "post"]

    def get(self, request: HttpRequest, app_id: str) -> HttpResponse:
        """Answer WeChat's address check with its echo."""
        try:
            echo = pushes.verify_address(_query(request), keys=_keys(app_id))
        except pushes.BadPush:
            return _forbidden(app_id)
        return HttpResponse(echo, content_type="text/plain")

    def post(self, request: HttpRequest, app_id: str) -> HttpResponse:
        """Store a push and answer ``success``; so does a push we have already or do not own, or WeChat repeats it."""
        if int(request.META.get("CONTENT_LENGTH") or 0) > pushes.MAX_BODY_BYTES:
            return HttpResponse(status=413)
        try:
            document = pushes.read(request.body, query=_query(request), keys=_keys(app_id))
            inbox.store(MiniProgram.objects.get(app_id=app_id), document=document)
        except pushes.BadPush:
            return _forbidden(app_id)
        return HttpResponse("success", content_type="text/plain")


def _query(request: HttpRequest) -> dict[str, str]:
    return {key: str(value) for key, value in request.GET.items()}


def _keys(app_id: str) -> list[CallbackKeys]:
    mini_program = MiniProgram.objects.filter(app_id=app_id).first() if APP_ID.fullmatch(app_id) else None
    return pushes.keyrings(mini_program) if mini_program else []


def _forbidden(app_id: str) -> HttpResponse:
    # The app id comes from the address and may be anything; the body is not trusted at all.
    logger.warning("a push for %.24r was refused", app_id)
    return HttpResponse(status=403)
