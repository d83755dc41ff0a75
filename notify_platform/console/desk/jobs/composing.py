"""The form a job is written with: one input for each keyword of its template, and no JSON anywhere."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from notify_platform.console.desk.base import require_both_ends
from notify_platform.console.desk.jobs.word_inputs import (
    INPUT,
    TEXT,
    Slot,
    can_be_cut,
    fit_field,
    page_field,
    slots,
    text_field,
)
from notify_platform.console.desk.lists import number_of
from notify_platform.core.errors import Refused
from notify_platform.jobs import previews, variants
from notify_platform.jobs.models import SendJob, Variant
from subscriptions.models import Audience
from templates_app.models import MessageTemplate

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


class Start(models.TextChoices):
    """When a job begins, as its composer says it."""

    PERSON = "person", _("When somebody presses start")
    APPROVED = "approved", _("As soon as it is approved")
    AT = "at", _("At a time")


class _Day(forms.DateInput):
    input_type = "date"

    def __init__(self) -> None:
        super().__init__(attrs={"class": INPUT, "aria-label": _("Date")}, format="%Y-%m-%d")


class _Clock(forms.TimeInput):
    input_type = "time"

    def __init__(self, label: Any = None) -> None:
        super().__init__(attrs={"class": INPUT, **({"aria-label": label} if label else {})}, format="%H:%M")


class _DayAndClock(forms.SplitDateTimeWidget):
    """A day and a time, each with the browser's own picker."""

    def __init__(self) -> None:
        forms.MultiWidget.__init__(self, (_Day(), _Clock(_("Time"))))


def _moment_field(**values: Any) -> forms.SplitDateTimeField:
    return forms.SplitDateTimeField(
        required=False,
        widget=_DayAndClock(),
        input_date_formats=["%Y-%m-%d"],
        input_time_formats=["%H:%M", "%H:%M:%S"],
        **values,
    )


def _clock_field(**values: Any) -> forms.TimeField:
    return forms.TimeField(required=False, widget=_Clock(), input_formats=["%H:%M", "%H:%M:%S"], **values)


def chosen_template(number: object) -> MessageTemplate | None:
    """Return the template with this number, if messages can be made of it.

    One that WeChat has meanwhile taken away is returned too: whoever was just writing gets a sentence, not a blank.
    """
    pk = number_of(str(number))
    if pk is None:
        return None
    found = MessageTemplate.objects.filter(pk=pk, kind__in=MessageTemplate.SENDABLE_KINDS)
    return found.select_related("mini_program").prefetch_related("fields").first()


@dataclass(frozen=True, slots=True)
class Panel:
    """The inputs of one variant: each keyword's with its switch, None where nothing can be cut, and the page's."""

    slot: Slot
    is_used: bool
    rows: Sequence[tuple[forms.BoundField, forms.BoundField | None]]
    page: forms.BoundField


class JobForm(_JobForm):
    """A job and its words. Saving a draft is a compare-and-set: ``seen`` says what the writer had before them."""

    name = forms.CharField(label=_("name"), max_length=80, widget=forms.TextInput(attrs={"class": INPUT}))
    purpose = forms.CharField(
        label=_("Why it is sent"),
        max_length=200,
        help_text=_("Why these people should get this card. The approver reads it."),
        widget=forms.Textarea(attrs={"class": INPUT, "rows": 2}),
    )
    template = forms.ModelChoiceField(queryset=MessageTemplate.objects.none(), widget=forms.HiddenInput)
    audience = forms.ModelChoiceField(
        label=_("Audience"),
        queryset=Audience.objects.none(),
        empty_label=_("Choose an audience"),
        widget=forms.Select(attrs={"class": INPUT}),
    )
    start = forms.ChoiceField(label=_("Start"), choices=Start, required=False, widget=forms.RadioSelect)
    starts_at = _moment_field(label=_("Starts at"))
    not_after = _moment_field(label=_("Not after"), help_text=_("Who has not got the card by then does not get it."))
    window_from = _clock_field(label=_("From"))
    window_until = _clock_field(label=_("Until"))
    pace_per_second = forms.IntegerField(
        label=_("Messages per second"),
        required=False,
        validators=[MinValueValidator(1)],
        widget=forms.NumberInput(attrs={"class": INPUT, "min": 1}),
    )
    seen = forms.CharField(label="", required=False, widget=forms.HiddenInput)
    # How many variants are in use; the page has a place for each there may be.
    variants = forms.IntegerField(label="", required=False, widget=forms.HiddenInput)
    # Whether the page asks if the job could be sent like this.
    rehearses = True

    class Meta:
        model = SendJob
        fields = WRITTEN

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stored = variants.of_job(self.instance)
        self.slots = slots(self.stored)
        self.used = self.slots[: self._number_of_variants()]
        self.chosen = self._chosen_template()
        self.fields["template"] = forms.ModelChoiceField(
            queryset=MessageTemplate.objects.filter(pk__in=[self.chosen.pk] if self.chosen else []),
            label="",
            widget=forms.HiddenInput,
            initial=self.chosen,
            disabled=bool(self.instance.pk),
        )
        self.initial["variants"] = len(self.used)
        self.initial["seen"] = fingerprint(self.instance) if self.instance.pk else ""
        self.initial["start"] = _start_of(self.instance)
        if self.chosen:
            if not self.instance.pk:
                self.initial.setdefault("name", name_for(self.chosen))
            for slot, words in zip_longest(self.slots, self.stored[: len(self.slots)]):
                self._ask_for_words(self.chosen, slot, words or Variant())
            audience = self.fields["audience"]
            if isinstance(audience, forms.ModelChoiceField):
                audience.queryset = Audience.objects.filter(mini_program=self.chosen.mini_program_id).order_by("name")

    def _chosen_template(self) -> MessageTemplate | None:
        if self.instance.pk:
            return self.instance.template
        return chosen_template(self.data.get("template") or self.initial.get("template"))

    def _number_of_variants(self) -> int:
        given = number_of(str(self.data.get("variants", "")))
        return min(max(given or len(self.stored), 1), len(self.slots))

    def _ask_for_words(self, template: MessageTemplate, slot: Slot, words: Variant) -> None:
        asked: dict[str, tuple[forms.Field, Any]] = {}
        for row in template.fields.all():
            asked[slot.text(row.key)] = text_field(row, slot), words.texts.get(row.key, "")
            if can_be_cut(row):
                asked[slot.fit(row.key)] = fit_field(row, slot), row.key in words.fit_keys
        asked[slot.page] = page_field(slot), words.page
        for name, (field, written) in asked.items():
            self.fields[name] = field
            self.initial.setdefault(name, written)
            if slot not in self.used:
                field.required, field.disabled = False, True

    def panels(self) -> list[Panel]:
        """Return the inputs of each variant, in use or not."""
        rows = list(self.chosen.fields.all()) if self.chosen else []
        return [
            Panel(
                slot=slot,
                is_used=slot in self.used,
                rows=[(self[slot.text(row.key)], self[slot.fit(row.key)] if can_be_cut(row) else None) for row in rows],
                page=self[slot.page],
            )
            for slot in self.slots
            if rows
        ]

    def clean(self) -> dict[str, Any]:
        """Refuse what is not a draft any more, and what somebody else has written over; see ``seen``."""
        cleaned = super().clean() or self.cleaned_data
        require_both_ends(self, start="window_from", end="window_until")
        self._begin(cleaned)
        if self.instance.pk:
            self._compare()
        return cleaned

    def _begin(self, cleaned: dict[str, Any]) -> None:
        """Turn what was said of the start into a moment; a form that says nothing gives the moment itself."""
        start = cleaned.get("start")
        if start == Start.PERSON:
            cleaned["starts_at"] = None
        elif start == Start.APPROVED:
            # A moment that has passed: whoever looks for jobs that are due finds it at once.
            kept = self.instance.starts_at
            cleaned["starts_at"] = kept if _start_of(self.instance) == Start.APPROVED else timezone.now()
        elif start == Start.AT and not cleaned.get("starts_at") and "starts_at" not in self.errors:
            self.add_error("starts_at", gettext("Say on which day and at what time."))

    def _compare(self) -> None:
        # The lock holds until the page's transaction ends, so that nothing changes between the look and the write.
        now = SendJob.objects.select_for_update().get(pk=self.instance.pk)
        if now.state not in SendJob.EDITABLE:
            sentence = gettext(
                "This job is no draft any more (%(state)s), so nothing was saved. Your text is still here: copy it, "
                "take the job back to draft and paste it."
            )
            self.add_error(None, sentence % {"state": now.get_state_display()})
        elif self.data.get("seen") != fingerprint(now):
            self.add_error(
                None,
                forms.ValidationError(
                    gettext(
                        "Somebody saved this job after you had opened it, so nothing was saved. Your text is still "
                        "here: open the job in another tab and bring the two together."
                    ),
                    code="overtaken",
                ),
            )

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.chosen and self.rehearses and not self.errors:
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
        variants.write(job, words=self.words())

    def words(self) -> list[Variant]:
        """Return what is written in each variant in use; nothing of it is stored."""
        said, keys = self.cleaned_data, [row.key for row in self.chosen.fields.all()] if self.chosen else []
        return [
            Variant(
                name=slot.name,
                page=said.get(slot.page) or "",
                texts={key: said[slot.text(key)] for key in keys if slot.text(key) in said},
                fit_keys=[key for key in keys if said.get(slot.fit(key))],
            )
            for slot in self.used
        ]


class DraftForm(JobForm):
    """A job that is still being written: what is missing may be missing, and is asked for when it is submitted."""

    rehearses = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.required = name in {"template", "audience"}

    def clean_name(self) -> str:
        """Call a nameless draft by its template and the day."""
        name = str(self.cleaned_data["name"])
        if name or not self.chosen:
            return name
        return name_for(self.chosen)


class LookForm(DraftForm):
    """What stands in the form this moment, to be shown and judged; it is never saved, so it need not be the latest."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["audience"].required = False

    def _compare(self) -> None:
        """Nothing is written over."""


def fingerprint(job: SendJob) -> str:
    """Return a digest of everything the form writes."""
    columns = [str(getattr(job, SendJob._meta.get_field(name).attname)) for name in WRITTEN]  # type: ignore[union-attr]
    words = [[each.name, each.page, each.texts, sorted(each.fit_keys)] for each in variants.of_job(job)]
    return hashlib.sha256(json.dumps([columns, words], sort_keys=True).encode()).hexdigest()


def name_for(template: MessageTemplate) -> str:
    """Return what a job is called that nobody has named: its template and the day."""
    return f"{template.title} {timezone.localdate():%m-%d}"


def _start_of(job: SendJob) -> Start:
    if job.starts_at is None:
        return Start.PERSON
    return Start.APPROVED if job.starts_at <= timezone.now() else Start.AT
