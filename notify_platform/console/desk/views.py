"""Saved views: the filters a colleague comes back to, under a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Model
from django.http import QueryDict
from django.utils.translation import gettext as _

from notify_platform.console.models import SavedView
from notify_platform.core.errors import Refused
from notify_platform.core.models import audit

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

MOST = 20
# What belongs to one look at a list and not to its filters.
# A search names a person: it is not kept.
_FLEETING = ("older", "newer", "e", "p", "q", "all", "_popup", "_to_field")


def of(user_id: int | None, *, model: type[Model]) -> list[SavedView]:
    """Return a colleague's views of a list, in the order of their names."""
    return list(SavedView.objects.filter(user=user_id, page=model._meta.label_lower).order_by("name"))


def keep(*, by: AbstractBaseUser, model: type[Model], name: str, query: str) -> SavedView:
    """Save the filters of a list; the same name again replaces them. Raises ``Refused``."""
    name = " ".join(name.split())
    if not name or len(name) > 30:
        raise Refused(_("Give the view a name of at most 30 characters."), code="bad_name")
    query = lasting(query)
    if len(query) > 500:
        raise Refused(_("These filters are too many for a view."), code="bad_query")
    page = model._meta.label_lower
    with transaction.atomic():
        others = SavedView.objects.filter(user_id=by.pk, page=page).exclude(name=name).count()
        if others >= MOST:
            raise Refused(_("There are %(most)d views of this list already; delete one first.") % {"most": MOST})
        view, _made = SavedView.objects.update_or_create(user_id=by.pk, page=page, name=name, defaults={"query": query})
        audit(by, action="save_view", subject=f"view {view.pk}", list=page, name=name, query=query)
    return view


def drop(*, by: AbstractBaseUser, model: type[Model], pk: int) -> bool:
    """Delete one's own view; return whether there was one."""
    with transaction.atomic():
        gone = SavedView.objects.filter(pk=pk, user_id=by.pk, page=model._meta.label_lower).delete()[0]
        if gone:
            audit(by, action="drop_view", subject=f"view {pk}")
    return bool(gone)


def lasting(query: str) -> str:
    """Return what of an address can be come back to: its filters, and nobody's openid."""
    given = QueryDict(query, mutable=True)
    for name in _FLEETING:
        given.pop(name, None)
    return given.urlencode()
