"""What a failed popup means: the codes ``wx.requestSubscribeMessage`` fails with on the phone.

They are not those of the send interface (``outcomes``), though one number is in both lists. Source: WeChat's docs, the
table of error codes of "wx.requestSubscribeMessage". **A new code is one new row.**
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

Sentence: TypeAlias = "str | _StrPromise"


class PopupFailure(NamedTuple):
    """What happened, and what to do."""

    meaning: Sentence
    next_step: Sentence


_A_BUG = _("Have the mini-program's developers mend the call.")
_ASK_LATER = _("Nothing to do: the person is asked again on another occasion.")

CODES: Final[Mapping[int, PopupFailure]] = {
    10001: PopupFailure(_("The list of templates was empty."), _A_BUG),
    10002: PopupFailure(_("The network failed while the templates were fetched."), _ASK_LATER),
    10003: PopupFailure(_("The network failed while the answer was sent."), _ASK_LATER),
    10004: PopupFailure(_("The list of templates has the wrong form."), _A_BUG),
    10005: PopupFailure(
        _("The popup could not be shown; mostly the mini-program had gone to the background."), _ASK_LATER
    ),
    20001: PopupFailure(
        _("WeChat does not know a template of the list."),
        _("Sync the templates, and see which ones the scene asks for."),
    ),
    20002: PopupFailure(_("One-time and long-term templates were asked for together."), _A_BUG),
    20003: PopupFailure(
        _("Too many templates were asked for at once."),
        _("Lower “templates in one popup” of the mini-program, or have the call mended."),
    ),
    20004: PopupFailure(
        _("The person has turned off all messages of the mini-program in WeChat."),
        _("Explain in the mini-program how to turn them on again, where it matters to the person."),
    ),
    20005: PopupFailure(
        _("WeChat has banned the mini-program from asking."), _("Read WeChat's notice in its console, and appeal.")
    ),
    20013: PopupFailure(_("A template of a device was asked for in an ordinary popup."), _A_BUG),
}


def describe(code: int) -> PopupFailure:
    """Return what a code means and what to do, also of one nobody has listed."""
    return CODES.get(code) or PopupFailure(
        _("WeChat gives no meaning for this code."), _("Look it up in WeChat's docs of the popup.")
    )
