"""Taking rows: claim → arm, or release; and the reaper for whoever died on the way.

With ``settlement`` and ``reports`` the only writer of ``Delivery.state`` after the fan-out. One claim path for both
databases: rows and persons are locked with SKIP LOCKED where there is such a thing, and by the IMMEDIATE transaction
on SQLite.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from notify_platform.core.bulk import Among, Still, update_from_values
from notify_platform.core.clock import database_now
from notify_platform.core.errors import Refused
from notify_platform.delivery import gates, keys
from notify_platform.delivery.models import Delivery, Reason
from notify_platform.jobs import previews
from notify_platform.jobs.models import SendJob, Variant
from subscriptions.grants import ledger
from subscriptions.models import Subscriber
from templates_app import rendering
from templates_app.models import MessageTemplate
from templates_app.rendering import Wording

logger = logging.getLogger(__name__)

# Both outlive the request's own timeouts (3 s to connect, 10 s to read), twice over, and a batch's time at its pace.
CLAIM_LEASE = timedelta(seconds=60)
SEND_LEASE = timedelta(seconds=60)
BUSY_PERSON_DELAY = timedelta(seconds=1)
REAP_BATCH = 500
CANCEL_BATCH = 5000
State = Delivery.State


@dataclass(frozen=True, slots=True)
class Message:
    """One claimed row, ready to leave."""

    delivery_id: int
    job_id: int
    template_id: int
    subscriber_id: int
    grant_id: int | None
    attempts: int
    last_code: int | None
    openid: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """What one claim took. ``looked_at`` counts the rows it dealt with, whatever became of them."""

    token: uuid.UUID
    messages: list[Message]
    looked_at: int


class Wordings:
    """The compiled words of running jobs, kept by one engine. A job that runs cannot be changed."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Variant, Wording]] = {}

    def of(self, variant_id: int, *, job: SendJob) -> tuple[Variant, Wording]:
        """Return a variant and its compiled words."""
        if variant_id not in self._known:
            variant = Variant.objects.get(pk=variant_id)
            self._known[variant_id] = (variant, previews.wording_of(variant, template=job.template))
        return self._known[variant_id]


def claim(job: SendJob, *, limit: int, wordings: Wordings) -> Claim:
    """Take up to ``limit`` due rows of a running job through all gates; the ones that pass hold their consent.

    Raises ``Refused`` (nothing taken) when WeChat does not take the job's template, or its words do not fit it, any
    more.
    """
    if job.template.state != MessageTemplate.State.LIVE:
        raise Refused(_("WeChat does not take messages with this template any more."), code="template")
    token = uuid.uuid4()
    with transaction.atomic():
        now = database_now()
        if not SendJob.objects.filter(pk=job.pk, state=SendJob.State.RUNNING).exists():
            return Claim(token, [], 0)
        candidates, busy = _lock(job, limit=limit)
        verdicts = gates.judge(job, candidates=candidates, now=now)
        messages = _reserve(job, verdicts, wordings=wordings)
        _write_claimed(messages, token=token)
        _write_skipped(verdicts.skipped)
        _write_held([*verdicts.held, *((pk, now + BUSY_PERSON_DELAY, "") for pk in busy)])
    return Claim(token, messages, len(candidates) + len(busy))


def due_of(job: SendJob | OuterRef) -> QuerySet[Delivery]:
    """Return a job's rows that may be claimed now."""
    return Delivery.objects.filter(job=job, state=State.WAITING, due_at__lte=Now())


def _lock(job: SendJob, *, limit: int) -> tuple[list[gates.Candidate], list[int]]:
    """Lock due rows, then their persons in id order; rows of persons with a message in flight come back as busy."""
    due = due_of(job).order_by("due_at", "id").select_for_update(skip_locked=True)
    rows = list(due.values_list("pk", "subscriber_id", "variant_id", "attempts", "error_code", "is_counted")[:limit])
    wanted = [row[1] for row in rows]
    persons = {
        person.pk: person
        for person in Subscriber.objects.filter(Among("pk", wanted)).order_by("pk").select_for_update(skip_locked=True)
    }
    in_flight = set(
        Delivery.objects.filter(Among("subscriber_id", wanted), state__in=Delivery.IN_FLIGHT).values_list(
            "subscriber_id", flat=True
        )
    )
    free = [row for row in rows if row[1] in persons and row[1] not in in_flight]
    candidates = [
        gates.Candidate(pk, variant_id, attempts, last_code, is_counted, persons[subscriber_id])
        for pk, subscriber_id, variant_id, attempts, last_code, is_counted in free
    ]
    return candidates, [row[0] for row in rows if row[1] in in_flight]


def _reserve(job: SendJob, verdicts: gates.Verdicts, *, wordings: Wordings) -> list[Message]:
    """Render, then reserve: what does not fit or has no consent joins the skipped."""
    bodies: dict[int, bytes] = {}
    for candidate in verdicts.passed:
        body = _body(job, candidate, wordings=wordings)
        if body is None:
            verdicts.skipped.append((candidate.delivery_id, Reason.CONTENT))
        else:
            bodies[candidate.delivery_id] = body
    ready = [candidate for candidate in verdicts.passed if candidate.delivery_id in bodies]
    # The row says whether it uses up a consent: the template's kind may have changed since the fan-out.
    counted = [candidate.subscriber.pk for candidate in ready if candidate.is_counted]
    grants = ledger.reserve(template=job.template, subscriber_ids=counted) if counted else {}
    empty = [one.delivery_id for one in ready if one.is_counted and one.subscriber.pk not in grants]
    verdicts.skipped += [(delivery_id, Reason.NO_CONSENT) for delivery_id in empty]
    ready = [candidate for candidate in ready if candidate.delivery_id not in empty]
    return [
        Message(
            delivery_id=candidate.delivery_id,
            job_id=job.pk,
            template_id=job.template_id,
            subscriber_id=candidate.subscriber.pk,
            grant_id=grants.get(candidate.subscriber.pk),
            attempts=candidate.attempts,
            last_code=candidate.last_code,
            openid=candidate.subscriber.openid,
            body=bodies[candidate.delivery_id],
        )
        for candidate in ready
    ]


def _body(job: SendJob, candidate: gates.Candidate, *, wordings: Wordings) -> bytes | None:
    variant, wording = wordings.of(candidate.variant_id, job=job)
    rendered = wording.render(previews.person_values(candidate.subscriber))
    if rendered.problems:
        return None
    return rendering.body(
        openid=candidate.subscriber.openid,
        template=job.template.wechat_id,
        page=keys.add_to(variant.page, delivery_id=candidate.delivery_id),
        data=rendered.data,
        miniprogram_state=job.card_state or job.mini_program.miniprogram_state,
        lang=job.mini_program.lang,
    )


def _write_claimed(messages: Sequence[Message], *, token: uuid.UUID) -> None:
    update_from_values(
        Delivery,
        columns=["grant"],
        rows=[(message.delivery_id, message.grant_id) for message in messages],
        same={"state": State.CLAIMED, "claim_token": token, "lease_until": Now() + CLAIM_LEASE, "reason": ""},
        only_if="(t.state || '') = 'waiting'",
    )


def _write_skipped(skipped: Sequence[tuple[int, Reason]]) -> None:
    update_from_values(
        Delivery,
        columns=["reason"],
        rows=skipped,
        same={"state": State.SKIPPED, "settled_at": Now()},
        only_if="(t.state || '') = 'waiting'",
    )


def _write_held(held: Sequence[tuple[int, datetime, str]]) -> None:
    update_from_values(
        Delivery,
        columns=["due_at", "reason"],
        rows=held,
        only_if="(t.state || '') = 'waiting'",
    )


def arm(token: uuid.UUID, *, delivery_ids: Collection[int]) -> set[int]:
    """Commit a wave as ``sending``: only now may its requests leave. Returns the rows that may.

    A row is not armed when its lease has lapsed (we slept through it) or its job does not run any more.
    """
    running = SendJob.objects.filter(pk=OuterRef("job_id"), state=SendJob.State.RUNNING)
    wave = Delivery.objects.filter(Among("pk", delivery_ids), claim_token=token)
    armed = wave.filter(Exists(running), Still("state", State.CLAIMED), lease_until__gt=Now()).update(
        state=State.SENDING, armed_at=Now(), lease_until=Now() + SEND_LEASE, attempts=F("attempts") + 1
    )
    if armed == len(delivery_ids):
        return set(delivery_ids)
    return set(wave.filter(state=State.SENDING).values_list("pk", flat=True))


def release(token: uuid.UUID, *, delivery_ids: Collection[int]) -> int:
    """Give claimed rows that were not armed back to the queue, and their consent to the person. Returns the count."""
    return _unclaim(Q(Among("pk", delivery_ids), claim_token=token))


def shorten(claim: Claim, *, to: int) -> Claim:
    """Keep the first ``to`` messages of a claim; the others, whose slots the day does not have, wait again."""
    left = [message.delivery_id for message in claim.messages[to:]]
    if left:
        release(claim.token, delivery_ids=left)
    return replace(claim, messages=claim.messages[:to])


def reap() -> tuple[int, int]:
    """Settle the leases of the dead: claimed rows wait again, sending rows become unknown.

    Returns both counts. One batch a call; run it again while either is not zero.
    """
    released = _unclaim(Q(lease_until__lte=Now()))
    lapsed = Delivery.objects.filter(state=State.SENDING, lease_until__lte=Now()).values_list("pk", flat=True)
    lost = list(lapsed[:REAP_BATCH])
    # The row keeps its token and its grant: the worker may be slow, not dead, and its answer still counts.
    unknown = Delivery.objects.filter(pk__in=lost, state=State.SENDING, lease_until__lte=Now())
    if number := unknown.update(state=State.UNKNOWN, lease_until=None):
        logger.warning("%d results are unknown: nobody has settled them in time", number, extra={"deliveries": lost})
    return released, number


def _unclaim(which: Q) -> int:
    with transaction.atomic():
        rows = list(
            Delivery.objects.filter(which, state=State.CLAIMED)
            .select_for_update(skip_locked=True)
            .values_list("pk", "grant_id")[:REAP_BATCH]
        )
        Delivery.objects.filter(pk__in=[pk for pk, _grant in rows], state=State.CLAIMED).update(
            state=State.WAITING, grant=None, claim_token=None, lease_until=None
        )
        ledger.give_back([grant_id for _pk, grant_id in rows if grant_id])
    return len(rows)


def cancel_waiting(job: SendJob) -> int:
    """Cancel what a cancelled job still had waiting, one batch a call; returns the count."""
    waiting = Delivery.objects.filter(job=job, state=State.WAITING)
    batch = list(waiting.order_by("due_at", "id").values_list("pk", flat=True)[:CANCEL_BATCH])
    return Delivery.objects.filter(pk__in=batch, state=State.WAITING).update(state=State.CANCELLED, settled_at=Now())


def forget(subscriber_ids: Collection[int]) -> int:
    """These people are to be forgotten: what has not left does not leave. Returns how many rows.

    What is being sent cannot be called back: it is settled as ever, and a retry meets the gates.
    """
    with transaction.atomic():
        unsent = Delivery.objects.filter(subscriber__in=subscriber_ids, state__in=[State.WAITING, State.CLAIMED])
        rows = list(unsent.select_for_update().order_by("pk").values_list("pk", "grant_id"))
        unsent.filter(pk__in=[pk for pk, _grant in rows]).update(
            state=State.SKIPPED,
            reason=Reason.FORGOTTEN,
            grant=None,
            claim_token=None,
            lease_until=None,
            settled_at=Now(),
        )
        ledger.give_back([grant_id for _pk, grant_id in rows if grant_id])
    return len(rows)
