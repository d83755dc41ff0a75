"""What to do about each reason for which somebody waits or gets nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from notify_platform.delivery.models import Reason

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

NEXT_STEPS: Mapping[str, _StrPromise] = {
    Reason.NO_CONSENT: _("Ask for consent in a scene, then write a new job to them."),
    Reason.UNREACHABLE: _("Nothing to do: the openid is not valid any more."),
    Reason.FORGOTTEN: _("Nothing to do: the person's data is erased."),
    Reason.SWITCHED_OFF: _("Only the person can turn it on again, in WeChat's settings of the mini-program."),
    Reason.MUTED: _("Respect it. The person can unmute the template in the preference centre."),
    Reason.CONTENT: _("Shorten the words or tick “shorten to fit”, then write a new job to them."),
    Reason.TOO_LATE: _("Set a later deadline next time, or write a new job to them."),
    Reason.PERSON_PAUSED: _("Wait until the pause the person chose is over."),
    Reason.CAP: _("Send less often, or raise the cap of the mini-program."),
    Reason.QUIET_HOURS: _("Goes on by itself when the quiet hours are over."),
    Reason.WINDOW: _("Goes on by itself when the job's hours begin."),
    Reason.RETRY: _("Nothing to do: it is tried again by itself."),
}
