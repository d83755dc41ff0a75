"""Signing in."""

from __future__ import annotations

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from notify_platform.api import examples, login, sessions
from notify_platform.api.authentication import ApiKeyAuthentication
from notify_platform.api.base import ApiView, answer, check_scope, mini_program_of
from notify_platform.api.models import ApiKey
from notify_platform.api.shapes import SessionReply, SessionRequest
from notify_platform.core.errors import Refused
from templates_app.models import MiniProgram


class SessionsView(ApiView):
    """A person's session: from the phone by wx.login, or from the merchant's back end by its key."""

    # No sessions here: a phone whose old one has expired may well send it along.
    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [AllowAny]
    throttle_scope = "sessions"

    def check_throttles(self, request: Request) -> None:
        """A back end signs in everybody, so it is not counted like a phone."""
        if isinstance(request.auth, ApiKey):
            self.throttle_scope = "sessions_by_key"
        super().check_throttles(request)

    @extend_schema(
        operation_id="begin_session",
        tags=["sessions"],
        summary="Sign a person in",
        request=SessionRequest,
        responses=examples.replies(
            SessionReply, 401, 403, 413, 415, 429, 503, wrong="app_id", refusals=["unknown_app", "login_refused"]
        ),
        examples=examples.SESSIONS,
    )
    def post(self, request: Request) -> Response:
        """A phone sends the ``code`` of wx.login, good once within five minutes; a merchant's own back end sends the
        ``openid`` and its API key, which needs the scope ``sessions``. WeChat's session key is not kept.
        """
        given = self.given(SessionRequest)
        if given.get("openid") is not None:
            mini_program = self._of_the_key(app_id=given["app_id"])
            return answer(SessionReply, sessions.begin(mini_program, openid=given["openid"]))
        mini_program = _mini_program(given["app_id"])
        openid = login.openid_of(mini_program, code=given["code"])
        return answer(SessionReply, sessions.begin(mini_program, openid=openid))

    def _of_the_key(self, *, app_id: str) -> MiniProgram:
        key = self.request.auth
        if not isinstance(key, ApiKey):
            raise NotAuthenticated(_("Signing in by openid needs an API key."))
        mini_program = mini_program_of(key, app_id=app_id)
        check_scope(key, scope=ApiKey.Scope.SESSIONS)
        return mini_program


def _mini_program(app_id: str) -> MiniProgram:
    mini_program = MiniProgram.objects.filter(app_id=app_id).first()
    if mini_program is None:
        sentence = _("There is no such mini-program here.")
        raise Refused(sentence, code="unknown_app", fields={"app_id": sentence})
    return mini_program
