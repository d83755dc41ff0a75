"""What people and the engine do with a job: the only writer of ``SendJob.state``.

Every verb is a compare-and-set in a transaction of its own, with a row in the audit trail. A verb a person asked for
raises ``Refused`` when the job is not in a state that allows it; a verb the engine asks for returns False.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import OperationalError, transaction
from django.db.models import Max, Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from notify_platform.core.clock import database_now
from notify_platform.core.errors import Refused
from notify_platform.core.models import audit
from notify_platform.jobs import copies, previews, variants, versions
from notify_platform.jobs.models import SendJob, Variant
from subscriptions.models import Subscriber
from templates_app.models import MessageTemplate, MiniProgram

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

logger = logging.getLogger(__name__)

State = SendJob.State
TEST_LASTS = timedelta(hours=1)
# Scheduled, its time has come, and no pattern of a series.
DUE = Q(state=State.SCHEDULED, starts_at__lte=Now()) & (Q(series__isnull=True) | Q(occurrence__isnull=False))
# Paused until WeChat has quota again: goes on by itself, so whatever stops a running job has to stop it, too.
LIMITED = Q(state=State.PAUSED, pause_reason=SendJob.PauseReason.DAILY_LIMIT)
GOING = Q(state=State.RUNNING) | LIMITED


def submit(job: SendJob, *, by: AbstractBaseUser | None, rehearsal: Mapping[str, Any] | None = None) -> None:
    """Hand a finished draft over, with its dry run. Raises ``Refused`` with the fields that are wrong.

    A job that can reach no more people than the mini-program's threshold needs no second person and is scheduled.
    """
    rehearsed = versions.content_of(job)
    with transaction.atomic():
        _lock(job)
        if versions.content_of(job) != rehearsed:
            raise Refused(_("Somebody changed the job meanwhile, so nothing was submitted."), code="changed")
        previews.check(job)
        reach = previews.reach(job)
        small = _is_small(job, reach=reach)
        moved = _move(
            job,
            frm={State.DRAFT},
            to=State.SCHEDULED if small else State.SUBMITTED,
            submitted_at=Now(),
            submitted_by=by,
            rehearsal=rehearsal or {},
            versions=[*job.versions, _version(job, by=by, is_approved=small)][-versions.KEPT :],
            refusal="",
            approved_by=None,
            approved_at=None,
        )
        _require(moved, job, _("Only a draft can be submitted."))
        audit(
            by,
            action="submit",
            subject=_subject(job),
            mini_program=job.mini_program_id,
            reach=reach,
            approval="not needed" if small else "needed",
        )


def approve(job: SendJob, *, by: AbstractBaseUser, seen: str = "", rehearsal: Mapping[str, Any] | None = None) -> None:
    """Agree to a submitted job. Raises ``Refused`` for a job one composed or submitted: it takes a second person.

    ``seen`` is the digest of what the approver had before them; without one it is what was handed over. When the
    audience or the template is not that any more, they have to look again. ``rehearsal`` is the dry run they saw then.
    """
    with transaction.atomic():
        _lock(job)
        _require_second_person(job, by)
        previews.check(job)
        now = _version(job, by=by, is_approved=True)
        if (seen or _handed_over(job)) not in {"", versions.digest(now["content"])}:
            raise Refused(
                _("The job, its audience or its template has changed, so nothing was approved. Look at it again."),
                code="changed",
            )
        moved = _move(
            job,
            frm={State.SUBMITTED},
            to=State.SCHEDULED,
            approved_by=by,
            approved_at=Now(),
            versions=[*job.versions[:-1], now],
            rehearsal=rehearsal or job.rehearsal,
        )
        _require(moved, job, _("Only a job that waits for approval can be approved."))
        audit(by, action="approve", subject=_subject(job), mini_program=job.mini_program_id)


def refuse(job: SendJob, *, by: AbstractBaseUser, reason: str) -> None:
    """Send a submitted job back to its composer, with the reason. Raises ``Refused`` for one's own, as ``approve``."""
    if not reason.strip():
        raise Refused(_("Say why, so that the composer can mend it."), fields={"reason": _("required")})
    with transaction.atomic():
        _lock(job)
        _require_second_person(job, by)
        _require(
            _move(job, frm={State.SUBMITTED}, to=State.DRAFT, refusal=reason.strip()[:400]),
            job,
            _("Only a job that waits for approval can be refused."),
        )
        audit(by, action="refuse", subject=_subject(job), mini_program=job.mini_program_id, reason=reason.strip()[:400])


def reopen(job: SendJob, *, by: AbstractBaseUser) -> None:
    """Take a submitted or scheduled job back to draft, so that it can be changed: it has to be approved again."""
    with transaction.atomic():
        moved = _move(job, frm={State.SUBMITTED, State.SCHEDULED}, to=State.DRAFT, approved_by=None, approved_at=None)
        _require(moved, job, _("Only a job that has not started can be taken back."))
        _cancel_occurrences(job, by=by)
        audit(by, action="reopen", subject=_subject(job), mini_program=job.mini_program_id)


def send_back_all(*, template: MessageTemplate, reason: str) -> int:
    """The words of a template's scheduled jobs and patterns do not hold any more: back to draft; returns how many."""
    with transaction.atomic():
        scheduled = SendJob.objects.select_for_update().filter(template=template, state=State.SCHEDULED)
        jobs = list(scheduled.order_by("pk"))
        for job in jobs:
            _move(job, frm={State.SCHEDULED}, to=State.DRAFT, refusal=reason[:400], approved_by=None, approved_at=None)
            audit(None, action="reopen", subject=_subject(job), mini_program=job.mini_program_id, reason=reason)
    return len(jobs)


def start(job: SendJob, *, by: AbstractBaseUser | None = None) -> None:
    """Begin to send a scheduled job now; from here on its audience is frozen.

    One that was small enough to need no second person, and is not any more, waits for approval instead (``Refused``).
    """
    if job.is_pattern:
        raise Refused(_("A series is sent by its schedule."), code="wrong_state")
    if _hand_over_outgrown(job):
        sentence = _("By now the job may reach more people than go out without a second person: it waits for approval.")
        raise Refused(sentence, code="needs_approval")
    with transaction.atomic():
        newest = Subscriber.objects.filter(mini_program_id=job.mini_program_id).aggregate(newest=Max("pk"))["newest"]
        moved = _move(job, frm={State.SCHEDULED}, to=State.RUNNING, started_at=Now(), fanout_upto=newest or 0)
        _require(moved, job, _("Only an approved job can be started."))
        audit(by, action="start", subject=_subject(job), mini_program=job.mini_program_id)


def start_test(job: SendJob, *, by: AbstractBaseUser, card_state: str, people: int, words: Variant) -> SendJob:
    """Make and start a small job with one variant of a draft; the caller names its few people, in its transaction.

    It needs no approval: it goes to testers only. It has an hour, and knows no start, hours or pace of the campaign.
    """
    test = SendJob.objects.create(
        mini_program_id=job.mini_program_id,
        name=_("Test: %(name)s") % {"name": job.name[:60]},
        purpose=job.purpose or _("A test"),
        template_id=job.template_id,
        audience_id=job.audience_id,
        test_of=job,
        card_state=card_state,
        state=State.RUNNING,
        created_by_id=by.pk,
        not_after=database_now() + TEST_LASTS,
        started_at=database_now(),
        fanned_out_at=database_now(),
        fanout_upto=0,
        audience_size=people,
    )
    copies.copy_words([words], to=test)
    audit(by, action="test", subject=_subject(job), mini_program=job.mini_program_id, test=test.pk, people=people)
    return test


def start_due() -> int:
    """Start every scheduled job whose time has come; returns how many. One that breaks must not stop the others."""
    started = 0
    for job in SendJob.objects.filter(DUE).order_by("starts_at"):
        try:
            start(job)
        except Refused:
            continue
        except OperationalError:
            raise  # the database is away, for all of them
        except Exception:
            logger.exception("job %s cannot be started", job.pk, extra=_of(job))
            continue
        started += 1
    return started


def make_occurrence(pattern: SendJob, *, day: date, starts_at: datetime, not_after: datetime) -> SendJob:
    """Make the scheduled job of one occurrence: what was agreed to for the pattern is agreed to for it."""
    with transaction.atomic():
        job = SendJob.objects.create(
            mini_program_id=pattern.mini_program_id,
            name=f"{pattern.name[:68]} {day:%Y-%m-%d}",
            purpose=pattern.purpose,
            template_id=pattern.template_id,
            audience_id=pattern.audience_id,
            series_id=pattern.series_id,
            occurrence=day,
            state=State.SCHEDULED,
            starts_at=starts_at,
            not_after=not_after,
            window_from=pattern.window_from,
            window_until=pattern.window_until,
            pace_per_second=pattern.pace_per_second,
            created_by_id=pattern.created_by_id,
            submitted_by_id=pattern.submitted_by_id,
            approved_by_id=pattern.approved_by_id,
            submitted_at=pattern.submitted_at,
            approved_at=pattern.approved_at,
        )
        copies.copy_words(variants.of_job(pattern), to=job)
        audit(None, action="occur", subject=_subject(job), mini_program=job.mini_program_id, pattern=pattern.pk)
    return job


def pause(job: SendJob, *, by: AbstractBaseUser) -> None:
    """Stand still until a person resumes; at most the wave that is leaving still leaves."""
    with transaction.atomic():
        by_person = {"pause_reason": SendJob.PauseReason.OPERATOR, "pause_detail": "", "paused_at": Now()}
        moved = _move(job, frm={State.RUNNING, State.PAUSED}, only=GOING, to=State.PAUSED, **by_person)
        _require(moved, job, _("Only a running job can be paused."))
        audit(by, action="pause", subject=_subject(job), mini_program=job.mini_program_id)


def pause_all(
    *,
    reason: SendJob.PauseReason,
    detail: str,
    mini_program: MiniProgram | None = None,
    template: MessageTemplate | None = None,
    job_ids: Collection[int] = (),
) -> int:
    """The engine stops the running jobs of a mini-program, of a template, or these; returns how many stopped."""
    whom = Q(pk__in=job_ids)
    if mini_program:
        whom |= Q(mini_program=mini_program)
    if template:
        whom |= Q(template=template)
    words = {"reason": str(reason), "detail": detail}
    with transaction.atomic():
        going = SendJob.objects.select_for_update().filter(whom, GOING).exclude(pause_reason=reason)
        running = list(going.order_by("pk"))
        for job in running:
            logger.warning("the job is paused: %s", reason, extra=_of(job))
            audit(None, action="pause", subject=_subject(job), mini_program=job.mini_program_id, **words)
        return SendJob.objects.filter(GOING, pk__in=[job.pk for job in running]).update(
            state=State.PAUSED, pause_reason=reason, pause_detail=detail[:400], paused_at=Now()
        )


def resume(job: SendJob, *, by: AbstractBaseUser) -> None:
    """Go on."""
    with transaction.atomic():
        _require(_move(job, frm={State.PAUSED}, to=State.RUNNING), job, _("Only a paused job can go on."))
        audit(by, action="resume", subject=_subject(job), mini_program=job.mini_program_id)


def resume_limited(which: Q, *, why: str) -> int:
    """The engine lets those jobs go on that wait for WeChat's quota and for nothing else; returns how many."""
    words = {"reason": str(SendJob.PauseReason.DAILY_LIMIT), "detail": why}
    with transaction.atomic():
        limited = list(SendJob.objects.select_for_update().filter(LIMITED, which).order_by("pk"))
        for job in limited:
            _move(job, frm={State.PAUSED}, to=State.RUNNING)
            audit(None, action="resume", subject=_subject(job), mini_program=job.mini_program_id, **words)
    return len(limited)


def cancel(job: SendJob, *, by: AbstractBaseUser) -> None:
    """Stop for good. Who has not been sent to yet gets nothing; what has left stays in the log."""
    with transaction.atomic():
        _require(_move(job, frm=SendJob.CANCELLABLE, to=State.CANCELLED), job, _("This job is over."))
        _cancel_occurrences(job, by=by)
        audit(by, action="cancel", subject=_subject(job), mini_program=job.mini_program_id)


def cancel_upcoming(series_id: int, *, by: AbstractBaseUser) -> None:
    """Cancel what was made of a series and has not started, in the caller's transaction."""
    made = SendJob.objects.filter(series=series_id, occurrence__isnull=False, state=State.SCHEDULED)
    for job in made.order_by("pk"):
        cancel(job, by=by)


def _cancel_occurrences(job: SendJob, *, by: AbstractBaseUser) -> None:
    """What was made of a pattern goes where the pattern goes."""
    if job.is_pattern and job.series_id:
        cancel_upcoming(job.series_id, by=by)


def close_cancelled(job: SendJob) -> bool:
    """The engine has cleared away what a cancelled job had waiting: it has ended."""
    return SendJob.objects.filter(pk=job.pk, state=State.CANCELLED, ended_at__isnull=True).update(ended_at=Now()) == 1


def finish(job: SendJob) -> bool:
    """The engine found nothing left to do; False when the job is not running any more."""
    return _move(job, frm={State.RUNNING}, to=State.FINISHED, ended_at=Now())


def freeze_step(job: SendJob, *, after: int, reached: int, people: int, done: bool) -> bool:
    """Note how far the fan-out got: ``people`` more are in, up to subscriber ``reached``.

    False when another worker took this step, or the job does not run any more: the caller must roll back.
    """
    changes: dict[str, Any] = {"fanout_after": reached, "audience_size": job.audience_size + people}
    if done:
        changes["fanned_out_at"] = Now()
    step = SendJob.objects.filter(pk=job.pk, state=State.RUNNING, fanout_after=after, fanned_out_at__isnull=True)
    if step.update(**changes) != 1:
        return False
    job.fanout_after, job.audience_size = reached, job.audience_size + people
    return True


def note_pruned_skips(job: SendJob, *, by_reason: Mapping[str, int]) -> None:
    """Add to the sums of skips that are being deleted. The job is locked by the caller's transaction."""
    sums = Counter(job.pruned_skips)
    sums.update(by_reason)
    SendJob.objects.filter(pk=job.pk).update(pruned_skips=dict(sums))


def _lock(job: SendJob) -> None:
    """Hold the row and know it as it is: what was loaded with the request may have been changed since."""
    job.refresh_from_db(from_queryset=SendJob.objects.select_for_update(of=("self",)))


def _is_small(job: SendJob, *, reach: int) -> bool:
    return 0 < job.mini_program.approval_threshold >= reach


def _hand_over_outgrown(job: SendJob) -> bool:
    """Let a scheduled job that nobody approved wait for approval, when it is not small any more."""
    with transaction.atomic():
        _lock(job)
        if job.state != State.SCHEDULED or job.approved_by_id is not None:
            return False
        reach = previews.reach(job)
        if _is_small(job, reach=reach):
            return False
        _move(job, frm={State.SCHEDULED}, to=State.SUBMITTED)
        audit(None, action="outgrown", subject=_subject(job), mini_program=job.mini_program_id, reach=reach)
    return True


def _move(job: SendJob, *, frm: Collection[str], to: SendJob.State, only: Q | None = None, **changes: Any) -> bool:
    if to != State.PAUSED:
        changes = {"pause_reason": "", "pause_detail": "", "paused_at": None, **changes}
    moved = SendJob.objects.filter(only or Q(), pk=job.pk, state__in=frm).update(state=to, **changes) == 1
    if moved:
        logger.info("the job is %s", to, extra=_of(job))
    return moved


def _of(job: SendJob) -> Mapping[str, int]:
    """Return the fields of a line in the log."""
    return {"job": job.pk, "mini_program": job.mini_program_id}


def _version(job: SendJob, *, by: AbstractBaseUser | None, is_approved: bool) -> dict[str, Any]:
    return {
        "at": database_now().isoformat(timespec="seconds"),
        "by": by.pk if by else None,
        "is_approved": is_approved,
        "content": versions.content_of(job),
    }


def _handed_over(job: SendJob) -> str:
    content = versions.submitted(job)
    return versions.digest(content) if content else ""


def _require_second_person(job: SendJob, by: AbstractBaseUser) -> None:
    if by.pk in {job.created_by_id, job.submitted_by_id}:
        raise Refused(_("Your own job has to be approved by somebody else."), code="own_job")


def _require(moved: bool, job: SendJob, otherwise: str) -> None:
    if not moved:
        raise Refused(otherwise, code="wrong_state")
    job.refresh_from_db()


def _subject(job: SendJob) -> str:
    return f"job {job.pk}"
