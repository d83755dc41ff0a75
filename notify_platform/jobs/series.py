"""Series: one approved job, the pattern, of which a job is made for each occurrence.

The only writer of ``Series``. A series lives as long as its pattern is scheduled, that is approved; to change the words
or the schedule, the pattern goes back to draft and has to be approved again. Each occurrence is made once: by a
compare-and-set on ``next_at``, and a constraint behind it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

from django.db import OperationalError, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from notify_platform.core.clock import database_now
from notify_platform.core.errors import Refused
from notify_platform.core.models import audit
from notify_platform.jobs import jobs, occurrences
from notify_platform.jobs.models import SendJob, Series
from notify_platform.jobs.occurrences import Schedule

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

logger = logging.getLogger(__name__)

# A job is made this long before its time, so that people see it coming.
LEAD: Final = timedelta(minutes=5)
LONGEST_HOURS: Final = 23
State = SendJob.State


class _Lost(Exception):
    """The pattern was taken back, or another worker was first: roll back."""


def schedule_of(series: Series) -> Schedule:
    """Return when a series comes."""
    zone = series.mini_program.zone
    return Schedule(series.weekdays, series.at_time, series.starts_on, series.ends_on, zone)


def pattern_of(series: Series) -> SendJob | None:
    """Return the job that says what a series sends, and to whom."""
    return SendJob.objects.filter(series=series, occurrence__isnull=True).first()


# --- what people do --------------------------------------------------------------------------------------------------


def schedule(
    job: SendJob,
    *,
    by: AbstractBaseUser,
    weekdays: Collection[int],
    at_time: time,
    starts_on: date,
    ends_on: date | None,
    within_hours: int,
) -> Series:
    """Make a draft the pattern of a series, or change when its series comes. Raises ``Refused``."""
    _check(job, weekdays=weekdays, starts_on=starts_on, ends_on=ends_on, within_hours=within_hours)
    values = {
        "mini_program_id": job.mini_program_id,
        "name": job.name,
        "weekdays": sorted(set(weekdays)),
        "at_time": at_time,
        "starts_on": starts_on,
        "ends_on": ends_on,
        "within_hours": within_hours,
        "is_active": True,
    }
    with transaction.atomic():
        series = _written(job.series, values)
        first = _restart(series)
        if first is None:
            raise Refused(_("No such day lies ahead."), fields={"ends_on": _("too early")})
        # Its own moments would only be in the way of the schedule's.
        draft = SendJob.objects.filter(pk=job.pk, state__in=SendJob.EDITABLE, occurrence__isnull=True)
        if not draft.update(series=series, starts_at=None, not_after=None):
            raise Refused(_("Only a draft can be repeated: take the job back first."), code="wrong_state")
        job.refresh_from_db()
        told = {"weekdays": values["weekdays"], "at": f"{at_time:%H:%M}", "from": starts_on.isoformat()}
        audit(by, action="repeat", subject=f"job {job.pk}", mini_program=job.mini_program_id, series=series.pk, **told)
    return series


def unschedule(job: SendJob, *, by: AbstractBaseUser) -> None:
    """Make a pattern an ordinary draft again; what its series has sent stays. Raises ``Refused``."""
    with transaction.atomic():
        draft = SendJob.objects.filter(
            pk=job.pk, state__in=SendJob.EDITABLE, series__isnull=False, occurrence__isnull=True
        )
        series_id = job.series_id
        if not draft.update(series=None):
            raise Refused(_("Only a draft can be changed: take the job back first."), code="wrong_state")
        left = Series.objects.filter(pk=series_id or 0)
        left.update(is_active=False, next_at=None)
        left.filter(jobs__isnull=True).delete()
        job.refresh_from_db()
        audit(by, action="unrepeat", subject=f"job {job.pk}", mini_program=job.mini_program_id, series=series_id)


def pause(series: Series, *, by: AbstractBaseUser) -> None:
    """Make no more jobs until resumed; one that is made and has not started is cancelled. Raises ``Refused``."""
    with transaction.atomic():
        if not Series.objects.filter(pk=series.pk, is_active=True).update(is_active=False):
            raise Refused(_("The series does not run."), code="wrong_state")
        jobs.cancel_upcoming(series.pk, by=by)
        audit(by, action="pause", subject=f"series {series.pk}", mini_program=series.mini_program_id)


def resume(series: Series, *, by: AbstractBaseUser) -> None:
    """Go on with the next occurrence from now; what was missed stays missed. Raises ``Refused``."""
    with transaction.atomic():
        stopped = Series.objects.filter(pk=series.pk, is_active=False)
        if not _patterns().filter(series=series).exclude(state=State.CANCELLED).exists():
            raise Refused(_("The series has ended."), code="wrong_state")
        if not stopped.update(is_active=True):
            raise Refused(_("The series runs already."), code="wrong_state")
        _restart(series)
        audit(by, action="resume", subject=f"series {series.pk}", mini_program=series.mini_program_id)


def end(series: Series, *, by: AbstractBaseUser) -> None:
    """Stop for good, and cancel the pattern. Raises ``Refused``."""
    with transaction.atomic():
        Series.objects.filter(pk=series.pk).update(is_active=False, next_at=None)
        pattern = pattern_of(series)
        if pattern is None or pattern.state == State.CANCELLED:
            raise Refused(_("The series has ended."), code="wrong_state")
        jobs.cancel(pattern, by=by)
        audit(by, action="end", subject=f"series {series.pk}", mini_program=series.mini_program_id)


def _check(
    job: SendJob, *, weekdays: Collection[int], starts_on: date, ends_on: date | None, within_hours: int
) -> None:
    wrong: dict[str, str] = {}
    if not weekdays or not set(weekdays) <= set(range(1, 8)):
        wrong["weekdays"] = _("Choose at least one weekday.")
    if ends_on is not None and ends_on < starts_on:
        wrong["ends_on"] = _("The last day lies before the first.")
    if not 1 <= within_hours <= LONGEST_HOURS:
        wrong["within_hours"] = _("From 1 to 23 hours.")
    if wrong:
        raise Refused(" ".join(wrong.values()), code="invalid", fields=wrong)
    if job.occurrence is not None:
        raise Refused(_("This job is one occurrence of a series: repeat its pattern."), code="wrong_state")


def _written(known: Series | None, values: Mapping[str, Any]) -> Series:
    if known is None:
        return Series.objects.create(**values)
    Series.objects.filter(pk=known.pk).update(**values)
    known.refresh_from_db()
    return known


def _restart(series: Series) -> datetime | None:
    """Look for the next occurrence from now on."""
    found = occurrences.following(schedule_of(series), after=database_now())
    series.next_at = found.at if found else None
    Series.objects.filter(pk=series.pk).update(next_at=series.next_at)
    return series.next_at


# --- what the worker does --------------------------------------------------------------------------------------------


def make_due() -> int:
    """Make the jobs of all occurrences that are about to come; returns how many series were dealt with.

    A series that breaks must not stop the others.
    """
    done = 0
    for series in due().select_related("mini_program").order_by("next_at", "pk"):
        try:
            done += _deal_with(series)
        except OperationalError:
            raise  # the database is away, for all of them
        except Exception:
            about = {"mini_program": series.mini_program_id}
            logger.exception("series %s cannot be kept moving", series.pk, extra=about)
    return done


def due() -> QuerySet[Series]:
    """Return the series that come within the next minutes, or should have come."""
    agreed = _patterns().filter(series=OuterRef("pk"), state=State.SCHEDULED)
    return Series.objects.filter(Exists(agreed), is_active=True, next_at__lte=Now() + LEAD)


def _deal_with(series: Series) -> bool:
    """Make one job, or none when it is too late; False: another worker was first, or the pattern was taken back.

    After a downtime of days the last occurrence alone counts: sent when its hours are not over, else dropped.
    """
    now = database_now()
    rule = schedule_of(series)
    seen = series.next_at or now
    last = occurrences.last_one(rule, until=max(seen, now + LEAD))
    after = occurrences.following(rule, after=last.at if last else seen)
    try:
        with transaction.atomic():
            mine = Series.objects.filter(pk=series.pk, is_active=True, next_at=seen)
            if not mine.update(next_at=after.at if after else None):
                raise _Lost
            if last is None or not _make(series, last, now=now):
                audit(None, action="miss", subject=f"series {series.pk}", mini_program=series.mini_program_id)
    except _Lost:
        return False
    return True


def _make(series: Series, one: occurrences.Occurrence, *, now: datetime) -> bool:
    """Make the job of an occurrence; False when it is too late, was made before, or was not agreed to by then."""
    pattern = _patterns().select_for_update().filter(series=series, state=State.SCHEDULED).first()
    if pattern is None:
        raise _Lost
    ends_at = one.at + timedelta(hours=series.within_hours)
    agreed_at = pattern.approved_at or pattern.submitted_at or now
    made = SendJob.objects.filter(series=series, occurrence=one.day)
    if ends_at <= now or one.at < agreed_at or made.exists():
        return False
    jobs.make_occurrence(pattern, day=one.day, starts_at=one.at, not_after=ends_at)
    return True


def _patterns() -> QuerySet[SendJob]:
    return SendJob.objects.filter(series__isnull=False, occurrence__isnull=True)
