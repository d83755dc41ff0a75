"""What WeChat has banned: a template, or the whole mini-program. The only writer of ``MiniProgram.banned_at``.

A ban stops the asking and the running jobs, and tells a person; consents are kept. It is lifted when WeChat shows
otherwise (its own popup event says that somebody could agree) or when an operator knows better.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import Max, QuerySet
from django.db.models.functions import Now
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from notify_platform.alerts import alerts
from notify_platform.alerts.models import Alert
from notify_platform.core.models import audit
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob
from subscriptions.grants import ledger
from subscriptions.grants.pairing import BAN
from subscriptions.models import Answer, PromptReport, Subscriber, Subscription
from subscriptions.prompts.reporting import APP_BANNED, Reported
from templates_app import catalog
from templates_app.models import MessageTemplate, MiniProgram

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

WITNESSES_WITHIN: Final = timedelta(days=7)


def heed(subscriber: Subscriber, *, reported: Reported) -> None:
    """Believe what a phone says of a ban as soon as enough different people's phones have said so.

    What follows is written for the colleagues at the desk, whatever language the phone speaks.
    """
    with translation.override(settings.LANGUAGE_CODE):
        _heed(subscriber, reported=reported)


def _heed(subscriber: Subscriber, *, reported: Reported) -> None:
    for template in reported.banned:
        if template.state != MessageTemplate.State.BANNED and _is_enough(_saying_so(template), subscriber):
            ban_template(template, detail=_("Phones report that WeChat does not show the popup for this template."))
    if reported.app_banned:
        mini_program = subscriber.mini_program
        failed = PromptReport.objects.filter(
            subscriber__mini_program=mini_program,
            err_code=APP_BANNED,
            answered_at__gt=_lately(mini_program, kind=Alert.Kind.APP_BANNED),
        )
        if mini_program.banned_at is None and _is_enough(failed.values("subscriber").distinct(), subscriber):
            ban_app(mini_program, detail=_("Phones report that this mini-program may not ask for subscriptions."))


def _saying_so(template: MessageTemplate) -> QuerySet[Any, Any]:
    """Return the people whose popup, or whose settings in WeChat, said lately that the template is banned."""
    lately = _lately(template.mini_program, kind=Alert.Kind.TEMPLATE_BANNED, subject=template.wechat_id)
    answered = Answer.objects.filter(template=template, answer=BAN, answered_at__gt=lately)
    kept = Subscription.objects.filter(template=template, always_keep=BAN, changed_at__gt=lately)
    return answered.values("subscriber").union(kept.values("subscriber"))


def _lately(mini_program: MiniProgram, *, kind: Alert.Kind, subject: str = "") -> datetime:
    """Return since when a witness counts: what was said before the last ban was lifted is settled."""
    told = Alert.objects.filter(mini_program=mini_program, kind=kind, subject=subject)
    settled: datetime | None = told.aggregate(at=Max("settled_at"))["at"]
    earliest = timezone.now() - WITNESSES_WITHIN
    return max(settled, earliest) if settled else earliest


def _is_enough(witnesses: QuerySet[Any, Any], subscriber: Subscriber) -> bool:
    return witnesses.count() >= subscriber.mini_program.ban_witnesses


def ban_template(template: MessageTemplate, *, detail: str) -> None:
    """Stop asking and sending with a template; ``detail`` says how we know, and stands at the paused jobs."""
    with transaction.atomic():
        catalog.mark_banned(template)
        jobs.pause_all(reason=SendJob.PauseReason.TEMPLATE, detail=detail, template=template)
        alerts.raise_alert(
            template.mini_program,
            kind=Alert.Kind.TEMPLATE_BANNED,
            subject=template.wechat_id,
            detail=f"{template.title}: {detail} " + _("Read the notice in WeChat's console; use another template."),
        )


def ban_app(mini_program: MiniProgram, *, detail: str) -> None:
    """Stop asking and sending for a whole mini-program; ``detail`` as above."""
    with transaction.atomic():
        MiniProgram.objects.filter(pk=mini_program.pk, banned_at__isnull=True).update(banned_at=Now())
        jobs.pause_all(reason=SendJob.PauseReason.ACCOUNT, detail=detail, mini_program=mini_program)
        alerts.raise_alert(
            mini_program,
            kind=Alert.Kind.APP_BANNED,
            detail=f"{detail} " + _("Read the notice in WeChat's console; lift the ban here when it is over there."),
        )


def lift_template(template: MessageTemplate, *, by: AbstractBaseUser | None) -> bool:
    """The template may be used again; False when it was not banned. ``by``: None when WeChat itself showed it.

    Paused jobs stay paused: a person resumes them.
    """
    with transaction.atomic():
        if not _allow(template, by=by):
            return False
        ledger.lift_ban(template)
        return True


def _allow(template: MessageTemplate, *, by: AbstractBaseUser | None) -> bool:
    with transaction.atomic():
        if not catalog.mark_allowed(template):
            return False
        alerts.settle_all(template.mini_program, kind=Alert.Kind.TEMPLATE_BANNED, subject=template.wechat_id)
        audit(by, action="lift_ban", subject=f"messagetemplate {template.pk}", mini_program=template.mini_program_id)
        return True


def lift_app(mini_program: MiniProgram, *, by: AbstractBaseUser | None) -> bool:
    """The mini-program may ask and send again; False when it was not banned."""
    with transaction.atomic():
        banned = MiniProgram.objects.filter(pk=mini_program.pk, banned_at__isnull=False)
        if not banned.update(banned_at=None):
            return False
        alerts.settle_all(mini_program, kind=Alert.Kind.APP_BANNED)
        audit(by, action="lift_ban", subject=f"miniprogram {mini_program.pk}", mini_program=mini_program.pk)
        return True


def settle(alert: Alert, *, by: AbstractBaseUser | None) -> bool:
    """A person says that the trouble of an alert is over, and with it the ban it told of; False: it was over before."""
    with transaction.atomic():
        settled = alerts.settle(alert, by=by)
        if settled and alert.kind == Alert.Kind.APP_BANNED:
            lift_app(alert.mini_program, by=by)
        if settled and alert.kind == Alert.Kind.TEMPLATE_BANNED:
            for template in alert.mini_program.templates.filter(wechat_id=alert.subject):
                lift_template(template, by=by)
        return settled


def lift_what_is_shown(mini_program: MiniProgram, *, agreed: Mapping[MessageTemplate, datetime]) -> None:
    """WeChat's own event says that people could agree to these templates then: a ban of before is true no more.

    A ban heard of since stays: the event may come late. What single people's phones said goes as well, where they were
    too few to have the template banned.
    """
    if not agreed:
        return
    doubted = Subscription.objects.filter(template__in=agreed, state=Subscription.State.BANNED)
    of_people = set(doubted.values_list("template_id", flat=True).distinct())
    # Templates first and in one order, as ``heed`` bans them: two at once must not wait for each other.
    for template, shown_at in sorted(agreed.items(), key=lambda one: one[0].pk):
        banned = template.state == MessageTemplate.State.BANNED
        if banned and not alerts.heard_since(
            mini_program, kind=Alert.Kind.TEMPLATE_BANNED, subject=template.wechat_id, at=shown_at
        ):
            _allow(template, by=None)
        if template.pk in of_people:
            ledger.lift_ban(template, before=shown_at)
    shown_at = max(agreed.values())
    if mini_program.banned_at is None or mini_program.banned_at >= shown_at:
        return
    if not alerts.heard_since(mini_program, kind=Alert.Kind.APP_BANNED, at=shown_at):
        lift_app(mini_program, by=None)
