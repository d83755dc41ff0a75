"""The inputs of a card's words: one for each keyword of a template, with what the page needs to count and to help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from notify_platform.console.desk.templates import limit_of
from notify_platform.jobs import previews, variants
from notify_platform.jobs.models import Variant
from templates_app import fields as rules
from templates_app.models import MessageTemplate, TemplateField

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

TEXT, FIT = "text_", "fit_"
INPUT = "compose-input"
# What a person's value is called, and the words that stand for it where it is missing.
_PLACEHOLDERS: Mapping[str, tuple[_StrPromise, _StrPromise]] = {
    "nickname": (_("Nickname"), _("friend")),
    "region": (_("Region"), _("your region")),
    "city": (_("City"), _("your city")),
}


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A value of the person that a click puts into a text: what the button says, and what it inserts."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of a variant in the form: its name, and what its inputs are called; the first one's have no prefix."""

    name: str
    prefix: str = ""

    @property
    def page(self) -> str:
        """Return the name of the input of the page."""
        return f"{self.prefix}page"

    def text(self, key: str) -> str:
        """Return the name of the input of a keyword."""
        return f"{TEXT}{self.prefix}{key}"

    def fit(self, key: str) -> str:
        """Return the name of the switch that cuts a keyword."""
        return f"{FIT}{self.prefix}{key}"

    def titled(self, title: str) -> str:
        """Return the label of an input: in a list of inputs, the first variant's need no name in front."""
        return f"{self.name} · {title}" if self.prefix else title


def slots(written: Sequence[Variant]) -> list[Slot]:
    """Return a place for each variant a job has, and for each it may get."""
    names = [each.name for each in written]
    names += [name for name in variants.NAMES if name not in names]
    first, *others = names[: len(variants.NAMES)]
    return [Slot(first), *(Slot(name, f"{name}.") for name in others)]


def placeholders() -> list[Placeholder]:
    """Return what a text may say about the person."""
    return [
        Placeholder(str(_PLACEHOLDERS[name][0]), f"{{{{ {name} | {_PLACEHOLDERS[name][1]} }}}}")
        for name in previews.PERSON_VALUES
    ]


def rows_of(template: MessageTemplate) -> list[tuple[str, ...]]:
    """Return the names of the form's fields for the words, row by row."""
    return [(TEXT + row.key, FIT + row.key) if can_be_cut(row) else (TEXT + row.key,) for row in template.fields.all()]


def can_be_cut(row: TemplateField) -> bool:
    """Whether its type lets a text be shortened: those are the free words, the others are data."""
    return not row.choices and rules.field_type(row.key).ending is not None


def text_field(row: TemplateField, slot: Slot) -> forms.Field:
    """Return the input of one keyword: its allowed values if it has some, otherwise a line of text."""
    title = slot.titled(f"{row.label} ({row.key})")
    attrs = {"class": INPUT, **_data(row, slot)}
    if row.choices:
        choices = [("", gettext("Choose a value")), *((choice, choice) for choice in row.choices)]
        return forms.ChoiceField(label=title, choices=choices, help_text=_help(row), widget=forms.Select(attrs=attrs))
    widget = forms.TextInput(attrs={**attrs, "autocomplete": "off", "placeholder": row.example})
    return forms.CharField(label=title, max_length=400, help_text=_help(row), widget=widget)


def fit_field(row: TemplateField, slot: Slot) -> forms.BooleanField:
    """Return the switch that lets a text be cut."""
    return forms.BooleanField(
        label=_("Shorten to fit"),
        required=False,
        help_text=_("A text that gets too long for somebody is cut."),
        widget=forms.CheckboxInput(attrs={"data-fit": slot.prefix + row.key}),
    )


def page_field(slot: Slot) -> forms.CharField:
    """Return the input of the page a card opens."""
    attrs = {"class": INPUT, "placeholder": "pages/index/index?from=card", "autocomplete": "off", "list": "pages"}
    return forms.CharField(
        label=slot.titled(gettext("Page")),
        required=False,
        max_length=300,
        widget=forms.TextInput(attrs={**attrs, "data-page": ""}),
        help_text=_("Opened by a tap on the card, with its query; empty: the card opens nothing."),
    )


def _data(row: TemplateField, slot: Slot) -> Mapping[str, str]:
    """Return what the page needs to know about an input: how WeChat counts it, and how it would be cut."""
    kind = rules.field_type(row.key)
    told = {"data-word": slot.prefix + row.key, "data-key": row.key, "data-label": slot.titled(row.label)}
    told["data-limit"] = str(kind.limit or "")
    if kind.limit_with_chinese:
        told["data-limit-chinese"] = str(kind.limit_with_chinese)
    if kind.counted is rules.DIGITS:
        told["data-counts"] = "digits"
    if can_be_cut(row):
        told["data-ending"] = kind.ending or ""
    return told


def _help(row: TemplateField) -> str:
    kind = rules.field_type(row.key)
    limit = limit_of(row.key)
    head = (
        gettext("%(kind)s, %(limit)s.") % {"kind": kind.label, "limit": limit}
        if limit
        else gettext("%(kind)s.") % {"kind": kind.label}
    )
    said = [head, "" if row.choices else str(kind.rule)]
    if row.example:
        said.append(gettext("Example: %(example)s") % {"example": row.example})
    if not row.strict:
        said.append(gettext("A broken rule is only a warning here."))
    return " ".join(filter(None, said))
