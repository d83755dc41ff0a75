"""The form of a rule: each criterion an input, what is left empty is no criterion; and a rule in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from notify_platform.core.errors import Refused
from notify_platform.jobs.models import SendJob
from subscriptions.audience import selection
from subscriptions.audience.criteria import MOST_UNITS
from subscriptions.models import Audience, Scene
from templates_app.models import MessageTemplate, MiniProgram

if TYPE_CHECKING:
    _AudienceForm = forms.ModelForm[Audience]
else:
    _AudienceForm = forms.ModelForm

_SEPARATORS = re.compile(r"[\n,，、;；]+")
# A rule may not change under a job that somebody has agreed to or that is still counting its people.
RELYING = (SendJob.State.SUBMITTED, SendJob.State.SCHEDULED, SendJob.State.RUNNING, SendJob.State.PAUSED)
# Jobs that have been sent to somebody.
STARTED = (SendJob.State.RUNNING, SendJob.State.PAUSED, SendJob.State.FINISHED, SendJob.State.CANCELLED)
NEWEST_JOBS = 60
TEMPLATE, AT_LEAST, OPENED, NOT_OPENED = "consent_template", "consent_at_least", "opened_job", "not_opened_job"


class NamesField(forms.CharField):
    """Names separated by commas or line breaks; cleans to a list without repetitions."""

    widget = UnfoldAdminTextInputWidget

    def prepare_value(self, value: Any) -> Any:
        """Write a stored list as one line."""
        return "，".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """Read the names."""
        names = (name.strip() for name in _SEPARATORS.split(super().to_python(value) or ""))
        return list(dict.fromkeys(name for name in names if name))

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare names, not separators."""
        return bool(self.to_python(data) != (initial or []))


def _names(title: Any, example: str) -> NamesField:
    widget = UnfoldAdminTextInputWidget(attrs={"placeholder": example, "autocomplete": "off"})
    return NamesField(label=title, required=False, widget=widget)


def _number(title: Any, *, most: int, placeholder: Any = "") -> forms.IntegerField:
    widget = UnfoldAdminIntegerFieldWidget(attrs={"placeholder": placeholder})
    return forms.IntegerField(label=title, required=False, min_value=1, max_value=most, widget=widget)


def _choice(title: Any) -> forms.ChoiceField:
    return forms.ChoiceField(label=title, required=False, widget=UnfoldAdminSelectWidget)


class AudienceForm(_AudienceForm):
    """A rule as form fields."""

    consent_template = _choice(_("Holds consent for"))
    consent_at_least = _number(_("at least (consents)"), most=MOST_UNITS, placeholder="1")
    scenes = forms.TypedMultipleChoiceField(
        label=_("Agreed in"), required=False, coerce=int, widget=UnfoldAdminCheckboxSelectMultipleWidget
    )
    active_within_days = _number(_("Active within (days)"), most=3650)
    dormant_for_days = _number(_("Dormant for (days)"), most=3650)
    regions = _names(_("Regions"), "广东，浙江")
    cities = _names(_("Cities"), "深圳，杭州")
    tags = _names(_("Tags"), "VIP，老客")
    interests = _names(_("Interests"), "水果，零食")
    opened_job = _choice(_("Opened the card of"))
    not_opened_job = _choice(_("Got but did not open the card of"))

    class Meta:
        model = Audience
        fields = ("mini_program", "name")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        program = self._program()
        _offer(self.fields[TEMPLATE], _templates(program), nothing=_("any or none"))
        _offer(self.fields["scenes"], _scenes(program))
        for name in (OPENED, NOT_OPENED):
            _offer(self.fields[name], _jobs(program, also=self._named(name)), nothing=_("any or none"))
        self.initial = {**_inputs(self.instance.rule or {}), **self.initial}
        field = self.fields.get("mini_program")
        if isinstance(field, forms.ModelChoiceField) and program and not self.is_bound:
            self.initial.setdefault("mini_program", program.pk)

    def _program(self) -> MiniProgram | None:
        """Return the mini-program the criteria are of: the audience's, the chosen one, or the only one."""
        if self.instance.pk:
            return self.instance.mini_program
        number = str(self.data.get("mini_program") or self.initial.get("mini_program") or "")
        field = self.fields.get("mini_program")
        if not isinstance(field, forms.ModelChoiceField) or field.queryset is None:
            return None
        # Those this colleague works with.
        programs = field.queryset.order_by("name")
        if number.isascii() and number.isdigit():
            return programs.filter(pk=number).first()
        return programs.first()

    def _named(self, name: str) -> Sequence[int]:
        jobs = (self.instance.rule or {}).get(f"{name}s")
        return jobs if isinstance(jobs, list) else []

    def clean(self) -> dict[str, Any]:
        """Put the criteria together, and refuse to change people under a job that relies on them."""
        cleaned = super().clean() or self.cleaned_data
        if self.errors or self.instance.kind == Audience.Kind.LIST:
            return cleaned
        if cleaned.get(AT_LEAST) and not cleaned.get(TEMPLATE):
            self.add_error(TEMPLATE, gettext("Choose the template whose consents are meant."))
            return cleaned
        rule = rule_of(cleaned)
        if self.instance.pk and rule != self.instance.rule:
            self._refuse_while_relied_on()
        try:
            selection.check_rule(rule)
        except Refused as refusal:
            self.add_error(None, refusal.message)
        self.instance.rule = rule
        return cleaned

    def _refuse_while_relied_on(self) -> None:
        names = list(SendJob.objects.filter(audience=self.instance, state__in=RELYING).values_list("name", flat=True))
        if names:
            sentence = gettext("Jobs that are submitted or running use this audience: %(names)s. Make a new one.")
            self.add_error(None, sentence % {"names": "、".join(names)})


def _offer(field: forms.Field, choices: Sequence[tuple[int, str]], *, nothing: Any = None) -> None:
    if isinstance(field, forms.ChoiceField):
        field.choices = [*([("", nothing)] if nothing else []), *((str(pk), words) for pk, words in choices)]


def _templates(program: MiniProgram | None) -> list[tuple[int, str]]:
    rows = MessageTemplate.objects.filter(mini_program=program, kind__in=MessageTemplate.SENDABLE_KINDS)
    return list(rows.order_by("title").values_list("pk", "title"))


def _scenes(program: MiniProgram | None) -> list[tuple[int, str]]:
    return list(Scene.objects.filter(mini_program=program).order_by("name").values_list("pk", "name"))


def _jobs(program: MiniProgram | None, *, also: Sequence[int]) -> list[tuple[int, str]]:
    jobs = SendJob.objects.filter(mini_program=program).order_by("-pk").values_list("pk", "name")
    newest = list(jobs.filter(state__in=STARTED)[:NEWEST_JOBS])
    return newest + [each for each in jobs.filter(pk__in=also) if each not in newest]


def _inputs(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored rule as the form's inputs."""
    inputs = {name: rule[name] for name in PLAIN if name in rule}
    if consent := rule.get("consent"):
        inputs |= {TEMPLATE: str(consent["template"]), AT_LEAST: consent["at_least"]}
    for name in (OPENED, NOT_OPENED):
        if jobs := rule.get(f"{name}s"):
            inputs[name] = str(jobs[0])
    return inputs


PLAIN = ("scenes", "active_within_days", "dormant_for_days", "regions", "cities", "tags", "interests")


def rule_of(cleaned: Mapping[str, Any]) -> dict[str, Any]:
    """Return the form's inputs as a rule."""
    rule: dict[str, Any] = {}
    if template := cleaned.get(TEMPLATE):
        rule["consent"] = {"template": int(template), "at_least": cleaned.get(AT_LEAST) or 1}
    rule |= {name: cleaned[name] for name in PLAIN if cleaned.get(name)}
    return rule | {f"{name}s": [int(cleaned[name])] for name in (OPENED, NOT_OPENED) if cleaned.get(name)}


# --- a rule in words -----------------------------------------------------------------------------------------------


# What a criterion's numbers are numbers of, and the column they are called by.
_NAMED: Mapping[str, tuple[Any, str]] = {
    "consent": (MessageTemplate, "title"),
    "scenes": (Scene, "name"),
    "opened_jobs": (SendJob, "name"),
    "not_opened_jobs": (SendJob, "name"),
}
Names = Mapping[tuple[Any, int], str]


def words_of(rule: Mapping[str, Any], *, names: Names | None = None) -> str:
    """Say a rule in words; criteria nobody knows are left out."""
    sentences = {
        "consent": gettext("holds at least %(units)s × %(value)s"),
        "scenes": gettext("agreed in: %(value)s"),
        "regions": gettext("region: %(value)s"),
        "cities": gettext("city: %(value)s"),
        "active_within_days": gettext("active within %(value)s days"),
        "dormant_for_days": gettext("dormant for %(value)s days"),
        "tags": gettext("tag: %(value)s"),
        "interests": gettext("interest: %(value)s"),
        "opened_jobs": gettext("opened: %(value)s"),
        "not_opened_jobs": gettext("did not open: %(value)s"),
    }
    known = names_in([rule]) if names is None else names
    said = [sentences[name] % _value(name, value, known) for name, value in rule.items() if name in sentences]
    return gettext("; ").join(said) or gettext("everybody")


def names_in(rules: Iterable[Mapping[str, Any]]) -> Names:
    """Return what the numbers in rules are called, however many rules there are: a statement for each kind."""
    wanted: dict[tuple[Any, str], set[int]] = {}
    for rule in rules:
        for name, named in _NAMED.items():
            wanted.setdefault(named, set()).update(_keys(name, rule.get(name)))
    return {
        (model, pk): words
        for (model, column), keys in wanted.items()
        if keys
        for pk, words in model.objects.filter(pk__in=keys).values_list("pk", column)
    }


def _keys(name: str, value: Any) -> Sequence[int]:
    if name == "consent" and isinstance(value, dict):
        return [value["template"]]
    return value if isinstance(value, list) else []


def _value(name: str, value: Any, names: Names) -> dict[str, Any]:
    if name in _NAMED:
        model = _NAMED[name][0]
        called = "、".join(filter(None, (names.get((model, pk)) for pk in _keys(name, value)))) or "—"
        return {"value": called, "units": value["at_least"] if name == "consent" else 0}
    return {"value": "、".join(map(str, value)) if isinstance(value, list) else value}
