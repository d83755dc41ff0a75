"""What happens to a person's record."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce, Now

from notify_platform.core.bulk import update_from_values
from subscriptions.people.models import Subscriber, Visit
from templates_app.models import MiniProgram

# A colon stands in no openid: nobody can sign in by a placeholder, or be sent to.
FORGOTTEN = "forgotten:"
PLACEHOLDER_BYTES = 24


def known(mini_program: MiniProgram, *, openids: Collection[str]) -> dict[str, int]:
    """Return openid → subscriber id of those we know."""
    rows = Subscriber.objects.filter(mini_program=mini_program, openid__in=openids)
    return dict(rows.values_list("openid", "pk"))


def enrol(mini_program: MiniProgram, *, openids: Sequence[str]) -> dict[str, int]:
    """Make sure every openid has a record; returns openid → subscriber id."""
    Subscriber.objects.bulk_create(
        [Subscriber(mini_program=mini_program, openid=openid) for openid in openids],
        ignore_conflicts=True,
        batch_size=500,
    )
    return known(mini_program, openids=openids)


def record_visit(subscriber: Subscriber, *, page: str) -> None:
    """The person opened the mini-program at this page (at most 300 characters, empty when it is not known)."""
    with transaction.atomic():
        Visit.objects.create(subscriber=subscriber, page=page, at=Now())
        Subscriber.objects.filter(pk=subscriber.pk).update(last_visit_at=Now())


def revoke_sessions(subscriber: Subscriber) -> None:
    """End every session of the person in the mini-program; the next visit signs in anew."""
    Subscriber.objects.filter(pk=subscriber.pk).update(session_version=F("session_version") + 1)


def mark_unreachable(subscriber_ids: Collection[int]) -> int:
    """WeChat does not know these openids in this mini-program: nothing is sent to them again. Returns the count."""
    return Subscriber.objects.filter(pk__in=subscriber_ids, invalid_at__isnull=True).update(invalid_at=Now())


def note_main_switch(subscriber: Subscriber, *, on: bool, at: datetime) -> bool:
    """Note that the person had all messages of the mini-program on or off in WeChat at ``at``; True when that is news.

    Consents are kept while it is off, and not used. What was so before we last looked is no news, nor what
    ``subscriber`` says already.
    """
    news = Subscriber.objects.filter(
        Q(main_switch_seen_at__isnull=True) | Q(main_switch_seen_at__lte=at), pk=subscriber.pk
    )
    was_on = subscriber.main_switch_off_at is None
    # Every popup that is shown says "on", and nearly everybody's is: one statement has to do.
    off_at = None if on else Coalesce("main_switch_off_at", Value(at))
    if not news.update(main_switch_seen_at=at, main_switch_off_at=off_at) or was_on == on:
        return False
    subscriber.main_switch_off_at = None if on else at
    return True


def blank_nicknames(mini_program: MiniProgram, *, openids: Collection[str]) -> int:
    """These people took back, or changed, how they are called: we do not know it any more. Returns the count."""
    called = Subscriber.objects.filter(mini_program=mini_program, openid__in=openids).exclude(nickname="")
    return called.update(nickname="")


def forget(subscriber_ids: Collection[int]) -> int:
    """Empty the records of these people for ever: a shell with a meaningless openid stays, so that sums stay right.

    Their sessions end. Returns how many were not shells before. Part of ``delivery.forgetting``, which does the rest.
    """
    placeholders = [(pk, f"{FORGOTTEN}{secrets.token_urlsafe(PLACEHOLDER_BYTES)}") for pk in subscriber_ids]
    emptied = update_from_values(Subscriber, columns=["openid"], rows=placeholders, only_if="t.forgotten_at IS NULL")
    never = ("last_visit_at", "main_switch_off_at", "main_switch_seen_at", "paused_until", "quiet_from", "quiet_until")
    Subscriber.objects.filter(pk__in=emptied).update(
        **dict.fromkeys(("nickname", "region", "city", "time_zone"), ""),
        **dict.fromkeys(never, None),
        tags=[],
        interests=[],
        session_version=F("session_version") + 1,
        forgotten_at=Now(),
    )
    Visit.objects.filter(subscriber__in=subscriber_ids).exclude(page="").update(page="")
    return len(emptied)
