"""What the scripts of the composing page say; scripts themselves hold no words."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext as _


def page_words() -> Mapping[str, str]:
    """Return the sentences by the names the scripts know them by; {…} is filled in there."""
    return {
        "saved": _("Saved at {at}"),
        "saving": _("Saving …"),
        "kept": _("Kept in this browser; not saved yet"),
        "kept_wrong": _("Kept in this browser; it can be saved once what is marked red is mended"),
        "away": _("The server cannot be reached. What you typed is kept in this browser."),
        "session": _("You have been logged out. What you typed is kept in this browser:"),
        "log_in": _("log in in another tab, then go on here"),
        "overtaken": _("Somebody saved this job after you had opened it. Yours is kept in this browser."),
        "see_theirs": _("See what was saved"),
        "save_mine": _("Save mine over it"),
        "restored": _("What you had typed before is back."),
        "start_afresh": _("Start afresh"),
        "unfinished": _("You have an unfinished message from {at}: {name}"),
        "go_on": _("Go on with it"),
        "discard": _("Discard it"),
        "variant_added": _("Variant {name} begins with the same words."),
        "variant_dropped": _("Variant {name} was removed."),
        "undo": _("Undo"),
        "nameless": _("without a name"),
        "over": _("{label}: {count} of {limit} characters, too long"),
        "cut": _("{count}/{limit}, is cut"),
        "looking": _("Looking …"),
        "checking": _("Sending it through all gates, without sending it …"),
        "clean": _("Checked: nothing is missing."),
        "unclean": _("Checked: {count} to be mended."),
        "changed": _("Something was changed since this check."),
        "broken": _("That did not work. Try once more."),
        "next": _("Next: {step}"),
        "done": _("done"),
        "open": _("still open"),
        "wrong": _("to be mended"),
        "nothing_found": _("No template is called like that."),
        "carried": _("The template was changed. What you had typed is still here."),
    }
