"""From WeChat's list of templates to ours: fetch, and hand the rows to ``templates_app.catalog``."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext

from notify_platform.core import queue
from notify_platform.core.clock import database_now
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob
from notify_platform.wechat import tokens
from notify_platform.wechat.gateway import Gateway, gateway_for
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
        rows = tokens.ask(mini_program, gateway=opened, call=lambda token: opened.templates(token=token))
    finally:
        if gateway is None:
            opened.close()
    with transaction.atomic():
        # Together: the next sync would see no change, and nobody would stop the jobs.
        report = catalog.apply_snapshot(mini_program, rows=rows, at=asked_at)
        _stop_what_broke(mini_program, since=asked_at)
    if report.added:
        # WeChat may have told of people's answers to them before we knew them.
        queue.ring("unmatched", mini_program.pk)
    return report


def _stop_what_broke(mini_program: MiniProgram, *, since: datetime) -> None:
    """Jobs written for keywords that are others now wait until somebody has looked at their words.

    Running ones are paused. Scheduled ones, and patterns of series, become drafts again; those that wait for approval
    are looked at anyway.
    """
    broken = TemplateChange.objects.filter(template__mini_program=mini_program, at=since, breaks_words=True)
    for change in broken.select_related("template"):
        title = {"title": change.template.title}
        detail = gettext("WeChat has changed the keywords of “%(title)s”. Compare them, then write the job anew.")
        jobs.pause_all(reason=SendJob.PauseReason.TEMPLATE, detail=detail % title, template=change.template)
        reason = gettext("WeChat has changed the keywords of “%(title)s”. Compare them, then hand the job over again.")
        jobs.send_back_all(template=change.template, reason=reason % title)
