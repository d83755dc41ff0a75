"""From the code of wx.login to an openid, by asking WeChat."""

from __future__ import annotations

import logging
import threading
from typing import Final

from django.conf import settings
from django.utils.translation import gettext as _

from notify_platform.api.errors import Unavailable
from notify_platform.core.errors import Refused
from notify_platform.wechat.gateway import Gateway, WeChatRefused, WeChatUnreachable, gateway_for
from notify_platform.wechat.outcomes import Word
from templates_app.models import MiniProgram

logger = logging.getLogger(__name__)

TRY_AGAIN_SECONDS: Final = 5.0


def openid_of(mini_program: MiniProgram, *, code: str) -> str:
    """Return who called wx.login (WeChat's docs: code2Session; the session key is dropped).

    Raises ``Refused`` when WeChat refuses the code or the person, ``Unavailable`` when a later try may do better. Must
    not be called inside a transaction.
    """
    try:
        return _gateways.of(mini_program).login(secret=mini_program.app_secret, code=code).openid
    except WeChatRefused as refusal:
        logger.warning("login at mini-program %s: %s (%s)", mini_program.pk, refusal.word, refusal.code)
        outcome = refusal.outcome
        # Codes of the login itself have no word of their own; every other word is the app's trouble, not the phone's.
        if outcome.word is Word.OTHER:
            raise Refused(f"{outcome.meaning} {outcome.next_step}", code="login_refused") from refusal
        wait = outcome.retry_after(retries_used=0)
        raise Unavailable(_not_now(), wait=wait or TRY_AGAIN_SECONDS) from refusal
    except WeChatUnreachable as failure:
        logger.warning("login at mini-program %s: %s", mini_program.pk, failure)
        raise Unavailable(_not_now(), wait=TRY_AGAIN_SECONDS) from failure


def _not_now() -> str:
    return _("Signing in with WeChat does not work at the moment. Try again a little later.")


class _Gateways:
    """One gateway for each mini-program and process, so that connections to WeChat are kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[int, tuple[tuple[str, str, str], Gateway]] = {}

    def of(self, mini_program: MiniProgram) -> Gateway:
        """Return the gateway; a new one when the mini-program's app id or proxy was changed."""
        way = (mini_program.app_id, mini_program.proxy_url, settings.WECHAT_API_BASE_URL)
        with self._lock:
            kept = self._kept.get(mini_program.pk)
            if kept is not None and kept[0] == way:
                return kept[1]
            if kept is not None:
                kept[1].close()
            gateway = gateway_for(mini_program)
            self._kept[mini_program.pk] = (way, gateway)
            return gateway


_gateways = _Gateways()
