"""From a running job to rows: the frozen audience becomes deliveries and skips, in set-based statements."""

from __future__ import annotations

from django.db import transaction
from django.db.models import BooleanField, Exists, F, OuterRef, QuerySet, Value
from django.db.models.functions import Now

from notify_platform.core.bulk import insert_from_select, refresh_statistics
from notify_platform.delivery.models import Delivery, Reason, Skip
from notify_platform.jobs import jobs, previews, variants
from notify_platform.jobs.models import SendJob
from subscriptions.audience import selection
from subscriptions.models import Subscriber

STEP = 5000


class _LostStep(Exception):
    """Another worker took the step, or the job stopped: roll back."""


def step(job: SendJob) -> bool:
    """Take the next people of a running job; return whether any may be left. Safe to run from several workers.

    Consent is looked at once, here: who has none that counts, or could come back, is skipped for good.
    """
    everybody = selection.people(job.audience).filter(pk__lte=job.fanout_upto or 0)
    keys = everybody.filter(pk__gt=job.fanout_after).order_by("pk").values_list("pk", flat=True)
    reached = next(iter(keys[STEP - 1 : STEP]), None)
    upto = reached or job.fanout_upto or 0
    is_first = job.fanout_after == 0
    chunk = everybody.filter(pk__gt=job.fanout_after, pk__lte=upto)
    try:
        with transaction.atomic():
            # The compare-and-set comes last but holds for the whole step: a loser's rows are rolled back.
            people = _insert_deliveries(job, chunk) + _insert_skips(job, chunk)
            if not jobs.freeze_step(job, after=job.fanout_after, reached=upto, people=people, done=reached is None):
                raise _LostStep
    except _LostStep:
        return False
    if is_first or reached is None:
        # From statistics that say "nobody waits" PostgreSQL plans the claims a thousand times slower.
        refresh_statistics(Delivery)
    return reached is not None


def to_testers(test: SendJob, *, people: QuerySet[Subscriber]) -> None:
    """Give a test its few people, inside the caller's transaction; who has no consent is skipped as in every job."""
    _insert_deliveries(test, people)
    _insert_skips(test, people)


def _insert_deliveries(job: SendJob, chunk: QuerySet[Subscriber]) -> int:
    counted = Value(job.template.is_counted, output_field=BooleanField())
    rows = previews.with_consent(chunk, template=job.template).values_list(
        Value(job.mini_program_id),
        Value(job.pk),
        variants.assigned(job),
        Value(job.template_id),
        F("pk"),
        counted,
        Value(Delivery.State.WAITING.value),
        Now(),
        Now(),
        *(Value(empty) for empty in ("", "", "", "", "")),
        Value(0),
    )
    columns = [
        "mini_program", "job", "variant", "template", "subscriber", "is_counted", "state", "due_at", "created_at",
        "reason", "msgid", "error_field", "error_detail", "rid", "attempts",
    ]  # fmt: skip
    return insert_from_select(Delivery, columns=columns, rows=rows)


def _insert_skips(job: SendJob, chunk: QuerySet[Subscriber]) -> int:
    # A job's rows have no event; saying so lets both databases look in the index that keeps them apart.
    taken = Delivery.objects.filter(job=job, event__isnull=True, subscriber=OuterRef("pk"))
    rows = chunk.exclude(Exists(taken)).values_list(Value(job.pk), F("pk"), Value(Reason.NO_CONSENT.value))
    return insert_from_select(Skip, columns=["job", "subscriber", "reason"], rows=rows)
