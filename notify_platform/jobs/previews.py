"""What a job would do: whether it may be sent at all, whom it could reach, and what a card would say."""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from notify_platform.core.bulk import Literal
from notify_platform.core.errors import Refused
from notify_platform.jobs import variants
from notify_platform.jobs.models import SendJob, Variant
from subscriptions.audience import selection
from subscriptions.models import Grant, Subscriber, Subscription
from templates_app.models import MessageTemplate
from templates_app.rendering import Wording, WordingError, page_problem, specs_of

# What a placeholder may name. The engine gives exactly these, plus an event's data for a triggered message.
PERSON_VALUES = ("nickname", "region", "city")


def person_values(subscriber: Subscriber) -> dict[str, str]:
    """Return what a text may say about a person."""
    return {"nickname": subscriber.nickname, "region": subscriber.region, "city": subscriber.city}


def wording_of(variant: Variant, *, template: MessageTemplate) -> Wording:
    """Compile a variant's texts. Raises ``WordingError`` naming the fields that are wrong."""
    return Wording.compile(fields=specs_of(template), texts=variant.texts, fit=variant.fit_keys)


def check(job: SendJob) -> None:
    """Raise ``Refused`` with every field that keeps the job from being sent."""
    wrong = _wrong_in_the_card(job)
    if job.audience.mini_program_id != job.mini_program_id:
        wrong["audience"] = _("This audience belongs to another mini-program.")
    if not job.purpose.strip():
        wrong["purpose"] = _("Say why these people should get this card.")
    if job.not_after and job.not_after <= max(timezone.now(), job.starts_at or timezone.now()):
        wrong["not_after"] = _("The deadline lies before the start.")
    _refuse(wrong)


def check_card(job: SendJob) -> None:
    """Raise ``Refused`` with what keeps the card itself from being sent, to anybody."""
    _refuse(_wrong_in_the_card(job))


def _refuse(wrong: Mapping[str, str]) -> None:
    if wrong:
        raise Refused(" ".join(wrong.values()), code="invalid", fields=wrong)


def _wrong_in_the_card(job: SendJob) -> dict[str, str]:
    wrong: dict[str, str] = {}
    template = job.template
    if template.mini_program_id != job.mini_program_id:
        wrong["template"] = _("This template belongs to another mini-program.")
    elif template.state != MessageTemplate.State.LIVE:
        wrong["template"] = _("WeChat does not take messages with this template any more.")
    elif template.kind not in MessageTemplate.SENDABLE_KINDS:
        wrong["template"] = _("A service card cannot be sent as a subscription message.")
    return wrong | _wrong_in_the_words(job)


def _wrong_in_the_words(job: SendJob) -> dict[str, str]:
    written = variants.of_job(job)
    if not written:
        return {"texts": _("Write the words of the card.")}
    if len(written) > len(variants.NAMES):
        return {"texts": _("A job has at most %(most)d variants.") % {"most": len(variants.NAMES)}}
    wrong: dict[str, str] = {}
    for variant in written:
        for key, sentence in _wrong_in(variant, template=job.template).items():
            said = _("Variant %(name)s: %(sentence)s") % {"name": variant.name, "sentence": sentence}
            wrong[variants.named(key, of=variant, among=written)] = said if len(written) > 1 else sentence
    return wrong


def _wrong_in(variant: Variant, *, template: MessageTemplate) -> dict[str, str]:
    try:
        wording = wording_of(variant, template=template)
    except WordingError as error:
        return error.fields
    foreign = sorted(wording.placeholders - set(PERSON_VALUES))
    if foreign:
        known = ", ".join(PERSON_VALUES)
        names = ", ".join(foreign)
        return {"texts": _("Nothing is known as %(names)s; there are: %(known)s.") % {"names": names, "known": known}}
    problem = page_problem(variant.page)
    return {"page": problem} if problem else {}


def reachable(job: SendJob) -> QuerySet[Subscriber]:
    """Return the people of the job's audience who could get it: a consent that counts, or may come back."""
    return with_consent(selection.people(job.audience), template=job.template)


def with_consent(people: QuerySet[Subscriber], *, template: MessageTemplate) -> QuerySet[Subscriber]:
    """Keep the people who hold consent for a template: a unit in stock or in use, or a standing subscription."""
    if template.is_counted:
        return people.filter(Exists(units(template).filter(subscriber=OuterRef("pk"))))
    return people.filter(Exists(standing(template).filter(subscriber=OuterRef("pk"))))


def units(template: MessageTemplate) -> QuerySet[Grant]:
    """Return the units of a counted template that can still become a message."""
    return Grant.objects.filter(
        template=template, state__in=[Literal(state.value) for state in sorted(Grant.COUNTABLE)]
    )


def standing(template: MessageTemplate) -> QuerySet[Subscription]:
    """Return the standing subscriptions to a long-term template."""
    return Subscription.objects.filter(template=template, state=Subscription.State.ON)


def reach(job: SendJob) -> int:
    """Count the people the job could reach now."""
    return reachable(job).count()
