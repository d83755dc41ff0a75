"""From WeChat's list of templates to ours: fetch, and hand the rows to ``templates_app.catalog``."""

from __future__ import annotations

from datetime import datetime

from django.utils.translation import gettext

from notify_platform.core import queue
from notify_platform.core.clock import database_now
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob
from notify_platform.wechat.gateway import Gateway, WeChatRefused, gateway_for
from notify_platform.wechat.outcomes import Word
from notify_platform.wechat.tokens import current_token
from templates_app import catalog
from templates_app.catalog import SnapshotReport
from templates_app.models import MiniProgram, TemplateChange


def sync(mini_program: MiniProgram, *, gateway: Gateway | None = None) -> SnapshotReport:
    """Make our templates of a mini-program what WeChat's list says they are; nothing is ever deleted.

    ``gateway``: one that is open already; without it one is opened and closed here. Raises ``WeChatRefused`` and
    ``WeChatUnreachable``, and then nothing was changed. Must not be called inside a transaction.
    """
    opened = gateway or gateway_for(mini_program, concurrency=1)
    asked_at = database_now()
    try:
        rows = _rows(mini_program, gateway=opened)
    finally:
        if gateway is None:
            opened.close()
    report = catalog.apply_snapshot(mini_program, rows=rows, at=asked_at)
    _pause_what_broke(mini_program, since=asked_at)
    if report.added:
        # WeChat may have told of people's answers to them before we knew them.
        queue.ring("unmatched", mini_program.pk)
    return report


def _pause_what_broke(mini_program: MiniProgram, *, since: datetime) -> None:
    """Jobs written for keywords that are others now wait until somebody has looked at their words."""
    broken = TemplateChange.objects.filter(template__mini_program=mini_program, at=since, breaks_words=True)
    for change in broken.select_related("template"):
        detail = gettext("WeChat has changed the keywords of “%(title)s”. Compare them, then write the job anew.")
        jobs.pause_all(
            reason=SendJob.PauseReason.TEMPLATE,
            detail=detail % {"title": change.template.title},
            template=change.template,
        )


def _rows(mini_program: MiniProgram, *, gateway: Gateway) -> list[dict[str, object]]:
    """Return WeChat's rows; a refused token is fetched afresh once, as anybody may have replaced it."""
    token = current_token(mini_program, gateway=gateway)
    try:
        return gateway.templates(token=token)
    except WeChatRefused as refusal:
        if refusal.word is not Word.TOKEN:
            raise
    return gateway.templates(token=current_token(mini_program, gateway=gateway, stale=token))
