"""A new job to those who surely did not get the card of an old one. Whoever may have got it is never among them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.db import transaction
from django.db.models import Count, F, Q, QuerySet, Value
from django.utils.translation import gettext as _

from notify_platform.core.bulk import insert_from_select
from notify_platform.core.errors import Refused
from notify_platform.core.models import audit
from notify_platform.delivery.models import Delivery, Reason, Skip
from notify_platform.jobs import copies
from notify_platform.jobs.models import SendJob
from notify_platform.wechat import outcomes
from notify_platform.wechat.outcomes import Word
from subscriptions.models import Audience, AudienceMember

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

State = Delivery.State
CANCELLED: Final = "cancelled"
CODE, REASON = "code:", "reason:"
# Settled by a person: there is no code.
NO_CODE: Final = f"{CODE}-"
# What a person wants, or cannot help, does not get better by asking again.
HOPELESS: Final = frozenset({Reason.UNREACHABLE, Reason.SWITCHED_OFF, Reason.MUTED})
HOPELESS_WORDS: Final = frozenset({Word.BAD_USER})
_NAME_LENGTH: Final = 60


@dataclass(frozen=True, slots=True)
class Missed:
    """People of a job who got nothing for one cause; ``may_improve``: another time it may be otherwise."""

    key: str
    people: int
    may_improve: bool


def missed(job: SendJob) -> list[Missed]:
    """Count who surely got nothing, by cause, the most frequent first; who asked to be forgotten is not offered."""
    counted: Counter[str] = Counter()
    failed = Delivery.objects.filter(job=job, state=State.FAILED).values_list("error_code").order_by()
    for code, number in failed.annotate(number=Count("pk")):
        counted[NO_CODE if code is None else f"{CODE}{code}"] += number
    for rows in (Delivery.objects.filter(job=job, state=State.SKIPPED), Skip.objects.filter(job=job)):
        reasons = rows.values_list("reason").order_by().annotate(number=Count("pk"))
        counted.update({f"{REASON}{reason}": number for reason, number in reasons})
    counted[CANCELLED] += Delivery.objects.filter(job=job, state=State.CANCELLED).count()
    counted.pop(f"{REASON}{Reason.FORGOTTEN}", None)
    return [Missed(key, number, _may_improve(key)) for key, number in counted.most_common() if number]


def _may_improve(key: str) -> bool:
    if key.startswith(REASON):
        return key.removeprefix(REASON) not in HOPELESS
    if key.startswith(CODE) and key != NO_CODE:
        return outcomes.outcome_of_code(int(key.removeprefix(CODE))).word not in HOPELESS_WORDS
    return True


def follow_up(job: SendJob, *, keys: Collection[str], by: AbstractBaseUser) -> SendJob:
    """Make a draft with the same words for a list of those people. Raises ``Refused`` when there is nobody.

    The list is made now and stays as it is; consent, wishes and hours are looked at when the new job is sent.
    """
    chosen = [one for one in missed(job) if one.key in keys]
    if not chosen:
        raise Refused(_("Choose at least one group of people."), fields={"keys": _("required")})
    with transaction.atomic():
        audience = Audience.objects.create(
            mini_program_id=job.mini_program_id, kind=Audience.Kind.LIST, name=_list_name(job)
        )
        people = sum(_put_on_list(audience, rows=rows) for rows in _rows(job, keys=[one.key for one in chosen]))
        name = _("Again: %(name)s") % {"name": job.name}
        draft = copies.draft_like(job, name=name, audience_id=audience.pk, by=by)
        audit(
            by,
            action="follow_up",
            subject=f"job {draft.pk}",
            mini_program=job.mini_program_id,
            source=job.pk,
            people=people,
        )
    return draft


def _rows(job: SendJob, *, keys: Sequence[str]) -> list[QuerySet[Any]]:
    """Return the deliveries and the skips of these causes; nobody is in both."""
    codes = [int(key.removeprefix(CODE)) for key in keys if key.startswith(CODE) and key != NO_CODE]
    reasons = [key.removeprefix(REASON) for key in keys if key.startswith(REASON)]
    got_nothing = Q(state=State.FAILED, error_code__in=codes) | Q(state=State.SKIPPED, reason__in=reasons)
    if NO_CODE in keys:
        got_nothing |= Q(state=State.FAILED, error_code__isnull=True)
    if CANCELLED in keys:
        got_nothing |= Q(state=State.CANCELLED)
    rows: list[QuerySet[Any]] = [Delivery.objects.filter(got_nothing, job=job)]
    if reasons:
        rows.append(Skip.objects.filter(job=job, reason__in=reasons))
    return rows


def _put_on_list(audience: Audience, *, rows: QuerySet[Any]) -> int:
    members = rows.order_by().values_list(Value(audience.pk), F("subscriber"))
    return insert_from_select(AudienceMember, columns=["audience", "subscriber"], rows=members)


def _list_name(job: SendJob) -> str:
    """Return a name no other list of the mini-program has."""
    name = (_("Not reached: %(name)s") % {"name": job.name})[: _NAME_LENGTH - 6]
    same = Audience.objects.filter(mini_program=job.mini_program_id, name__startswith=name)
    taken = set(same.values_list("name", flat=True))
    numbered = (f"{name} ({number})" for number in range(2, len(taken) + 3))
    return next(one for one in (name, *numbered) if one not in taken)
