"""What a person wishes of a template beside a yes or a no: an answer WeChat repeats, or silence here.

A wish turns nothing on. Where there is no subscription to note it at, one is made that is off and undecided: the first
yes turns it on as if it had not been there, and nobody counts it as somebody who turned a template off.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from django.db import transaction
from django.utils import timezone

from subscriptions.grants.models import Subscription
from subscriptions.people import people
from subscriptions.people.models import Subscriber
from subscriptions.people.people import QuietHours
from templates_app.models import MessageTemplate, MiniProgram


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the preference centre shows; ``time_zone`` is the one in force."""

    quiet_hours: QuietHours | None
    paused_until: datetime | None
    time_zone: str
    subscriptions: list[Subscription]

    @property
    def muted(self) -> list[str]:
        """WeChat's ids of the muted templates."""
        return [each.template.wechat_id for each in self.subscriptions if each.muted_at is not None]


class Changes(TypedDict, total=False):
    """What the person changes in the preference centre; what is left out stays as it is."""

    muted: Collection[MessageTemplate]
    quiet_hours: QuietHours | None
    paused_until: datetime | None


def preferences(subscriber: Subscriber) -> Preferences:
    """Return what the person wishes, with every template they ever had to do with, by title: three queries."""
    person = Subscriber.objects.get(pk=subscriber.pk)
    zone = MiniProgram.objects.values_list("time_zone", flat=True).get(pk=person.mini_program_id)
    mine = Subscription.objects.filter(subscriber=person).select_related("template")
    hours = None
    if person.quiet_from is not None and person.quiet_until is not None:
        hours = QuietHours(person.quiet_from, person.quiet_until)
    return Preferences(
        quiet_hours=hours,
        paused_until=person.paused_until,
        time_zone=person.time_zone or zone,
        subscriptions=list(mine.order_by("template__title", "template__pk")),
    )


def change(subscriber: Subscriber, *, changes: Changes) -> None:
    """Write the changes down, all or none. Raises ``Refused`` for hours or a pause that make no sense."""
    with transaction.atomic():
        people.take_turns([subscriber.pk])
        if "quiet_hours" in changes:
            people.set_quiet_hours(subscriber, hours=changes["quiet_hours"])
        if "paused_until" in changes:
            people.pause(subscriber, until=changes["paused_until"])
        if "muted" in changes:
            _mute(subscriber, templates=changes["muted"])


def _mute(subscriber: Subscriber, *, templates: Collection[MessageTemplate]) -> None:
    """Mute exactly these; a card of a muted template is not sent, whatever consent there is."""
    muted = Subscription.objects.filter(subscriber=subscriber, muted_at__isnull=False)
    already = set(muted.values_list("template_id", flat=True))
    now = timezone.now()
    muted.exclude(template__in=templates).update(muted_at=None, changed_at=now)
    fresh = [template for template in templates if template.pk not in already]
    _note((_undecided(subscriber, template=template, muted_at=now) for template in fresh), column="muted_at")


def note_settings(subscriber: Subscriber, *, main_switch: bool, kept: Mapping[MessageTemplate, str]) -> None:
    """The phone read the person's settings in WeChat: the main switch, and each answer WeChat repeats by itself.

    A "reject" among them revokes no unit. It is the word of a client, a late one perhaps, and a revoked unit never
    comes back; when the person really turned the template off, WeChat says so itself, signed, and that revokes. A unit
    kept in error costs one message that WeChat refuses, which corrects the books.
    """
    with transaction.atomic():
        people.take_turns([subscriber.pk])
        people.note_main_switch(subscriber, on=main_switch, at=timezone.now())
        keeping = Subscription.objects.filter(subscriber=subscriber).exclude(always_keep="")
        known = dict(keeping.values_list("template_id", "always_keep"))
        if known.keys() - {template.pk for template in kept}:
            keeping.exclude(template__in=kept).update(always_keep="", changed_at=timezone.now())
        news = {template: word for template, word in kept.items() if known.get(template.pk) != word}
        rows = (_undecided(subscriber, template=template, always_keep=word) for template, word in news.items())
        _note(rows, column="always_keep")


def _undecided(
    subscriber: Subscriber, *, template: MessageTemplate, always_keep: str = "", muted_at: datetime | None = None
) -> Subscription:
    return Subscription(
        subscriber=subscriber,
        template=template,
        state=Subscription.State.OFF,
        always_keep=always_keep,
        muted_at=muted_at,
    )


def _note(rows: Iterable[Subscription], *, column: str) -> None:
    """Note one column of each row; where the subscription is there already, nothing else of it changes."""
    Subscription.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["template", "subscriber"],
        update_fields=[column, "changed_at"],
    )
