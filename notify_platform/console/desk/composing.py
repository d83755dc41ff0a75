"""The form a job is written with: one input for each keyword of its template, and no JSON anywhere."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.db import transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from notify_platform.console.desk.base import require_both_ends
from notify_platform.console.desk.templates import limit_of
from notify_platform.core.errors import Refused
from notify_platform.jobs import previews
from notify_platform.jobs.models import SendJob, Variant
from subscriptions.models import Audience
from templates_app import fields as rules
from templates_app.models import MessageTemplate, TemplateField

if TYPE_CHECKING:
    _JobForm = forms.ModelForm[SendJob]
else:
    _JobForm = forms.ModelForm

# What a person writes into a job, besides its words.
WRITTEN = (
    "name",
    "purpose",
    "template",
    "audience",
    "starts_at",
    "not_after",
    "window_from",
    "window_until",
    "pace_per_second",
)
TEXT, FIT = "text_", "fit_"


def chosen_template(number: object) -> MessageTemplate | None:
    """Return the template with this number, if messages can be made of it.

    One that WeChat has meanwhile taken away is returned too: whoever was just writing gets a sentence, not a blank.
    """
    if not str(number).isdigit():
        return None
    found = MessageTemplate.objects.filter(pk=str(number), kind__in=MessageTemplate.SENDABLE_KINDS)
    return found.select_related("mini_program").first()


def word_rows(template: MessageTemplate) -> list[tuple[str, ...]]:
    """Return the names of the form's fields for the words, row by row."""
    return [(TEXT + row.key, FIT + row.key) if _can_be_cut(row) else (TEXT + row.key,) for row in template.fields.all()]


class JobForm(_JobForm):
    """A job and its words. Saving a draft is a compare-and-set: ``seen`` says what the writer had before them."""

    template = forms.ModelChoiceField(queryset=MessageTemplate.objects.none(), widget=forms.HiddenInput)
    seen = forms.CharField(label="", required=False, widget=forms.HiddenInput)
    page = forms.CharField(
        label=_("Page"),
        required=False,
        max_length=300,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "pages/index/index"}),
        help_text=_("Opened by a tap on the card; empty: the card opens nothing."),
    )

    class Meta:
        model = SendJob
        fields = WRITTEN

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.variant = _variant_of(self.instance)
        self.chosen = self._chosen_template()
        self.fields["template"] = forms.ModelChoiceField(
            queryset=MessageTemplate.objects.filter(pk__in=[self.chosen.pk] if self.chosen else []),
            label="",
            widget=forms.HiddenInput,
            initial=self.chosen,
            disabled=bool(self.instance.pk),
        )
        self.initial["page"] = self.variant.page
        self.initial["seen"] = fingerprint(self.instance, self.variant) if self.instance.pk else ""
        if self.chosen:
            self._ask_for_words(self.chosen)
            audience = self.fields["audience"]
            if isinstance(audience, forms.ModelChoiceField):
                audience.queryset = Audience.objects.filter(mini_program=self.chosen.mini_program_id).order_by("name")

    def _chosen_template(self) -> MessageTemplate | None:
        if self.instance.pk:
            return self.instance.template
        return chosen_template(self.data.get("template") or self.initial.get("template"))

    def _ask_for_words(self, template: MessageTemplate) -> None:
        for row in template.fields.all():
            self.fields[TEXT + row.key] = _text_field(row)
            self.initial.setdefault(TEXT + row.key, self.variant.texts.get(row.key, ""))
            if _can_be_cut(row):
                self.fields[FIT + row.key] = _fit_field()
                self.initial.setdefault(FIT + row.key, row.key in self.variant.fit_keys)

    def clean(self) -> dict[str, Any]:
        """Refuse what is not a draft any more, and what somebody else has written over; see ``seen``."""
        cleaned = super().clean() or self.cleaned_data
        require_both_ends(self, start="window_from", end="window_until")
        if self.instance.pk:
            self._compare()
        return cleaned

    def _compare(self) -> None:
        # The lock holds until the page's transaction ends, so that nothing changes between the look and the write.
        now = SendJob.objects.select_for_update().get(pk=self.instance.pk)
        if now.state not in SendJob.EDITABLE:
            sentence = gettext(
                "This job is no draft any more (%(state)s), so nothing was saved. Your text is still here: copy it, "
                "take the job back to draft and paste it."
            )
            self.add_error(None, sentence % {"state": now.get_state_display()})
        elif self.data.get("seen") != fingerprint(now, _variant_of(now)):
            self.add_error(
                None,
                gettext(
                    "Somebody saved this job after you had opened it, so nothing was saved. Your text is still here: "
                    "open the job in another tab and bring the two together."
                ),
            )

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.chosen and not self.errors:
            self._rehearse()

    def _rehearse(self) -> None:
        """Write the job, ask whether it could be sent like this, and take it back."""
        job = copy.copy(self.instance)
        with transaction.atomic():
            self.write(job)
            try:
                previews.check(job)
            except Refused as refusal:
                self._place(refusal)
            transaction.set_rollback(True)

    def _place(self, refusal: Refused) -> None:
        """Put each sentence at the input it speaks of."""
        for name, sentence in refusal.fields.items():
            field = next((known for known in (TEXT + name, name) if known in self.fields), None)
            is_seen = field is not None and not self.fields[field].widget.is_hidden
            self.add_error(field if is_seen else None, sentence)
        if not refusal.fields:
            self.add_error(None, refusal.message)

    def write(self, job: SendJob) -> None:
        """Save the job's columns and its words."""
        if job.pk:
            job.save(update_fields=WRITTEN)
        else:
            job.mini_program = job.template.mini_program
            job.save()
        Variant.objects.update_or_create(
            job=job,
            name=self.variant.name,
            defaults={"page": self.cleaned_data["page"], "texts": self._texts(), "fit_keys": self._fit_keys()},
        )

    def _texts(self) -> dict[str, str]:
        return {name.removeprefix(TEXT): value for name, value in self.cleaned_data.items() if name.startswith(TEXT)}

    def _fit_keys(self) -> list[str]:
        return [name.removeprefix(FIT) for name, value in self.cleaned_data.items() if name.startswith(FIT) and value]


def fingerprint(job: SendJob, variant: Variant) -> str:
    """Return a digest of everything the form writes."""
    columns = [str(getattr(job, SendJob._meta.get_field(name).attname)) for name in WRITTEN]  # type: ignore[union-attr]
    words = [variant.page, variant.texts, sorted(variant.fit_keys)]
    return hashlib.sha256(json.dumps([columns, words], sort_keys=True).encode()).hexdigest()


def placeholder_note() -> str:
    """Say which placeholders a text may hold."""
    names = "、".join(f"{{{{ {name} }}}}" for name in previews.PERSON_VALUES)
    return gettext(
        "A text may name %(names)s. Words after | are used for a person without that value: {{ nickname | friend }}."
    ) % {"names": names}


def _variant_of(job: SendJob) -> Variant:
    found = job.variants.order_by("pk").first() if job.pk else None
    return found or Variant()


def _can_be_cut(row: TemplateField) -> bool:
    return not row.choices and rules.field_type(row.key).ending is not None


def _text_field(row: TemplateField) -> forms.Field:
    title = f"{row.label} ({row.key})"
    if row.choices:
        choices = [("", gettext("Choose a value")), *((choice, choice) for choice in row.choices)]
        return forms.ChoiceField(
            label=title, choices=choices, help_text=_help(row), widget=UnfoldAdminSelectWidget(attrs=_data(row))
        )
    return forms.CharField(
        label=title,
        max_length=400,
        help_text=_help(row),
        widget=UnfoldAdminTextInputWidget(attrs={**_data(row), "autocomplete": "off"}),
    )


def _data(row: TemplateField) -> Mapping[str, str]:
    """Return what compose.js needs to know about an input."""
    limit = rules.field_type(row.key).limit
    return {"data-word": row.key, "data-limit": str(limit) if limit else ""}


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


def _fit_field() -> forms.BooleanField:
    return forms.BooleanField(
        label=_("Shorten to fit"),
        required=False,
        help_text=_("A text that gets too long for somebody is cut."),
        widget=UnfoldBooleanWidget,
    )
