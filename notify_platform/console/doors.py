"""The door of the desk: who came in, who was turned away, and who has to wait.

django-axes counts wrong passwords for each pair of account and address; after ``AXES_FAILURE_LIMIT`` of them that pair
waits for ``AXES_COOLOFF_TIME``. Nobody else is kept out by it. Every coming and going stands in the audit trail.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

from axes.models import AccessAttempt
from axes.signals import user_locked_out
from axes.utils import reset
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from notify_platform.core.models import audit
from notify_platform.delivery import retention
from notify_platform.delivery.retention import Rule

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

FOUND, TOO_MANY_REQUESTS = 302, 429
CHANGE = "admin:password_change"
# An address as some proxies write it down: with a port.
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d+)?|([^:]*):\d+")
# The half of an IPv6 address that one line of one household has for itself.
_OWN_BITS = 64


def client_address(request: HttpRequest) -> str | None:
    """Return who calls: behind ``PROXIES_IN_FRONT`` proxies the entry the outermost of them wrote down.

    What is no address is not believed; the one who is connected stands in for it.
    """
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    hops = [*(hop.strip() for hop in forwarded if hop.strip()), request.META.get("REMOTE_ADDR", "")]
    proxies: int = settings.PROXIES_IN_FRONT
    return line_of(hops[-min(proxies + 1, len(hops))]) or line_of(hops[-1])


def line_of(text: str) -> str | None:
    """Return the address that stands for a caller: of IPv6 the /64, or a new one each time would never have to wait."""
    if parts := _WITH_PORT.fullmatch(text):
        text = parts[1] or parts[2] or ""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> _OWN_BITS << _OWN_BITS))


# --- too many wrong passwords --------------------------------------------------------------------------------------


def locked_out(request: HttpRequest, response: HttpResponse, credentials: Any) -> HttpResponse:
    """Answer somebody who has to wait with the log-in page, which says so; for django-axes."""
    response.status_code = TOO_MANY_REQUESTS
    return response


def is_locked(attempt: AccessAttempt) -> bool:
    """Whether the pair has to wait at this moment."""
    cool_off: timedelta = settings.AXES_COOLOFF_TIME
    is_recent: bool = attempt.attempt_time > timezone.now() - cool_off
    return is_recent and attempt.failures_since_start >= settings.AXES_FAILURE_LIMIT


def waiting_words() -> str:
    """Say what somebody who has to wait can do."""
    minutes = int(settings.AXES_COOLOFF_TIME.total_seconds() // 60)
    sentence = _("Too many wrong passwords. Try again in %(minutes)d minutes, or ask an engineer to let you in.")
    return sentence % {"minutes": minutes}


def let_in(username: str, *, by: AbstractBaseUser | None) -> int:
    """Forget the wrong passwords given for an account; returns how many pairs of account and address were counted."""
    with transaction.atomic():
        forgotten: int = reset(username=username)
        if forgotten:
            audit(by, action="let_in", subject=_subject(username), username=shown(username))
    return forgotten


def _old(before: datetime) -> QuerySet[AccessAttempt]:
    rows: QuerySet[AccessAttempt] = AccessAttempt.objects.filter(attempt_time__lt=before)
    return rows


def _prune(before: datetime) -> int:
    """Delete a batch by moment: a row is written anew with each wrong password, so its key says nothing of its age."""
    batch = list(_old(before).order_by("pk").values_list("pk", flat=True)[: retention.BATCH])
    return _old(before).filter(pk__in=batch).delete()[0] if batch else 0


RETENTION = Rule("logins", gettext_lazy("failed log-ins"), 30, lambda before: _old(before).count(), _prune)


# --- one's own password --------------------------------------------------------------------------------------------


def own_password_noted(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Return the middleware that writes down who changed their own password: Django's view for it tells nobody."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        is_done = response.status_code == FOUND and response.headers["Location"] == reverse(f"{CHANGE}_done")
        if is_done and request.resolver_match and request.resolver_match.view_name == CHANGE:
            who = request.user if request.user.is_authenticated else None
            audit(who, action="own_password", subject=f"user {request.user.pk}", ip=client_address(request))
        return response

    return answer


# --- the audit trail -----------------------------------------------------------------------------------------------


def watch() -> None:
    """Write down from now on who comes and goes."""
    user_logged_in.connect(_came, dispatch_uid="notify_platform.console.came")
    user_logged_out.connect(_left, dispatch_uid="notify_platform.console.left")
    user_login_failed.connect(_was_turned_away, dispatch_uid="notify_platform.console.turned_away")
    user_locked_out.connect(_has_to_wait, dispatch_uid="notify_platform.console.has_to_wait")


def _came(sender: object, *, request: HttpRequest, user: User, **kwargs: Any) -> None:
    audit(user, action="log_in", subject=f"user {user.pk}", ip=client_address(request))


def _left(sender: object, *, request: HttpRequest, user: User | None, **kwargs: Any) -> None:
    if user is not None:
        audit(user, action="log_out", subject=f"user {user.pk}", ip=client_address(request))


def _was_turned_away(
    sender: object, *, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
) -> None:
    # django-axes, connected at its import, has counted by now: the last straw has an entry of its own, and whoever
    # waits already is not written down again and again.
    if request is not None and not getattr(request, "axes_locked_out", False):
        _note("log_in_failed", str(credentials.get("username") or ""), request)


def _has_to_wait(sender: object, *, request: HttpRequest, username: str | None, **kwargs: Any) -> None:
    # django-axes says so at every try; only the one that locked has counted the failures.
    if getattr(request, "axes_failures_since_start", None):
        _note("locked_out", username or "", request)


def _note(action: str, username: str, request: HttpRequest) -> None:
    audit(None, action=action, subject=_subject(username), username=shown(username), ip=client_address(request))


def _subject(username: str) -> str:
    user = User.objects.filter(username=username).only("pk").first()
    return f"user {user.pk}" if user else "login"


def shown(username: str, *, is_known: bool | None = None) -> str:
    """Return a name as it may be shown: one that nobody has may be a password in the wrong box."""
    if is_known is None:
        is_known = User.objects.filter(username=username).exists()
    return username if is_known else f"{username[:2]}…"
