"""WeChat's side door: verify, store or pass on, answer. Nothing is handled inside the request."""

from __future__ import annotations

import logging
import re
from http import HTTPStatus
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from notify_platform.callbacks import inbox, pushes
from notify_platform.core import logs
from notify_platform.core.prepared import Prepared
from notify_platform.wechat import relay
from templates_app.models import MiniProgram

logger = logging.getLogger(__name__)
# As ``MiniProgram.app_id`` demands. The address may hold anything, and PostgreSQL takes no NUL even to look for.
APP_ID = re.compile(r"wx[0-9a-zA-Z]{16}")

# Asked of every push.
_RECEIVER: Final = Prepared(
    lambda app_id: MiniProgram.objects.filter(app_id=app_id).only("app_id", "forward_url", *pushes.KEYS)
)


@method_decorator(csrf_exempt, name="dispatch")
class CallbackView(View):
    """GET checks the address, POST takes a push. The signature is the permission; a bad one gets 403 and no reason."""

    http_method_names = ["get", "post"]

    def get(self, request: HttpRequest, app_id: str) -> HttpResponse:
        """Answer WeChat's address check with its echo."""
        mini_program = _mini_program(app_id)
        try:
            echo = pushes.verify_address(_query(request), keys=pushes.keyrings(mini_program) if mini_program else [])
        except pushes.BadPush:
            return _forbidden(app_id)
        return HttpResponse(echo, content_type="text/plain")

    def post(self, request: HttpRequest, app_id: str) -> HttpResponse:
        """Take a push: store what is ours, pass on what is somebody else's, keep the rest as seen.

        Whatever is stored, already or now, is answered ``success``, or WeChat would repeat it.
        """
        if int(request.META.get("CONTENT_LENGTH") or 0) > pushes.MAX_BODY_BYTES:
            return HttpResponse(status=413)
        if pushes.is_probe(request.body):
            return _success()
        mini_program = _mini_program(app_id)
        if mini_program is None:
            return _forbidden(app_id)
        logs.add(mini_program=mini_program.pk)
        try:
            document = pushes.read(request.body, query=_query(request), keys=pushes.keyrings(mini_program))
            if mini_program.forward_url and not inbox.owns(document):
                return _pass_on(mini_program, request)
            inbox.store(mini_program, document=document)
        except pushes.BadPush:
            return _forbidden(app_id)
        return _success()


def _query(request: HttpRequest) -> dict[str, str]:
    return {key: str(value) for key, value in request.GET.items()}


def _mini_program(app_id: str) -> MiniProgram | None:
    """Return the mini-program with no more secrets than a signature may need: each costs a decryption."""
    if not APP_ID.fullmatch(app_id):
        return None
    return next(iter(_RECEIVER.objects(app_id=app_id)), None)


def _pass_on(mini_program: MiniProgram, request: HttpRequest) -> HttpResponse:
    """Let the receiver of other events answer. It keeps them; here they would only be somebody's conversations.

    When it cannot be asked, the answer is an error and no ``success``: WeChat then sends the push twice more, which is
    all the patience there is, because nobody else has stored it.
    """
    if relay.MARK in request.headers:
        logger.warning("pushes for %s are passed on in a circle: look at its forward address", mini_program.app_id)
        return HttpResponse(status=HTTPStatus.LOOP_DETECTED)
    try:
        answer = relay.pass_on(
            mini_program.forward_url,
            query=request.META.get("QUERY_STRING", ""),
            body=request.body,
            content_type=request.META.get("CONTENT_TYPE", ""),
        )
    except relay.NotPassedOn as failure:
        logger.warning("a push for %s could not be passed on: %s", mini_program.app_id, failure)
        return HttpResponse(status=HTTPStatus.BAD_GATEWAY)
    return HttpResponse(answer.body, status=answer.status, content_type=answer.content_type or "text/plain")


def _success() -> HttpResponse:
    return HttpResponse("success", content_type="text/plain")


def _forbidden(app_id: str) -> HttpResponse:
    # The app id comes from the address and may be anything; the body is not trusted at all.
    logger.warning("a push for %.24r was refused", app_id)
    return HttpResponse(status=403)
