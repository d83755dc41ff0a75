"""A job while it is written: the cards real people would get, what is wrong at which input, when it would be sent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from notify_platform.console.desk import cards
from notify_platform.console.desk.base import called
from notify_platform.console.desk.cards import Card
from notify_platform.console.desk.jobs.composing import LookForm
from notify_platform.core.errors import Refused
from notify_platform.jobs import previews
from subscriptions.audience import selection
from subscriptions.models import Audience, Subscriber
from templates_app.models import MessageTemplate
from templates_app.rendering import FieldSpec, Wording, WordingError, page_problem, specs_of

# How many people are tried, and how many of them are shown: those with trouble come first.
TRIED, SHOWN, TROUBLED = 200, 5, 2
BAD, WARN = "bad", "warn"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong at one input; ``warn`` does not keep the job from being sent."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Sample:
    """Real people of the audience with their cards, how many were tried, and how many of those have trouble."""

    cards: Sequence[Card]
    people: Sequence[Subscriber]
    tried: int
    troubled: int
    # Name of an input → one sentence of what is wrong with it for somebody, and for how many.
    broken: Mapping[str, tuple[str, int]]
    note: str = ""
    # Whose cards they are, if there are several variants.
    variant: str = ""


# --- findings ------------------------------------------------------------------------------------------------------


def findings(form: LookForm, *, drawn: Sample) -> dict[str, Finding]:
    """Say what is wrong with what is written so far, by the name of its input. An empty input is not wrong yet."""
    found = {
        name: Finding(BAD, " ".join(str(each) for each in sentences))
        for name, sentences in form.errors.items()
        if name in form.fields
    }
    if form.chosen:
        for slot, words in zip(form.used, form.words(), strict=True):
            for spec in specs_of(form.chosen):
                if finding := _in_text(spec, texts=words.texts, fit=words.fit_keys):
                    found.setdefault(slot.text(spec.key), finding)
            if problem := page_problem(words.page):
                found.setdefault(slot.page, Finding(BAD, problem))
    for name, (sentence, people) in drawn.broken.items():
        found.setdefault(name, _for_some(sentence, people=people, tried=drawn.tried))
    return found


def _for_some(sentence: str, *, people: int, tried: int) -> Finding:
    if people == tried:
        return Finding(BAD, sentence)
    told = _("For %(people)s of %(tried)s people: %(sentence)s") % {
        "people": people,
        "tried": tried,
        "sentence": sentence,
    }
    return Finding(WARN, told)


def _in_text(spec: FieldSpec, *, texts: Mapping[str, str], fit: Sequence[str]) -> Finding | None:
    text = texts.get(spec.key)
    if not text:
        return None
    try:
        wording = Wording.compile(fields=[spec], texts={spec.key: text}, fit=[key for key in fit if key == spec.key])
    except WordingError as error:
        return Finding(BAD, error.fields[spec.key])
    if foreign := sorted(wording.placeholders - set(previews.PERSON_VALUES)):
        sentence = _("Nothing is known as %(names)s; there are: %(known)s.")
        return Finding(BAD, sentence % {"names": ", ".join(foreign), "known": ", ".join(previews.PERSON_VALUES)})
    if bare := _without_other_words(text):
        sentence = _("Who has no %(name)s gets no card. Give other words: {{ %(name)s | … }}.")
        return Finding(WARN, sentence % {"name": bare})
    warnings = {} if wording.placeholders else wording.render({}).warnings
    return Finding(WARN, warnings[spec.key]) if warnings else None


def _without_other_words(text: str) -> str:
    found = re.search(r"\{\{\s*([a-z][a-z0-9_.]*)\s*\}\}", text)
    return found[1] if found else ""


# --- people --------------------------------------------------------------------------------------------------------


def sample(form: LookForm, *, template: MessageTemplate, shown: str) -> Sample:
    """Return the cards of five real people: first those whose words would not do, then the most different ones.

    ``shown``: the name of the variant they are of; the others are only tried.
    """
    people, note = _people(form.cleaned_data.get("audience"), template=template)
    is_shown = next((slot for slot in form.used if slot.name == shown), form.used[0])
    drawn: list[tuple[Subscriber, Card]] = []
    troubled: list[tuple[Subscriber, Card]] = []
    broken: dict[str, tuple[str, int]] = {}
    for slot, words in zip(form.used, form.words(), strict=True):
        deck = cards.Deck(words, template=template)
        pairs = [(person, deck.card_of(person, note=called(person))) for person in people]
        bad = [pair for pair in pairs if _is_troubled(pair[1])]
        broken |= {slot.text(key): told for key, told in _broken([card for _person, card in bad]).items()}
        if slot == is_shown:
            drawn, troubled = pairs, bad
    chosen = _most_telling(drawn, first=troubled[:TROUBLED])
    return Sample(
        cards=[card for _person, card in chosen],
        people=[person for person, _card in chosen],
        tried=len(people),
        troubled=len(troubled),
        broken=broken,
        note=note,
        variant=is_shown.name if len(form.used) > 1 else "",
    )


def _people(audience: Audience | None, *, template: MessageTemplate) -> tuple[list[Subscriber], str]:
    """Return people to try the words on; without an audience they are just some of the mini-program."""
    if audience is None:
        anybody = Subscriber.objects.filter(mini_program=template.mini_program_id, forgotten_at__isnull=True)
        return list(anybody.order_by("pk")[:TRIED]), _("No audience is chosen yet: these are just some people.")
    try:
        everybody = selection.people(audience)
    except Refused as refusal:
        return [], refusal.message
    reachable = list(previews.with_consent(everybody, template=template).order_by("pk")[:TRIED])
    if reachable:
        return reachable, ""
    some = list(everybody.order_by("pk")[:TRIED])
    nobody = _("Nobody of this audience has given consent, so nobody would get the card.")
    return some, nobody if some else _("This audience is empty.")


def _broken(troubled: Sequence[Card]) -> dict[str, tuple[str, int]]:
    found: dict[str, tuple[str, int]] = {}
    for card in troubled:
        for line in card.lines:
            if line.blocks:
                sentence, people = found.get(line.key, (line.problem, 0))
                found[line.key] = sentence, people + 1
    return found


def _is_troubled(card: Card) -> bool:
    return any(line.blocks for line in card.lines)


def _most_telling(
    drawn: Sequence[tuple[Subscriber, Card]], *, first: Sequence[tuple[Subscriber, Card]]
) -> list[tuple[Subscriber, Card]]:
    """Fill up with cards that say something else than those before, the longest words first; then with anybody."""
    chosen = list(first)
    said = {_text_of(card) for _person, card in chosen}
    for pair in sorted(drawn, key=lambda pair: -len(_text_of(pair[1]))):
        if len(chosen) < SHOWN and _text_of(pair[1]) not in said:
            said.add(_text_of(pair[1]))
            chosen.append(pair)
    known = {person.pk for person, _card in chosen}
    return [*chosen, *(pair for pair in drawn if pair[0].pk not in known)][:SHOWN]


def _text_of(card: Card) -> str:
    return "\n".join(line.text for line in card.lines)
