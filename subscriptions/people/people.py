"""What happens to a person's record."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, time, timedelta
from typing import Any, Final, NamedTuple, Required, TypedDict

from django.db import transaction
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Now
from django.utils import timezone
from django.utils.translation import gettext as _

from notify_platform.core.bulk import insert_missing, update_from_values
from notify_platform.core.errors import Refused
from subscriptions.people.models import Subscriber, Visit
from templates_app.models import MiniProgram

# A colon stands in no openid: nobody can sign in by a placeholder, or be sent to.
FORGOTTEN = "forgotten:"
PLACEHOLDER_BYTES = 24
# A longer pause is a goodbye, and WeChat has a switch for that.
LONGEST_PAUSE: Final = timedelta(days=365)
# What a back end may say of a person.
RECORD_COLUMNS: Final = ("nickname", "region", "city", "time_zone", "tags", "interests")


class Profile(TypedDict, total=False):
    """What a person may say of themselves; what is left out stays as it is."""

    nickname: str
    region: str
    city: str
    time_zone: str
    interests: list[str]


class Record(Profile, total=False):
    """What a back end says of a person."""

    openid: Required[str]
    tags: list[str]


class Kept(NamedTuple):
    """How many people were new, and how many were known."""

    created: int
    updated: int


class QuietHours(NamedTuple):
    """No card in these hours of the person's day; ``begin`` after ``end`` runs over midnight."""

    begin: time
    end: time


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
    never = (
        "tester_since",
        "last_visit_at",
        "main_switch_off_at",
        "main_switch_seen_at",
        "paused_until",
        "quiet_from",
        "quiet_until",
    )
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


def set_tester(subscriber: Subscriber, *, is_tester: bool) -> bool:
    """Put somebody on, or take them off, the list of those whom tests may be sent to; False when nothing changed."""
    rows = Subscriber.objects.filter(pk=subscriber.pk, forgotten_at__isnull=True, tester_since__isnull=is_tester)
    return rows.update(tester_since=Now() if is_tester else None) == 1


def testers(mini_program_id: int) -> QuerySet[Subscriber]:
    """Return the people whom tests of a mini-program may be sent to."""
    return Subscriber.objects.filter(mini_program=mini_program_id, tester_since__isnull=False)


def take_turns(subscriber_ids: Collection[int]) -> None:
    """Let what is said of one person be written one after the other; call it inside a transaction.

    Each then sees all that came before. Everybody locks people in this order, and before their units.
    """
    list(Subscriber.objects.filter(pk__in=subscriber_ids).select_for_update().order_by("pk").values_list("pk"))


def set_quiet_hours(subscriber: Subscriber, *, hours: QuietHours | None) -> None:
    """The person wants no card in these hours, None: at any hour. Raises ``Refused`` for hours without an end."""
    if hours is not None and hours.begin == hours.end:
        sentence = _("Quiet hours must begin and end at different times.")
        raise Refused(sentence, code="bad_quiet_hours", fields={"quiet_hours": sentence})
    begin, end = hours or (None, None)
    Subscriber.objects.filter(pk=subscriber.pk).update(quiet_from=begin, quiet_until=end)


def pause(subscriber: Subscriber, *, until: datetime | None) -> None:
    """The person wants no card until then, None: cards are welcome again. Raises ``Refused`` for a moment gone by."""
    now = timezone.now()
    if until is not None and not now < until <= now + LONGEST_PAUSE:
        sentence = _("A pause must end in the future, within a year.")
        raise Refused(sentence, code="bad_pause", fields={"paused_until": sentence})
    Subscriber.objects.filter(pk=subscriber.pk).update(paused_until=until)


def change_profile(subscriber: Subscriber, *, changes: Profile) -> None:
    """The person tells something of themselves."""
    if changes:
        Subscriber.objects.filter(pk=subscriber.pk).update(**changes)


def keep_records(mini_program: MiniProgram, *, records: Sequence[Record]) -> Kept:
    """A back end tells of many people: who is new gets a record, of the others only what is given changes.

    The same number of statements for one and for a thousand. Raises ``Refused`` when somebody is named twice.
    """
    told = {record["openid"]: record for record in records}
    if len(told) < len(records):
        raise _named_twice([record["openid"] for record in records])
    # In one order for everybody: two requests about the same people must not wait for each other.
    rows = [Subscriber(mini_program=mini_program, openid=openid) for openid in sorted(told)]
    with transaction.atomic():
        created = insert_missing(Subscriber, rows=rows)
        found = Subscriber.objects.filter(mini_program=mini_program, openid__in=told).select_for_update()
        known = found.order_by("pk").values("pk", "openid", *RECORD_COLUMNS)
        merged = [(row["pk"], *_merged(row, told[row["openid"]])) for row in known]
        update_from_values(Subscriber, columns=RECORD_COLUMNS, rows=merged, only_if="TRUE")
    return Kept(created=created, updated=len(told) - created)


def _merged(row: dict[str, Any], record: Record) -> list[Any]:
    return [record.get(column, row[column]) for column in RECORD_COLUMNS]


def _named_twice(openids: Sequence[str]) -> Refused:
    sentence = _("This person was named before.")
    again = [number for number, openid in enumerate(openids) if openid in openids[:number]]
    fields = {f"subscribers.{number}.openid": sentence for number in again}
    return Refused(_("Name each person once."), code="named_twice", fields=fields)
