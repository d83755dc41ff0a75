"""The access token of each mini-program: one row, one writer, one request at a time across all processes.

WeChat's docs, getStableAccessToken: asking again returns the same token while it is valid, and WeChat renews it itself
five minutes before it ends. So the row is a cache, and never a reason to force a refresh, which would kill the token
the other workers are using.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from django.db import transaction
from django.db.models import Q

from notify_platform.core.clock import database_now
from notify_platform.wechat.gateway import Gateway, WeChatRefused, WeChatUnreachable
from notify_platform.wechat.outcomes import Word
from templates_app.models import AccessToken, MiniProgram

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")

# A request begun now has to reach WeChat before the token ends.
MARGIN: Final = timedelta(seconds=60)
# Longer than the gateway's timeouts (3 + 10 s), or a slow answer would be asked for twice.
LEASE: Final = timedelta(seconds=15)
PATIENCE_SECONDS: Final = 20.0
FIRST_WAIT_SECONDS: Final = 0.02
LONGEST_WAIT_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class _Ask:
    """One caller's question: which token it was refused, and which fetch it had seen when it asked."""

    stale: str
    seen: datetime | None

    def is_answered_by(self, row: AccessToken, *, now: datetime) -> bool:
        """Return whether the row's token will do.

        A fetch finished since the question counts even if WeChat gave the refused token again: WeChat has just said
        that this is the one, and asking once more would bring the same.
        """
        if not row.token or row.expires_at is None or row.expires_at - MARGIN <= now:
            return False
        return row.token != self.stale or row.fetched_at != self.seen


def current_token(mini_program: MiniProgram, *, gateway: Gateway, stale: str = "") -> str:
    """Return a valid access token, from the row or from WeChat.

    ``stale``: the token WeChat has just refused; it is fetched anew (never forced) unless somebody already did. Of all
    processes one asks WeChat, the others wait for the row. Raises ``WeChatRefused`` and ``WeChatUnreachable``; the next
    caller then tries again. Must not be called inside a transaction.
    """
    row, _created = AccessToken.objects.get_or_create(mini_program=mini_program)
    ask = _Ask(stale=stale, seen=row.fetched_at)
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    wait = FIRST_WAIT_SECONDS
    while True:
        now = database_now()
        if ask.is_answered_by(row, now=now):
            return row.token
        holder = _take_lease(row, now=now)
        if holder is not None:
            return _fetch(row, holder=holder, asked_at=now, gateway=gateway)
        if time.monotonic() > give_up_at:
            raise WeChatUnreachable("another process has been asking for the access token for too long")
        time.sleep(wait)
        wait = min(wait * 2, LONGEST_WAIT_SECONDS)
        row.refresh_from_db()


def ask(mini_program: MiniProgram, *, gateway: Gateway, call: Callable[[str], Answer]) -> Answer:
    """Call WeChat with the access token; a refused one is fetched afresh once, as anybody may have replaced it.

    Raises ``WeChatRefused`` and ``WeChatUnreachable``. Must not be called inside a transaction.
    """
    token = current_token(mini_program, gateway=gateway)
    try:
        return call(token)
    except WeChatRefused as refusal:
        if refusal.word is not Word.TOKEN:
            raise
    return call(current_token(mini_program, gateway=gateway, stale=token))


def stored_token(mini_program: MiniProgram) -> str:
    """Return the newest token there is, valid or not; one query."""
    row = AccessToken.objects.filter(mini_program=mini_program).first()
    return row.token if row else ""


def _take_lease(row: AccessToken, *, now: datetime) -> uuid.UUID | None:
    """Become the one who asks WeChat, unless somebody is or the row has changed since it was read."""
    holder = uuid.uuid4()
    free = Q(lease_until__isnull=True) | Q(lease_until__lte=now)
    # durable: inside an open transaction nobody else would see the lease, and it would stay open during the request.
    with transaction.atomic(durable=True):
        taken = AccessToken.objects.filter(free, pk=row.pk, fetched_at=row.fetched_at).update(
            lease_until=now + LEASE, lease_holder=holder
        )
    return holder if taken else None


def _fetch(row: AccessToken, *, holder: uuid.UUID, asked_at: datetime, gateway: Gateway) -> str:
    """Ask WeChat and keep the answer. A lease that lapsed meanwhile loses the row; the token is good all the same."""
    leased = AccessToken.objects.filter(pk=row.pk, lease_holder=holder)
    try:
        # Read now: a worker may hold the mini-program from before an operator corrected the secret.
        secret = MiniProgram.objects.values_list("app_secret", flat=True).get(pk=row.mini_program_id)
        reply = gateway.stable_token(secret=secret)
    except BaseException:
        leased.update(lease_until=None, lease_holder=None)
        raise
    leased.update(
        token=reply.token,
        # Counted from before the request: WeChat's count began somewhere during it.
        expires_at=asked_at + timedelta(seconds=reply.expires_in),
        fetched_at=database_now(),
        lease_until=None,
        lease_holder=None,
    )
    logger.info("access token of %s fetched, valid for %d s", gateway.app_id, reply.expires_in)
    return reply.token
