"""Words of the theme that it ships without Chinese, and a few of Django's that read stiffly in it.

Nothing imports this module. It lists the words where makemessages looks, so that they stay in our catalogue; a test
compares the list with the installed theme.
"""

from __future__ import annotations

from django.utils.translation import gettext_noop as _
from django.utils.translation import ngettext_lazy

RAW_PASSWORDS = _(
    "Raw passwords are not stored, so there is no way to see this "
    "user’s password, but you can change the password using "
    '<a href="{}" class="text-primary-600 dark:text-primary-500">this form</a>.'
)
# The theme leaves the line breaks of its template in the message.
FOUND = ngettext_lazy(
    "\n                Found %(counter)s result in %(time)s seconds\n            ",
    "\n                Found %(counter)s results in %(time)s seconds\n            ",
    "counter",
)
STIFF = (_(" By %(filter_title)s "), _("Add %(name)s"), _("Add %s"))
# Django's words for accounts, which in Chinese are ours for people and their consent.
ACCOUNTS = (_("Authentication and Authorization"), _("user"), _("users"), _("group"), _("groups"))
WORDS = (
    _("Add row"),
    _("After you've created a user, you’ll be able to edit more user options."),
    _("All applications"),
    _("Apply Filters"),
    _("Cancel"),
    _("Choose file to upload"),
    _("Click to cancel"),
    _("Click to download"),
    _("Dark"),
    _("Dataset not found. No action performed."),
    _("Date"),
    _("Date from"),
    _("Date to"),
    _("Expand row"),
    _("False"),
    _("Filters"),
    _("From"),
    _("General"),
    _("Go back"),
    _("Image preview"),
    _("Light"),
    _("Loading more results..."),
    _("More actions"),
    _("Next"),
    _("No data"),
    _("No recent searches"),
    _("No results found"),
    _("No results matching your query"),
    _("Not enough data."),
    _("Previous"),
    _("Recent searches"),
    _("Record picture"),
    _("Reset filters"),
    _("Return to site"),
    _("Run"),
    _("Search apps and models..."),
    _("Select action"),
    _("Select action to run"),
    _("Select all rows"),
    _("Select currency"),
    _("Select record"),
    _("Select value"),
    _("Submit"),
    _("System"),
    _("This item will be deleted."),
    _("This page yielded into no results. Create a new item or reset your filters."),
    _("To"),
    _("Toggle password visibility"),
    _("True"),
    _("Type to search"),
    _("Value"),
    _("Welcome"),
    _("Welcome back to"),
    _("You can not create nested object without parent"),
    _("You have been successfully logged out from the administration"),
)
