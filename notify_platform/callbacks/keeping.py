"""What the inbox keeps of people, and how long; beside ``inbox`` the only writer of ``CallbackEvent``.

A row stays when its content goes: its digest is what makes a repeated push the same push.
"""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from notify_platform.callbacks.models import CallbackEvent
from notify_platform.delivery.retention import rule_of_rows
from templates_app.models import MiniProgram

State = CallbackEvent.State
# WeChat's docs: pushes name the person in one of these.
_NAMES = ("FromUserName", "OpenID")


def forget(mini_program: MiniProgram, *, openids: Collection[str]) -> int:
    """Empty the pushes that name one of these people; returns how many. What waited to be handled is given up.

    A push handled afterwards would make the person anew.
    """
    pushes = CallbackEvent.objects.filter(mini_program=mini_program)
    ids = list(pushes.filter(openid__in=openids).values_list("pk", flat=True))
    # Without a name of their own, pushes are looked into one by one: few, and read without a lock.
    quoting = Q()
    for name in _NAMES:
        quoting |= Q(**{f"body__{name}__in": list(openids)})
    ids += pushes.filter(quoting, openid="").values_list("pk", flat=True)
    return CallbackEvent.objects.filter(pk__in=ids).update(
        openid="",
        body={},
        state=Case(When(state=State.PENDING, then=Value(State.IGNORED.value)), default=F("state")),
        handled_at=Now(),
    )


def _prunable() -> QuerySet[CallbackEvent]:
    """Return the pushes that may go when they are old: all that do not wait to be handled."""
    return CallbackEvent.objects.exclude(state=State.PENDING)


RETENTION = rule_of_rows("pushes", _("WeChat's pushes"), 30, rows=_prunable, moment="received_at")
