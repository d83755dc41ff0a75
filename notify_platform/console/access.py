"""Which mini-programs a colleague works with, as one rule for every page of the desk.

Who is given none works with all of them, also with those that come later; who is given some sees those and nothing of
the others: no row, no number, no choice of a form. An administrator sees everything. What belongs to no mini-program
(workers, roles) is a matter of permissions alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import transaction
from django.db.models import Field, Model, Q, QuerySet

from notify_platform.console.models import Access
from notify_platform.core.models import audit
from templates_app.models import MiniProgram

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User

    Somebody = AbstractBaseUser | AnonymousUser

Row = TypeVar("Row", bound=Model)
# Of two ways of one length: through the smaller table.
_PREFERRED = ("template", "scene", "job", "trigger", "audience", "subscriber", "delivery")


def programs_of(somebody: Somebody) -> frozenset[int] | None:
    """Return the mini-programs somebody works with; None: all of them. Asked once for each request."""
    if not somebody.is_authenticated:
        return frozenset()
    if getattr(somebody, "is_superuser", False):
        return None
    if not hasattr(somebody, "_mini_programs"):
        given = frozenset(Access.objects.filter(user=somebody.pk).values_list("mini_program", flat=True))
        somebody._mini_programs = given or None  # type: ignore[attr-defined]
    known: frozenset[int] | None = somebody._mini_programs  # type: ignore[attr-defined]
    return known


def is_limited(somebody: Somebody) -> bool:
    """Whether there may be mini-programs that somebody does not work with."""
    return programs_of(somebody) is not None


def limit(rows: QuerySet[Row], *, to: Somebody) -> QuerySet[Row]:
    """Return the rows of the mini-programs somebody works with."""
    programs, lookups = programs_of(to), ways(rows.model)
    if programs is None or not lookups:
        return rows
    within = Q()
    for lookup in lookups:
        within |= Q(**{f"{lookup}__in": programs})
    return rows.filter(within)


def may_see(row: Model, *, by: Somebody) -> bool:
    """Whether somebody works with the mini-program of a row."""
    return limit(type(row)._default_manager.filter(pk=row.pk), to=by).exists()


def program_of(row: Model) -> int | None:
    """Return the number of the mini-program a row belongs to, if it belongs to one."""
    for lookup in ways(type(row)):
        *parts, last = lookup.split("__")
        holder: Any = row
        for part in parts:
            holder = getattr(holder, part, None)
        if holder is not None:
            number: int | None = holder.pk if last == "pk" else getattr(holder, holder._meta.get_field(last).attname)
            return number
    return None


@lru_cache
def ways(model: type[Model]) -> tuple[str, ...]:
    """Return the lookups from a row to its mini-program.

    None: the rows belong to no mini-program. Several: each row has one of them, as the words of a job or of a trigger.
    """
    if model is MiniProgram:
        return ("pk",)
    if any(field.name == "mini_program" for field in model._meta.fields):
        return ("mini_program",)
    found = [
        (field.null, way.count("__"), _rank(field), f"{field.name}__{way}")
        for field in model._meta.fields
        if isinstance(field.related_model, type) and field.related_model is not model
        for way in ways(field.related_model)
        if way != "pk"
    ]
    certain = sorted(each for each in found if not each[0])
    return (certain[0][-1],) if certain else tuple(lookup for *_others, lookup in sorted(found))


def _rank(field: Field[Any, Any]) -> int:
    return _PREFERRED.index(field.name) if field.name in _PREFERRED else len(_PREFERRED)


def give(user: User, *, mini_programs: Iterable[MiniProgram], by: AbstractBaseUser | None) -> bool:
    """Let somebody work with these and no others (none: with all); False when it was like that before."""
    wanted = {program.pk: program.name for program in mini_programs}
    with transaction.atomic():
        before = dict(Access.objects.filter(user=user).values_list("mini_program", "mini_program__name"))
        if before.keys() == wanted.keys():
            return False
        Access.objects.filter(user=user, mini_program__in=before.keys() - wanted.keys()).delete()
        Access.objects.bulk_create(
            Access(user=user, mini_program_id=pk) for pk in sorted(wanted.keys() - before.keys())
        )
        changes = {"mini_programs": [_names(before.values()), _names(wanted.values())]}
        audit(by, action="give_access", subject=f"user {user.pk}", changes=changes)
    return True


def _names(names: Collection[str]) -> str:
    return "、".join(sorted(names))
