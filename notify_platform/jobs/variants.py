"""The wordings of one job that says the same thing in several ways: how many, and who gets which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.db.models import Case, CharField, F, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import MD5, Cast, Concat, Substr
from django.db.models.lookups import LessThan

from notify_platform.jobs.models import SendJob, Variant

# What a new one is called; a job has no more than these. With more, each is read by too few to tell them apart.
NAMES: Final = ("A", "B", "C", "D")
# Hexadecimal digits of the hash that is looked at: shares are equal to a 65,536th.
_DIGITS: Final = 4


def of_job(job: SendJob) -> list[Variant]:
    """Return the variants of a job, the first one first; none of a job that is not stored yet."""
    return list(job.variants.filter(is_dropped=False).order_by("pk")) if job.pk else []


def named(key: str, *, of: Variant, among: Sequence[Variant]) -> str:
    """Return what a part of one wording is called among all: the first one's need no name in front."""
    return key if of.name == among[0].name else f"{of.name}.{key}"


def assigned(job: SendJob) -> Combinable:
    """Return which wording (its key) somebody gets, as an expression on people; the job has at least one.

    Equal shares by a hash of job and person: whoever looks again finds the same, and two jobs do not divide people
    the same way.
    """
    keys = [variant.pk for variant in of_job(job)]
    if len(keys) == 1:
        return Value(keys[0])
    hashed = Substr(MD5(Concat(Value(f"{job.pk}:"), Cast(F("pk"), CharField()))), 1, _DIGITS)
    ends = [f"{16**_DIGITS * (number + 1) // len(keys):0{_DIGITS}x}" for number in range(len(keys) - 1)]
    return Case(
        *(When(LessThan(hashed, end), then=Value(key)) for key, end in zip(keys, ends, strict=False)),
        default=Value(keys[-1]),
    )


def write(job: SendJob, *, words: Sequence[Variant]) -> None:
    """Make these the variants of a draft, by their names; what it had besides is dropped."""
    for each in words:
        told = {"page": each.page, "texts": each.texts, "fit_keys": each.fit_keys, "is_dropped": False}
        Variant.objects.update_or_create(job=job, name=each.name, defaults=told)
    job.variants.exclude(name__in=[each.name for each in words]).update(is_dropped=True)
