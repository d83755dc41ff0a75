"""WeChat's library of public templates: look, take one into the account, delete one from it.

The gateway is the only one that talks; every call opens it, asks once more with a fresh token where WeChat calls for
one, and closes it. After each change the account is fetched afresh, so what we show is what WeChat lists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from django.db import transaction
from django.utils.translation import gettext as _

from notify_platform.core.errors import Refused
from notify_platform.core.models import audit
from notify_platform.jobs.models import SendJob, Trigger
from notify_platform.mirror.sync import sync
from notify_platform.wechat import tokens
from notify_platform.wechat.gateway import (
    FIRST_SERVICE_CARD,
    Category,
    Gateway,
    PublicKeyword,
    PublicTitles,
    WeChatRefused,
    WeChatUnreachable,
    gateway_for,
)
from subscriptions.models import Scene
from templates_app import catalog
from templates_app.catalog import SnapshotReport
from templates_app.models import MessageTemplate, MiniProgram, TemplateChange

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

# WeChat's docs, addMessageTemplate.
FEWEST_KEYWORDS, MOST_KEYWORDS, LONGEST_SCENE = 2, 5, 15
# A job in one of these states still needs its template.
IN_NEED = (SendJob.State.SUBMITTED, SendJob.State.SCHEDULED, SendJob.State.RUNNING, SendJob.State.PAUSED)

State = MessageTemplate.State
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Users:
    """What uses a template, by name."""

    jobs: Sequence[SendJob]
    triggers: Sequence[Trigger]
    scenes: Sequence[Scene]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What reading WeChat's list has changed here: titles; ``unread``: rows that were left alone, and why."""

    added: Sequence[str]
    changed: Sequence[str]
    back: Sequence[str]
    gone: Sequence[str]
    unread: Sequence[str]


# --- looking -------------------------------------------------------------------------------------------------------


def categories(mini_program: MiniProgram) -> list[Category]:
    """Return the categories of the account. Raises ``Refused``."""
    return _ask(mini_program, lambda gateway, token: gateway.categories(token=token))


def titles(mini_program: MiniProgram, *, category: int, start: int) -> PublicTitles:
    """Return a page of a category's public templates. Raises ``Refused``."""
    return _ask(mini_program, lambda door, token: door.public_titles(token=token, category=category, start=start))


def keywords(mini_program: MiniProgram, *, tid: int) -> list[PublicKeyword]:
    """Return the keywords of a public template. Raises ``Refused``."""
    return _ask(mini_program, lambda gateway, token: gateway.public_keywords(token=token, tid=tid))


def users_of(template: MessageTemplate) -> Users:
    """Return what would stand still without the template."""
    return Users(
        jobs=list(SendJob.objects.filter(template=template, state__in=IN_NEED).order_by("pk")),
        triggers=list(Trigger.objects.filter(template=template, is_active=True).order_by("name", "pk")),
        scenes=list(Scene.objects.filter(asks__template=template).order_by("name", "pk")),
    )


def fetch(mini_program: MiniProgram, *, by: AbstractBaseUser | None) -> Fetched:
    """Make our templates what WeChat lists, and say by name what is different. Raises ``Refused``.

    Must not be called inside a transaction.
    """
    ours = MessageTemplate.objects.filter(mini_program=mini_program)
    before = dict(ours.values_list("pk", "state"))
    changes = TemplateChange.objects.filter(template__mini_program=mini_program)
    last = changes.order_by("-pk").values_list("pk", flat=True).first() or 0
    report = _sync(mini_program)
    rows = list(ours.order_by("title", "pk"))
    changed = set(changes.filter(pk__gt=last).values_list("template", flat=True))
    audit(by, action="sync_templates", subject=f"miniprogram {mini_program.pk}", mini_program=mini_program.pk)
    return Fetched(
        added=[row.title for row in rows if row.pk not in before],
        changed=[row.title for row in rows if row.pk in changed],
        back=[row.title for row in rows if before.get(row.pk) == State.MISSING and row.state == State.LIVE],
        gone=[row.title for row in rows if before.get(row.pk) == State.LIVE and row.state == State.MISSING],
        unread=[f"{row.wechat_id} {row.reason}" for row in report.skipped],
    )


# --- changing the account ------------------------------------------------------------------------------------------


def add(
    mini_program: MiniProgram, *, tid: int, kids: Sequence[int], scene: str, by: AbstractBaseUser | None
) -> MessageTemplate:
    """Take a public template into the account, its keywords in this order. Raises ``Refused``.

    Must not be called inside a transaction.
    """
    scene = scene.strip()
    _check(tid=tid, kids=kids, scene=scene)
    made = _ask(mini_program, lambda gateway, token: gateway.add_template(token=token, tid=tid, kids=kids, scene=scene))
    _sync(mini_program)
    template = MessageTemplate.objects.filter(mini_program=mini_program, wechat_id=made).first()
    if template is None:
        raise Refused(_("WeChat took the template but does not list it yet. Fetch the templates in a minute."))
    with transaction.atomic():
        subject = f"messagetemplate {template.pk}"
        audit(by, action="add_template", subject=subject, mini_program=mini_program.pk, name=template.title)
    return template


def delete(template: MessageTemplate, *, by: AbstractBaseUser | None) -> None:
    """Delete a template from the account; ours stays, as gone at WeChat, with its history. Raises ``Refused``.

    Must not be called inside a transaction.
    """
    users = users_of(template)
    if users.jobs or users.triggers:
        names = "、".join(str(each) for each in (*users.jobs, *users.triggers))
        sentence = _("It is still needed by %(names)s. End them first.")
        raise Refused(sentence % {"names": names}, code="in_use")
    wanted = template.wechat_id
    _ask(template.mini_program, lambda gateway, token: gateway.delete_template(token=token, template_id=wanted))
    with transaction.atomic():
        catalog.mark_missing(template)
        subject = f"messagetemplate {template.pk}"
        audit(by, action="delete_template", subject=subject, mini_program=template.mini_program_id, name=template.title)


def _check(*, tid: int, kids: Sequence[int], scene: str) -> None:
    wrong: dict[str, str] = {}
    if tid >= FIRST_SERVICE_CARD:
        wrong["tid"] = _("A service card is never sent as a subscription message.")
    if not FEWEST_KEYWORDS <= len(kids) <= MOST_KEYWORDS or len(set(kids)) != len(kids):
        wrong["kids"] = _("Choose two to five keywords.")
    if not 1 <= len(scene) <= LONGEST_SCENE:
        wrong["scene"] = _("Say in 1 to 15 characters what the card is for.")
    if wrong:
        raise Refused(" ".join(wrong.values()), code="bad_template", fields=wrong)


def _sync(mini_program: MiniProgram) -> SnapshotReport:
    try:
        return sync(mini_program)
    except (WeChatRefused, WeChatUnreachable) as error:
        raise Refused(in_words(error), code="wechat") from error


def _ask(mini_program: MiniProgram, call: Callable[[Gateway, str], Answer]) -> Answer:
    gateway = gateway_for(mini_program, concurrency=1)
    try:
        return tokens.ask(mini_program, gateway=gateway, call=partial(call, gateway))
    except (WeChatRefused, WeChatUnreachable) as error:
        raise Refused(in_words(error), code="wechat") from error
    finally:
        gateway.close()


def in_words(error: WeChatRefused | WeChatUnreachable) -> str:
    """Return what went wrong and what to do next, for a person."""
    if isinstance(error, WeChatRefused):
        return f"{error.outcome.meaning} {error.outcome.next_step} ({error.code})"
    sentence = _("WeChat did not answer (%(reason)s). Fetch the templates before you try again: it may have worked.")
    return sentence % {"reason": error}
