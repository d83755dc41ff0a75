"""A job as the beginning of another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.utils.translation import gettext as _

from notify_platform.core.models import audit
from notify_platform.jobs.models import SendJob, Variant

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

NAME_LENGTH = 80


def copy(job: SendJob, *, by: AbstractBaseUser) -> SendJob:
    """Make a new draft with the same words for the same people; when it is sent is decided anew.

    Hours and pace belong to the campaign and are kept; the start and the deadline were moments of the old one.
    """
    with transaction.atomic():
        new = SendJob.objects.create(
            mini_program_id=job.mini_program_id,
            name=_("%(name)s (copy)") % {"name": job.name[: NAME_LENGTH - 20]},
            purpose=job.purpose,
            template_id=job.template_id,
            audience_id=job.audience_id,
            window_from=job.window_from,
            window_until=job.window_until,
            pace_per_second=job.pace_per_second,
            created_by_id=by.pk,
        )
        Variant.objects.bulk_create(
            Variant(job=new, name=each.name, page=each.page, texts=each.texts, fit_keys=each.fit_keys)
            for each in job.variants.order_by("pk")
        )
        audit(by, action="copy", subject=f"job {new.pk}", mini_program=new.mini_program_id, source=job.pk)
    return new
