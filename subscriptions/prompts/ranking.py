"""Which templates are worth asking for: need × chance × worth, and the best popup that can be made of them. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Final, NamedTuple

from templates_app.models import MessageTemplate

# Where nothing is forecast and the template's consent does not lapse.
HORIZON_DAYS: Final = 14
# A fresh installation forecasts nothing: one message a person, from today on.
PRIOR_DEMAND: Final = 1.0
# What is needed less than this counts as not needed, and ranks as if it were: ranking never leaves out.
LEAST_NEED: Final = 0.05
# With no answers at all a yes is as likely as a no; so many answers outweigh what we believed before them.
EVEN_CHANCE: Final = 0.5
OTHERS_WEIGHT: Final = 20
OWN_WEIGHT: Final = 2


class Answered(NamedTuple):
    """One answer of the person: when, and whether it was a yes."""

    at: datetime
    agreed: bool


class Tally(NamedTuple):
    """How many answered, and how many of them said yes."""

    agreed: int = 0
    answered: int = 0

    def shrunk(self, *, towards: float, weight: int) -> float:
        """Return the share of yes, the nearer to what was believed before the fewer answers there are."""
        return (self.agreed + weight * towards) / (self.answered + weight)


@dataclass(frozen=True, slots=True)
class Rank:
    """How much a template is worth asking for."""

    need: float
    chance: float
    worth: int

    @property
    def score(self) -> float:
        """The product."""
        return self.need * self.chance * self.worth


@dataclass(frozen=True, slots=True)
class Candidate:
    """A template that may be asked for, and whether WeChat would say yes to it without a popup."""

    template: MessageTemplate
    is_silent: bool
    rank: Rank


def horizon(template: MessageTemplate) -> int:
    """Return how many days a yes of today would be good for, as far as we look."""
    return (template.validity_days or HORIZON_DAYS) if template.is_counted else HORIZON_DAYS


def uncovered(demand: Sequence[float], *, lasting: Sequence[int]) -> float:
    """Return how much of the demand of the coming days stays without consent.

    ``demand`` is messages day by day, ``lasting`` how many of these days each unit in stock can still be used. The
    soonest to lapse is spent first, as when sending; a unit that lapses before there is anything to say covers nothing.
    """
    wanted = list(accumulate(demand))
    covered = 0.0
    for days in sorted(lasting):
        due = wanted[min(days, len(wanted)) - 1] if days > 0 else 0.0
        covered += min(1.0, max(0.0, due - covered))
    return max(0.0, wanted[-1] - covered)


def chance(*, own: Sequence[Answered], template: Tally, scene: Tally, elsewhere: Tally) -> float:
    """Return how likely a yes is: what others said here, corrected by what this person said lately."""
    everywhere = elsewhere.shrunk(towards=EVEN_CHANCE, weight=OTHERS_WEIGHT)
    here = scene.shrunk(towards=everywhere, weight=OTHERS_WEIGHT)
    others = template.shrunk(towards=here, weight=OTHERS_WEIGHT)
    return Tally(sum(answered.agreed for answered in own), len(own)).shrunk(towards=others, weight=OWN_WEIGHT)


@dataclass(frozen=True, slots=True)
class Popup:
    """What to ask for, best first, and a word for each candidate that is left out (template key → word)."""

    chosen: Sequence[Candidate]
    left_out: dict[int, str]


def best_popup(candidates: Sequence[Candidate], *, most: int) -> Popup:
    """Choose the popup that scores highest: one kind, all silent or none, distinct titles, at most ``most``.

    ``candidates`` stand in the scene's order, which decides between equals. WeChat does not say what a popup does with
    an answer that is kept, and a report says of a whole prompt whether it was silent: so the two are never mixed.
    """
    groups: dict[tuple[str, bool], list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        groups[candidate.template.kind, candidate.is_silent].append(candidate)
    if not groups:
        return Popup(chosen=(), left_out={})
    popups = [_of_one_group(group, most=most) for group in groups.values()]
    # max and sorted keep the earlier of equals.
    best = max(popups, key=lambda popup: sum(candidate.rank.score for candidate in popup.chosen))
    kind = best.chosen[0].template.kind
    strangers = [candidate for candidate in candidates if candidate.template.pk not in _keys(best)]
    apart = {each.template.pk: "kept_apart" if each.template.kind == kind else "other_kind" for each in strangers}
    return Popup(chosen=best.chosen, left_out={**best.left_out, **apart})


def _of_one_group(group: Sequence[Candidate], *, most: int) -> Popup:
    chosen: list[Candidate] = []
    left_out: dict[int, str] = {}
    for candidate in sorted(group, key=lambda each: -each.rank.score):
        if any(other.template.title == candidate.template.title for other in chosen):
            left_out[candidate.template.pk] = "same_title"
        elif len(chosen) >= most:
            left_out[candidate.template.pk] = "enough"
        else:
            chosen.append(candidate)
    return Popup(chosen=chosen, left_out=left_out)


def _keys(popup: Popup) -> set[int]:
    return {candidate.template.pk for candidate in popup.chosen} | set(popup.left_out)
