"""One popup, two witnesses: the phone tells us at once, WeChat's event tells us surely. Together they are one answer.

A claim of the phone is paired with at most one event and back, for ever, by person, template and answer: the nearest
within two minutes of each other's moment. When either arrives does not matter. Reads only; ``ledger`` writes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from subscriptions.grants.models import Answer, Grant, Source
from templates_app.models import MessageTemplate

REACH = timedelta(seconds=120)
OTHER_WITNESS = {Source.CLIENT: Source.CALLBACK, Source.CALLBACK: Source.CLIENT}
REJECT = "reject"
BAN = "ban"

Identity = tuple[int, int, str]


def agrees(answer: str) -> bool:
    """Whether an answer is a yes. Every word of WeChat's that begins with "accept" is one."""
    return answer.startswith("accept")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAnswer:
    """What somebody answered, to be written down once.

    ``request_key`` makes a repeated report the same report; ``units`` is how many consents it is worth (an import may
    bring several); ``answer`` is WeChat's own word; ``is_silent``: no popup was shown, the person always keeps it.
    """

    subscriber_id: int
    template: MessageTemplate
    answer: str
    source: Source
    answered_at: datetime
    request_key: str
    units: int = 1
    scene_id: int | None = None
    is_silent: bool = False

    @property
    def identity(self) -> Identity:
        """What the database keeps unique."""
        return (self.subscriber_id, self.template.pk, self.request_key)

    @property
    def agrees(self) -> bool:
        """Whether this is a yes."""
        return agrees(self.answer)


def find(fresh: Sequence[NewAnswer]) -> dict[Identity, Answer]:
    """Return, for each new answer that has one, the earlier report of the same popup by the other witness."""
    wanted = [new for new in fresh if new.source in OTHER_WITNESS and (new.agrees or new.answer == REJECT)]
    if not wanted:
        return {}
    moments = [new.answered_at for new in wanted]
    # Whether it has a pair is asked here: SQLite would walk through all answers of everybody that have none.
    told = Answer.objects.filter(
        paired_by__isnull=True,
        source__in={OTHER_WITNESS[new.source] for new in wanted},
        subscriber_id__in={new.subscriber_id for new in wanted},
        answered_at__range=(min(moments) - REACH, max(moments) + REACH),
    ).order_by("answered_at", "pk")
    waiting: dict[tuple[int, int, str, bool], list[Answer]] = defaultdict(list)
    for answer in (one for one in told if one.pair_id is None):
        waiting[answer.subscriber_id, answer.template_id, answer.source, agrees(answer.answer)].append(answer)
    pairs: dict[Identity, Answer] = {}
    for new in sorted(wanted, key=lambda one: one.answered_at):
        others = waiting[new.subscriber_id, new.template.pk, OTHER_WITNESS[new.source], new.agrees]
        near = [other for other in others if abs(other.answered_at - new.answered_at) <= REACH]
        if near:
            nearest = min(near, key=lambda other: abs(other.answered_at - new.answered_at))
            others.remove(nearest)
            pairs[new.identity] = nearest
    return pairs


def worth(fresh: Sequence[NewAnswer], *, pairs: Mapping[Identity, Answer]) -> dict[Identity, int]:
    """Return how many units each new answer grants.

    The second report of a popup grants what the first did not; a phone alone can hold no more unconfirmed units of a
    template than its mini-program allows, the rest is granted when WeChat's event confirms it.
    """
    unconfirmed = _unconfirmed([new for new in fresh if new.source == Source.CLIENT and new.agrees])
    units: dict[Identity, int] = {}
    for new in fresh:
        key = (new.subscriber_id, new.template.pk)
        earlier = pairs.get(new.identity)
        if not new.agrees or not new.template.is_counted:
            units[new.identity] = 0
        elif earlier is not None:
            units[new.identity] = max(0, new.units - earlier.units)
        elif new.source == Source.CLIENT:
            room = new.template.mini_program.client_unconfirmed_limit - unconfirmed[key]
            units[new.identity] = max(0, min(new.units, room))
            unconfirmed[key] += units[new.identity]
        else:
            units[new.identity] = new.units
    return units


def _unconfirmed(claims: Sequence[NewAnswer]) -> Counter[tuple[int, int]]:
    if not claims:
        return Counter()
    rows = Grant.objects.filter(
        state__in=Grant.COUNTABLE,
        subscriber_id__in={new.subscriber_id for new in claims},
        template_id__in={new.template.pk for new in claims},
        answer__source=Source.CLIENT,
        answer__paired_by__isnull=True,
    ).values_list("subscriber_id", "template_id", "answer__pair")
    return Counter((subscriber_id, template_id) for subscriber_id, template_id, pair_id in rows if pair_id is None)
