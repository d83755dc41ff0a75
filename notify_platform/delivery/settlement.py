"""Writing outcomes: what WeChat answered, what nobody ever says, and what follows for jobs, templates and pace.

With ``claims`` and ``reports`` the only writer of ``Delivery.state`` after the fan-out. A wave is settled in one
transaction of set-based statements; what follows comes after it.
"""

from __future__ import annotations

import logging
import random
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from notify_platform.alerts import alerts
from notify_platform.alerts.models import Alert
from notify_platform.core.bulk import update_from_values
from notify_platform.core.clock import database_now
from notify_platform.core.errors import Refused
from notify_platform.core.models import audit
from notify_platform.delivery import pacing
from notify_platform.delivery.claims import Message
from notify_platform.delivery.models import Delivery, Reason
from notify_platform.jobs import bans, jobs
from notify_platform.jobs.models import SendJob
from notify_platform.wechat.gateway import SendResult
from notify_platform.wechat.outcomes import (
    RETRYABLE_TOKEN_CODES,
    Becomes,
    GrantEffect,
    JobEffect,
    Outcome,
    Word,
)
from subscriptions.grants import ledger
from subscriptions.grants.ledger import Refusal
from subscriptions.people import people
from templates_app import catalog
from templates_app.models import MessageTemplate, MiniProgram

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

logger = logging.getLogger(__name__)

State = Delivery.State
LAST_WORDS = frozenset({State.ACCEPTED, State.FAILED})
# What happens all day is not worth a line.
EVERYDAY = frozenset({Word.ACCEPTED, Word.NOT_SUBSCRIBED})
MINUTE_LIMIT_SECONDS = 60.0
CLOSE_BATCH = 500


@dataclass(frozen=True, slots=True)
class Landed:
    """A message whose request is over; ``fresh_token``: it carried the newest access token there is."""

    message: Message
    result: SendResult
    fresh_token: bool = True

    @property
    def retries_used(self) -> int:
        """How many retries stand against this outcome.

        A refused token is no fault of the message: only a second refusal in a row, of a fresh token, counts.
        """
        if self.result.outcome.word is Word.TOKEN:
            return int(self.fresh_token and self.message.last_code in RETRYABLE_TOKEN_CODES)
        return self.message.attempts

    @property
    def is_retry(self) -> bool:
        """Whether the message surely did not count and may go again."""
        outcome = self.result.outcome
        return outcome.becomes is Becomes.RETRY and outcome.retry_after(retries_used=self.retries_used) is not None

    @property
    def is_last_word(self) -> bool:
        """Whether this settles the message for good."""
        return not self.is_retry and self.result.outcome.becomes is not Becomes.UNKNOWN


def settle(mini_program: MiniProgram, *, token: uuid.UUID, landed: Sequence[Landed]) -> list[Landed]:
    """Write the outcomes of one claim's messages; returns those whose rows were still ours to settle.

    ``token`` is the claim's: a row the reaper called unknown is still ours, one another worker took is not.
    """
    with transaction.atomic():
        ours = _write_outcomes(token, landed)
        _settle_grants(ours)
    _follow(mini_program, ours)
    return ours


def _write_outcomes(token: uuid.UUID, landed: Sequence[Landed]) -> list[Landed]:
    accepted = [item for item in landed if item.result.outcome.becomes is Becomes.ACCEPTED]
    others = [item for item in landed if item.result.outcome.becomes is not Becomes.ACCEPTED]
    settled = _write_accepted(token, accepted) | _write_others(token, others)
    return [item for item in landed if item.message.delivery_id in settled]


def _write_others(token: uuid.UUID, items: Sequence[Landed]) -> set[int]:
    """A last word settles an unknown row too; "try again" comes too late for it, and says that it did not count."""
    if not items:
        return set()
    now = database_now()
    lasting = [item for item in items if item.is_last_word]
    open_ended = [item for item in items if not item.is_last_word]
    settled = _update(token, [_row(item, now=now) for item in lasting], states="'sending', 'unknown'")
    settled |= _update(token, [_row(item, now=now) for item in open_ended], states="'sending'")
    late = [item for item in open_ended if item.is_retry and item.message.delivery_id not in settled]
    return settled | _update(token, [_row(item, now=now, too_late=True) for item in late], states="'unknown'")


def _write_accepted(token: uuid.UUID, items: Sequence[Landed]) -> set[int]:
    """Nearly every message ends here, so its row gets no more than it needs."""
    return _compare_and_set(
        token,
        columns=["msgid"],
        rows=[(item.message.delivery_id, item.result.msgid) for item in items],
        same={
            "state": State.ACCEPTED,
            "settled_at": Now(),
            "reason": "",
            "lease_until": None,
            "error_code": None,
            "error_field": "",
            "error_detail": "",
            "rid": "",
        },
        states="'sending', 'unknown'",
    )


def _update(token: uuid.UUID, rows: Sequence[tuple[Any, ...]], *, states: str) -> set[int]:
    columns = [
        "state", "grant", "attempts", "reason", "due_at", "settled_at",
        "msgid", "error_code", "error_field", "error_detail", "rid",
    ]  # fmt: skip
    return _compare_and_set(token, columns=columns, rows=rows, same={"lease_until": None}, states=states)


def _compare_and_set(
    token: uuid.UUID, *, columns: Sequence[str], rows: Sequence[Any], same: Mapping[str, Any], states: str
) -> set[int]:
    holder = Delivery._meta.get_field("claim_token").get_db_prep_value(token, connection)
    condition = f"(t.state || '') IN ({states}) AND t.claim_token = %s"
    changed = update_from_values(Delivery, columns=columns, rows=rows, same=same, only_if=condition, params=[holder])
    return set(changed)


def _row(item: Landed, *, now: datetime, too_late: bool = False) -> tuple[Any, ...]:
    message, result = item.message, item.result
    outcome = result.outcome
    state, reason, due_at = (State.FAILED, "", now) if too_late else _becomes(item, now=now)
    return (
        message.delivery_id,
        state,
        message.grant_id if state in Delivery.HOLDS_GRANT else None,
        message.attempts + (1 if outcome.counts_attempt else 0),
        reason,
        due_at,
        now if state in LAST_WORDS else None,
        result.msgid,
        result.code or None,
        result.field,
        result.detail,
        result.rid,
    )


def _becomes(item: Landed, *, now: datetime) -> tuple[State, str, datetime]:
    outcome = item.result.outcome
    if outcome.becomes is Becomes.RETRY:
        delay = outcome.retry_after(retries_used=item.retries_used)
        if delay is None:
            return State.FAILED, "", now
        # Jitter: a batch that failed together must not come back together.
        return State.WAITING, Reason.RETRY, now + timedelta(seconds=delay * random.uniform(1.0, 1.5))  # noqa: S311
    return State(outcome.becomes.value), "", now


def _settle_grants(ours: Sequence[Landed]) -> None:
    by_effect: dict[GrantEffect, list[Message]] = defaultdict(list)
    for item in ours:
        by_effect[item.result.outcome.grant].append(item.message)
    # Refusals first: they hold people, and everybody holds people before units.
    _revoke(by_effect[GrantEffect.REVOKE])
    ledger.spend(_grants(by_effect[GrantEffect.SPEND]))
    ledger.give_back(_grants(by_effect[GrantEffect.GIVE_BACK]))


def _grants(messages: Iterable[Message]) -> list[int]:
    return [message.grant_id for message in messages if message.grant_id]


def _revoke(messages: Sequence[Message]) -> None:
    left_at = dict(
        Delivery.objects.filter(pk__in=[message.delivery_id for message in messages]).values_list("pk", "armed_at")
    )
    by_template: dict[int, list[Message]] = defaultdict(list)
    for message in messages:
        by_template[message.template_id].append(message)
    for template in MessageTemplate.objects.filter(pk__in=by_template):
        refusals = [
            Refusal(message.subscriber_id, message.grant_id or 0, moment)
            for message in by_template[template.pk]
            if (moment := left_at[message.delivery_id])
        ]
        ledger.revoke_refused(template=template, refusals=refusals)


# --- what follows for jobs, templates and pace ---------------------------------------------------------------------


def _follow(mini_program: MiniProgram, ours: Sequence[Landed]) -> None:
    _tell(mini_program, ours)
    people.mark_unreachable([item.message.subscriber_id for item in ours if item.result.outcome.word is Word.BAD_USER])
    by_effect: dict[JobEffect, list[Landed]] = defaultdict(list)
    for item in ours:
        by_effect[item.result.outcome.job_effect(retries_used=item.retries_used)].append(item)
    for effect, items in by_effect.items():
        _EFFECTS[effect](mini_program, items)


def _tell(mini_program: MiniProgram, ours: Sequence[Landed]) -> None:
    """One line for each kind of outcome that is not everyday life."""
    by_outcome: dict[tuple[Word, int | None], list[Message]] = defaultdict(list)
    for item in ours:
        if item.result.outcome.word not in EVERYDAY:
            by_outcome[item.result.outcome.word, item.result.code].append(item.message)
    for (word, code), messages in by_outcome.items():
        level = logging.WARNING if word is Word.UNKNOWN else logging.INFO
        ids = [message.delivery_id for message in messages]
        about = {"mini_program": mini_program.pk, "deliveries": ids}
        logger.log(level, "%d messages: %s (%s)", len(ids), word, code, extra=about)


def _nothing(mini_program: MiniProgram, items: Sequence[Landed]) -> None:
    """Most outcomes concern nobody else; whether they come in floods is for the ``watch`` to say."""


def _slow_down(mini_program: MiniProgram, items: Sequence[Landed]) -> None:
    about = {"mini_program": mini_program.pk}
    logger.warning("WeChat's limit a minute is reached: nothing leaves for %d s", MINUTE_LIMIT_SECONDS, extra=about)
    pacing.hold(pacing.pace_of(mini_program), seconds=MINUTE_LIMIT_SECONDS)


def pause_job(mini_program: MiniProgram, items: Sequence[Landed]) -> None:
    """Pause the jobs of these messages, with the words of the first."""
    jobs.pause_all(
        reason=SendJob.PauseReason.CONTENT,
        detail=sentence(items[0].result),
        job_ids={item.message.job_id for item in items},
    )


def _pause_template(mini_program: MiniProgram, items: Sequence[Landed]) -> None:
    for template in MessageTemplate.objects.filter(pk__in={item.message.template_id for item in items}):
        result = next(item.result for item in items if item.message.template_id == template.pk)
        if result.outcome.word is Word.TEMPLATE_BANNED:
            bans.ban_template(template, detail=sentence(result))
        else:
            catalog.mark_missing(template)
            jobs.pause_all(reason=SendJob.PauseReason.TEMPLATE, detail=sentence(result), template=template)


def _pause_app(mini_program: MiniProgram, items: Sequence[Landed]) -> None:
    pause_app(mini_program, outcome=items[0].result.outcome, code=items[0].result.code)


_EFFECTS: dict[JobEffect, Callable[[MiniProgram, Sequence[Landed]], None]] = {
    JobEffect.NONE: _nothing,
    JobEffect.SLOW_DOWN: _slow_down,
    JobEffect.PAUSE_JOB: pause_job,
    JobEffect.STOP_IF_REPEATED: _nothing,
    JobEffect.PAUSE_TEMPLATE: _pause_template,
    JobEffect.PAUSE_APP: _pause_app,
}


def pause_app(mini_program: MiniProgram, *, outcome: Outcome, code: int | None) -> int:
    """Stop every running job of a mini-program for what WeChat said; returns how many stopped."""
    limit = outcome.word is Word.DAILY_LIMIT
    reason = SendJob.PauseReason.DAILY_LIMIT if limit else SendJob.PauseReason.ACCOUNT
    detail = f"{outcome.meaning} {outcome.next_step} ({code})"
    return jobs.pause_all(reason=reason, detail=detail, mini_program=mini_program)


def sentence(result: SendResult) -> str:
    """Return what a paused job says: what happened, and what to do next."""
    field = f" [{result.field}]" if result.field else ""
    return f"{result.outcome.meaning}{field} {result.outcome.next_step} ({result.code})"


def tell_of_strange(mini_program: MiniProgram, result: SendResult) -> None:
    """Tell a person of a code in no table that comes too often; what it means is for them to find out."""
    code = "" if result.code is None else str(result.code)
    detail = f"{sentence(result)} {result.detail} {result.rid}".strip()
    alerts.raise_alert(mini_program, kind=Alert.Kind.STRANGE_CODE, subject=code, detail=detail)


# --- unknown results -----------------------------------------------------------------------------------------------


def close_unknown(mini_program: MiniProgram) -> int:
    """Close unknown rows nobody has spoken for in time: they count as sent, their consent as spent.

    They stay ``unknown`` (a late sent event may still say what became of them). One batch a call; returns the count.
    """
    deadline = Now() - timedelta(minutes=mini_program.unknown_after_minutes)
    open_rows = Delivery.objects.filter(
        mini_program=mini_program, state=State.UNKNOWN, settled_at__isnull=True, armed_at__lte=deadline
    )
    with transaction.atomic():
        rows = list(open_rows.select_for_update(skip_locked=True).values_list("pk", "grant_id")[:CLOSE_BATCH])
        closed = open_rows.filter(pk__in=[pk for pk, _grant in rows]).update(settled_at=Now())
        ledger.spend([grant_id for _pk, grant_id in rows if grant_id])
    return closed


def resolve_unknown(delivery: Delivery, *, sent: bool, by: AbstractBaseUser | None, reason: str) -> None:
    """An operator says what became of an unknown message. Raises ``Refused`` when it is not unknown any more."""
    _resolve(Delivery.objects.filter(pk=delivery.pk), about=delivery, sent=sent, by=by, reason=reason)


def resolve_unknown_of(job: SendJob, *, sent: bool, by: AbstractBaseUser | None, reason: str) -> int:
    """An operator says what became of all unknown messages of a job; returns how many there were.

    Also of those that policy has closed meanwhile. Raises ``Refused`` when there are none.
    """
    return _resolve(Delivery.objects.filter(job=job), about=job, sent=sent, by=by, reason=reason)


def _resolve(
    some: QuerySet[Delivery], *, about: Delivery | SendJob, sent: bool, by: AbstractBaseUser | None, reason: str
) -> int:
    if not reason.strip():
        raise Refused(_("Say how you know; it stays in the audit trail."), fields={"reason": _("required")})
    with transaction.atomic():
        unknown = some.filter(state=State.UNKNOWN)
        held = dict(unknown.select_for_update().order_by("pk").values_list("pk", "grant_id"))
        if not held:
            raise Refused(_("The result of this message is known by now."), code="wrong_state")
        changes: dict[str, Any] = {} if sent else {"grant": None}
        state = State.ACCEPTED if sent else State.FAILED
        moved = unknown.filter(pk__in=held).update(state=state, settled_at=Now(), **changes)
        settle_grants = ledger.spend if sent else ledger.give_back
        settle_grants([grant_id for grant_id in held.values() if grant_id])
        subject = f"job {about.pk}" if isinstance(about, SendJob) else f"delivery {about.pk}"
        verdict = "sent" if sent else "not sent"
        audit(
            by,
            action="settle_unknown",
            subject=subject,
            mini_program=about.mini_program_id,
            verdict=verdict,
            messages=moved,
            reason=reason.strip()[:400],
        )
    return moved
