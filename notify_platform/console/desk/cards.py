"""The card as it appears on the phone: of a job with a real recipient's words, of a template with WeChat's examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from notify_platform.console.desk.base import called
from notify_platform.core.errors import Refused
from notify_platform.jobs import previews
from notify_platform.jobs.models import SendJob, Variant
from subscriptions.audience import selection
from subscriptions.models import Subscriber
from templates_app.models import MessageTemplate
from templates_app.rendering import WordingError


@dataclass(frozen=True, slots=True)
class CardLine:
    """One keyword: its key, label and words, and what is wrong with them if something is."""

    key: str
    label: str
    text: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """What one person would see. ``note`` says whose card it is, or why it is nobody's."""

    mini_program: str
    title: str
    lines: Sequence[CardLine]
    opens: bool
    note: str = ""


def of_template(template: MessageTemplate) -> Card:
    """Return the card with the examples WeChat gives for each keyword."""
    lines = [CardLine(row.key, row.label, row.example) for row in template.fields.all()]
    return Card(template.mini_program.name, template.title, lines, opens=True)


def of_job(job: SendJob) -> Card:
    """Return the card as the first person of the job would get it."""
    variant = job.variants.order_by("pk").first()
    person = _recipient(job)
    texts, problems = _words(variant, template=job.template, person=person) if variant else ({}, {})
    lines = [
        CardLine(row.key, row.label, texts.get(row.key, ""), problems.get(row.key, ""))
        for row in job.template.fields.all()
    ]
    return Card(
        mini_program=job.mini_program.name,
        title=job.template.title,
        lines=lines,
        opens=bool(variant and variant.page),
        note=_("As %(person)s would get it.") % {"person": called(person)} if person else _("This audience is empty."),
    )


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


def _words(
    variant: Variant, *, template: MessageTemplate, person: Subscriber | None
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the words by field key, and what is wrong with them."""
    try:
        wording = previews.wording_of(variant, template=template)
    except WordingError as error:
        return dict(variant.texts), dict(error.fields)
    rendered = wording.render(previews.person_values(person) if person else {})
    return rendered.data, rendered.problems | rendered.warnings
