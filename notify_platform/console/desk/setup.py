"""What a new mini-program still lacks, step by step, each with the way to do it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from notify_platform.callbacks.models import CallbackEvent
from notify_platform.insights.overview import Overview
from notify_platform.jobs.models import SendJob
from subscriptions.models import Scene
from templates_app.models import AccessToken, MessageTemplate, MiniProgram

PROGRAM = "templates_app.change_miniprogram"
WRITE = "jobs.add_sendjob"


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the list: what, whether it is done, what is missing in a sentence, and where it is done."""

    name: str
    is_done: bool
    wrong: str
    url: str
    way: str
    needs: str


def of_programs(request: HttpRequest, seen: Mapping[int, Overview]) -> Mapping[int, Sequence[Step]]:
    """Return the list of every mini-program that is not set up yet: one query for all of them."""
    found = {}
    for facts in _facts(seen.keys()):
        # What was sent had been agreed to. Asking the grants themselves could read all of another mini-program's.
        one = seen[facts["pk"]]
        facts["agreed"] = facts["sent"] or bool(one.stock.available or one.week.agreed or one.week_before.agreed)
        steps = [_token(facts), _callback(facts), _templates(facts), _consent(facts), _sending(facts)]
        if not all(step.is_done for step in steps):
            found[facts["pk"]] = [_for_colleague(request, step) for step in steps]
    return found


def _facts(ids: Collection[int]) -> Sequence[dict[str, Any]]:
    """Ask for what is set and what has happened; each is a probe of an index."""
    own = {"mini_program": OuterRef("pk")}
    # In the order of an index, so that the database looks there and not through the pushes of the others.
    pushed = CallbackEvent.objects.filter(**own).order_by("identity").values("pk")[:1]
    live = MessageTemplate.objects.filter(
        **own, state=MessageTemplate.State.LIVE, kind__in=MessageTemplate.SENDABLE_KINDS
    )
    rows = MiniProgram.objects.filter(pk__in=ids).annotate(
        fetched=Exists(AccessToken.objects.filter(**own, fetched_at__isnull=False)),
        called=Subquery(pushed),
        listed=Exists(live),
        asks=Exists(Scene.objects.filter(**own, is_active=True, asks__isnull=False)),
        sent=Exists(SendJob.objects.filter(**own, started_at__isnull=False)),
        has_secret=~Exists(MiniProgram.objects.filter(pk=OuterRef("pk"), app_secret="")),
        has_keys=~Exists(MiniProgram.objects.filter(pk=OuterRef("pk"), callback_token="")),
    )
    columns = ("pk", "app_id", "fetched", "called", "listed", "asks", "sent")
    return list(rows.values(*columns, "has_secret", "has_keys"))


def _program_url(facts: Mapping[str, Any]) -> str:
    return reverse("admin:templates_app_miniprogram_change", args=[facts["pk"]])


def _token(facts: Mapping[str, Any]) -> Step:
    wrong = _("WeChat has not given a token yet. It is fetched when templates are synced or a message leaves.")
    if not facts["has_secret"]:
        wrong = _("The app secret is missing. Copy it from WeChat's console.")
    return Step(_("Access token"), facts["fetched"], wrong, _program_url(facts), _("Check app id and secret"), PROGRAM)


def _callback(facts: Mapping[str, Any]) -> Step:
    address = f"{settings.PUBLIC_URL}/wechat/callback/{facts['app_id']}"
    wrong = _("WeChat has pushed nothing yet. Enter this address in its console: %(url)s") % {"url": address}
    if not facts["has_keys"]:
        wrong = _("The callback token is missing. Make one up and enter it here and in WeChat's console.")
    return Step(
        _("Callback"), facts["called"] is not None, wrong, _program_url(facts), _("Set the callback up"), PROGRAM
    )


def _templates(facts: Mapping[str, Any]) -> Step:
    wrong = _("No template is in use. Choose some in WeChat's console, then sync them.")
    url = f"{reverse('admin:templates_app_messagetemplate_changelist')}?mini_program={facts['pk']}"
    return Step(
        _("Templates"), facts["listed"], wrong, url, _("Go to the templates"), "templates_app.view_messagetemplate"
    )


def _consent(facts: Mapping[str, Any]) -> Step:
    wrong = _("Nobody has agreed yet. Put the scene's lines of code into the mini-program, then tap once yourself.")
    if not facts["asks"]:
        wrong = _("No scene asks for consent. Make one and bind the templates to it.")
    url = reverse("admin:subscriptions_scene_changelist")
    return Step(_("First consent"), facts["agreed"], wrong, url, _("Go to the scenes"), "subscriptions.view_scene")


def _sending(facts: Mapping[str, Any]) -> Step:
    wrong = _("Nothing has been sent yet. Write a job and have it approved.")
    return Step(_("First send"), facts["sent"], wrong, reverse("admin:jobs_sendjob_add"), _("Write a job"), WRITE)


def _for_colleague(request: HttpRequest, step: Step) -> Step:
    """Leave out the way of whoever may not go it."""
    return step if request.user.has_perm(step.needs) else replace(step, url="", way="")
