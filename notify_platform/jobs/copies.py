"""A job as the beginning of another one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils.translation import gettext as _

from notify_platform.core.models import audit
from notify_platform.jobs import variants
from notify_platform.jobs.models import SendJob, Variant

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

NAME_LENGTH = 80


def copy(job: SendJob, *, by: AbstractBaseUser) -> SendJob:
    """Make a new draft with the same words for the same people; when it is sent is decided anew."""
    name = _("%(name)s (copy)") % {"name": job.name[: NAME_LENGTH - 20]}
    with transaction.atomic():
        new = draft_like(job, name=name, audience_id=job.audience_id, by=by)
        audit(by, action="copy", subject=f"job {new.pk}", mini_program=new.mini_program_id, source=job.pk)
    return new


def draft_like(job: SendJob, *, name: str, audience_id: int, by: AbstractBaseUser) -> SendJob:
    """Make a draft with a job's words, in the caller's transaction.

    Hours and pace belong to the campaign and are kept; the start and the deadline were moments of the old one.
    """
    new = SendJob.objects.create(
        mini_program_id=job.mini_program_id,
        name=name[:NAME_LENGTH],
        purpose=job.purpose,
        template_id=job.template_id,
        audience_id=audience_id,
        window_from=job.window_from,
        window_until=job.window_until,
        pace_per_second=job.pace_per_second,
        created_by_id=by.pk,
    )
    copy_words(variants.of_job(job), to=new)
    return new


def copy_words(words: Iterable[Variant], *, to: SendJob) -> None:
    """Give a job, which has none yet, the words of another one: these wordings, each with its page."""
    Variant.objects.bulk_create(
        Variant(job=to, name=each.name, page=each.page, texts=each.texts, fit_keys=each.fit_keys) for each in words
    )
