"""The card as it appears on the phone: of a job with a real recipient's words, of a template with WeChat's examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _

from notify_platform.console.desk.base import called
from notify_platform.core.errors import Refused
from notify_platform.jobs import previews, variants
from notify_platform.jobs.models import SendJob, Variant
from subscriptions.audience import selection
from subscriptions.models import Subscriber
from templates_app.models import MessageTemplate
from templates_app.rendering import Wording, WordingError, specs_of


@dataclass(frozen=True, slots=True)
class CardLine:
    """One keyword: its key, label and words, what is wrong with them if something is, and whether that stops a card."""

    key: str
    label: str
    text: str
    problem: str = ""
    blocks: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """What one person would see. ``note`` says whose card it is, or why it is nobody's."""

    mini_program: str
    title: str
    lines: Sequence[CardLine]
    opens: bool
    note: str = ""
    # Its name, if the job has several.
    variant: str = ""


def of_template(template: MessageTemplate) -> Card:
    """Return the card with the examples WeChat gives for each keyword."""
    lines = [CardLine(row.key, row.label, row.example) for row in template.fields.all()]
    return Card(template.mini_program.name, template.title, lines, opens=True)


def of_job(job: SendJob) -> list[Card]:
    """Return the card of each variant as the first person of the job would get it; a job without words has one too."""
    person = _recipient(job)
    note = whose(person) if person else _("This audience is empty.")
    words = variants.of_job(job) or [Variant()]
    dealt = [of_person(person, variant=each, template=job.template, note=note) for each in words]
    return [replace(card, variant=each.name) for card, each in zip(dealt, words, strict=True)] if dealt[1:] else dealt


def whose(person: Subscriber) -> str:
    """Say whose card it is."""
    return _("As %(person)s would get it.") % {"person": called(person)}


def of_person(person: Subscriber | None, *, variant: Variant, template: MessageTemplate, note: str = "") -> Card:
    """Return the card one person would get, with what is wrong with its words."""
    return Deck(variant, template=template).card_of(person, note=note)


class Deck:
    """One wording, read once, as the card of any number of people. Each keyword stands for itself: what is wrong with
    one of them does not hide the others, and what is not written yet is not wrong yet.
    """

    def __init__(self, variant: Variant, *, template: MessageTemplate) -> None:
        self._fields = list(template.fields.all())
        self._card = Card(template.mini_program.name, template.title, [], opens=bool(variant.page))
        self._texts = {key: text for key, text in variant.texts.items() if text}
        self._wordings: list[tuple[str, Wording]] = []
        self._broken: dict[str, str] = {}
        for spec in specs_of(template):
            try:
                fit = {spec.key} & set(variant.fit_keys)
                if spec.key in self._texts:
                    wording = Wording.compile(fields=[spec], texts={spec.key: self._texts[spec.key]}, fit=fit)
                    self._wordings.append((spec.key, wording))
            except WordingError as error:
                self._broken |= error.fields

    def card_of(self, person: Subscriber | None, *, note: str = "") -> Card:
        """Return the card of one person; without one, with nobody's values."""
        texts, problems, warnings = dict(self._texts), dict(self._broken), dict[str, str]()
        values = previews.person_values(person) if person else {}
        for key, wording in self._wordings:
            rendered = wording.render(values)
            texts[key] = rendered.data[key]
            problems |= rendered.problems
            warnings |= rendered.warnings
        told = problems | warnings
        lines = [
            CardLine(row.key, row.label, texts.get(row.key, ""), told.get(row.key, ""), blocks=row.key in problems)
            for row in self._fields
        ]
        return replace(self._card, lines=lines, note=note)


def _recipient(job: SendJob) -> Subscriber | None:
    """Return a person who could get it; without one, anybody of the audience."""
    try:
        return previews.reachable(job).order_by("pk").first() or selection.people(job.audience).order_by("pk").first()
    except Refused:
        return None


def sample_values(mini_program_id: int) -> dict[str, str]:
    """Return what a text may say about some real person of the mini-program, for a card that is being written."""
    person = Subscriber.objects.filter(mini_program=mini_program_id, forgotten_at__isnull=True).order_by("pk").first()
    return previews.person_values(person) if person else {}
