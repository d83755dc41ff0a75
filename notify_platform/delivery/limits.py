"""WeChat's daily limit (45009): what it paused goes on by itself.

As soon as WeChat says that there is quota again, and at midnight in Beijing whatever it says, or if it says nothing.
Should that be too early, the first message is refused and the jobs wait on.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from notify_platform.core import queue
from notify_platform.core.clock import beijing_midnight, database_now
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob
from notify_platform.wechat import tokens
from notify_platform.wechat.gateway import SEND, WeChatRefused, WeChatUnreachable, gateway_for
from templates_app.models import MiniProgram

logger = logging.getLogger(__name__)

# WeChat has just said that nothing is left: neither the first question nor the next comes sooner.
ASK_EVERY: Final = timedelta(minutes=10)


def to_ask_for() -> list[int]:
    """Return the mini-programs, by number, whose jobs have waited long enough to ask WeChat."""
    waiting = SendJob.objects.filter(jobs.LIMITED, paused_at__lte=Now() - ASK_EVERY)
    return list(waiting.order_by("mini_program").values_list("mini_program", flat=True).distinct())


def whose_turn() -> list[int]:
    """Return those of them to ask for now: each is named once in ten minutes, whoever wants to know."""
    return [pk for pk in to_ask_for() if queue.take_turn(f"quota/{pk}", every=ASK_EVERY)]


def ask_in_turn() -> bool:
    """Ask WeChat for each whose turn it is; returns whether jobs went on. Must not be called inside a transaction."""
    return sum(ask(mini_program) for mini_program in MiniProgram.objects.filter(pk__in=whose_turn())) > 0


def ask(mini_program: MiniProgram) -> int:
    """Ask WeChat whether there is quota again; if so the jobs that wait for it go on. Returns how many.

    Must not be called inside a transaction.
    """
    waiting = SendJob.objects.filter(jobs.LIMITED, mini_program=mini_program)
    left = _quota_left(mini_program) if waiting.exists() else 0
    if left <= 0:
        return 0
    why = _("WeChat has quota again: %(number)s messages.") % {"number": f"{left:,}"}
    return jobs.resume_limited(Q(mini_program=mini_program), why=why)


def begin_day() -> int:
    """Let the jobs go on that have waited since the day before. Returns how many."""
    since_yesterday = Q(paused_at__lt=beijing_midnight(database_now()))
    if not SendJob.objects.filter(jobs.LIMITED, since_yesterday).exists():
        return 0
    return jobs.resume_limited(since_yesterday, why=_("WeChat's day is over."))


def _quota_left(mini_program: MiniProgram) -> int:
    gateway = gateway_for(mini_program, concurrency=1)
    try:
        return tokens.ask(mini_program, gateway=gateway, call=lambda token: gateway.quota_left(token=token, path=SEND))
    except (WeChatRefused, WeChatUnreachable) as error:
        logger.info("WeChat does not say what quota %s has left: %s", mini_program.app_id, error)
        return 0
    finally:
        gateway.close()
