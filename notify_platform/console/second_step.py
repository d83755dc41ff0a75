"""The second step of the log-in: a code of the phone after the password (TOTP), for installations that turn it on.

``DESK_TOTP``: off; optional, for whoever has set it up; required, for everybody. Until the code is right no page of the
desk opens. A phone that is lost is made up for by one of the codes shown at the set-up, or by an administrator's reset.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import django_otp
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from notify_platform.core.errors import Refused
from notify_platform.core.models import audit

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, User

OFF, OPTIONAL, REQUIRED = "off", "optional", "required"
SPARE_CODES = 8
# Pages that somebody without the second step needs, or that tell nothing.
OPEN = frozenset({"login", "logout", "jsi18n", "auth_user_second_step", "auth_user_second_step_setup"})


def phone_of(user: AbstractBaseUser, *, confirmed: bool = True) -> Any | None:
    """Return the phone whose codes somebody gives, or the one being set up."""
    return TOTPDevice.objects.filter(user=user.pk, confirmed=confirmed).order_by("-pk").first()


# --- setting it up -------------------------------------------------------------------------------------------------


def begin(user: User) -> None:
    """Make a new key for a phone; it counts for nothing until ``confirm``."""
    with transaction.atomic():
        TOTPDevice.objects.filter(user=user, confirmed=False).delete()
        TOTPDevice.objects.create(user=user, name="phone", confirmed=False)


def confirm(user: User, *, code: str) -> tuple[Any, list[str]]:
    """The phone shows the right code: from now on it is asked for. Returns it and the codes for a lost one.

    Raises ``Refused``.
    """
    phone = phone_of(user, confirmed=False)
    if phone is None or not django_otp.verify_token(user, phone.persistent_id, _digits(code)):
        raise Refused(_("This code is not right. Take the one the phone shows now."), code="wrong_code")
    spares = [StaticToken.random_token() for _number in range(SPARE_CODES)]
    with transaction.atomic():
        TOTPDevice.objects.filter(user=user).exclude(pk=phone.pk).delete()
        StaticDevice.objects.filter(user=user).delete()
        TOTPDevice.objects.filter(pk=phone.pk).update(confirmed=True)
        box = StaticDevice.objects.create(user=user, name="spare codes")
        StaticToken.objects.bulk_create(StaticToken(device=box, token=token) for token in spares)
        audit(user, action="second_step_on", subject=f"user {user.pk}")
    phone.refresh_from_db()
    return phone, spares


def drop(user: User, *, by: AbstractBaseUser | None) -> bool:
    """Forget the phone and the spare codes; False when there were none."""
    with transaction.atomic():
        StaticDevice.objects.filter(user=user).delete()
        _rows, gone = TOTPDevice.objects.filter(user=user).delete()
        if gone:
            audit(by, action="second_step_off", subject=f"user {user.pk}")
    return bool(gone)


# --- giving a code -------------------------------------------------------------------------------------------------


def check(user: User, *, code: str) -> Any:
    """Return the phone, or the box of spare codes, that knows this code. Each miss makes it wait.

    Raises ``Refused``.
    """
    given = _digits(code)
    boxes = TOTPDevice if given.isdigit() else StaticDevice
    for device in boxes.objects.filter(user=user, confirmed=True):
        if django_otp.verify_token(user, device.persistent_id, given):
            if boxes is StaticDevice:
                audit(user, action="spare_code", subject=f"user {user.pk}")
            return device
    audit(user, action="second_step_failed", subject=f"user {user.pk}")
    raise Refused(
        _("This code is not right, or came too soon after a wrong one. Wait for the next."), code="wrong_code"
    )


def _digits(code: str) -> str:
    return "".join(code.split()).lower()


# --- the gate ------------------------------------------------------------------------------------------------------


class SecondStepGate:
    """No page of the desk opens before the second step, whoever asks for it and however."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer as ever; the gate stands before the view."""
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *view: Any) -> HttpResponse | None:
        """Send whoever has not given a code to where it is given or set up."""
        match = request.resolver_match
        if settings.DESK_TOTP == OFF or match is None or match.app_name != "admin" or match.url_name in OPEN:
            return None
        if not request.user.is_authenticated or request.user.is_verified():  # type: ignore[attr-defined]
            return None
        if phone_of(request.user):
            asked = urlencode({"next": request.get_full_path()}) if request.method == "GET" else ""
            return HttpResponseRedirect(f"{reverse('admin:auth_user_second_step')}?{asked}")
        if settings.DESK_TOTP == REQUIRED:
            return HttpResponseRedirect(reverse("admin:auth_user_second_step_setup"))
        return None
