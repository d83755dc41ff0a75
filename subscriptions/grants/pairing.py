"""One popup, two witnesses: the phone tells us at once, WeChat's event tells us surely. Together they are one answer.

A claim of the phone is paired with at most one event and back, for ever, by person, template and answer, within two
minutes of each other's moment. Who belongs to whom follows from what was told alone, never from when it arrived: as
many pairs as there can be, and of those the nearest. So a report that comes late may give others a new partner
(docs/adr/0012). The moment of a popup is WeChat's as soon as WeChat has told it. Reads only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models.functions import Coalesce

from notify_platform.core.prepared import Prepared
from subscriptions.grants.models import Answer, Source
from templates_app.models import MessageTemplate

REACH = timedelta(seconds=120)
# How far from a new report older pairs are looked at again. Reports that hang together for longer are rarer than rare.
AROUND = 10 * REACH
WITNESSES = frozenset({Source.CLIENT, Source.CALLBACK})
REJECT = "reject"
BAN = "ban"

Identity = tuple[int, int, str]


# Asked of every report.
_AROUND: Final = Prepared(
    lambda people, templates, since, until: (
        Answer.objects.filter(
            source__in=sorted(WITNESSES),
            subscriber_id__in=people,
            template_id__in=templates,
            answered_at__gte=since,
            answered_at__lte=until,
        )
        .order_by("pk")
        .values_list(
            "pk", "subscriber_id", "template_id", "answer", "source", "answered_at", Coalesce("pair", "paired_by")
        )
    )
)


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


@dataclass(eq=False, slots=True, kw_only=True)
class Told:
    """One report of a popup by one witness; ``pk`` is the answer's as soon as it is written down."""

    source: str
    at: datetime
    new: NewAnswer | None = None
    pk: int | None = None
    partner: int | None = None

    @property
    def answer_id(self) -> int:
        """The key of what is written down by now."""
        if self.pk is None:
            raise ValueError("this report is not written down yet")
        return self.pk


@dataclass(eq=False, slots=True, kw_only=True)
class Popup:
    """What one or both witnesses told of one popup."""

    subscriber_id: int
    template: MessageTemplate
    agrees: bool
    claim: Told | None = None
    event: Told | None = None

    @property
    def told(self) -> list[Told]:
        """One report or two."""
        return [told for told in (self.claim, self.event) if told]

    @property
    def moment(self) -> datetime:
        """When it was: WeChat knows it better than the phone."""
        return (self.event or self.told[0]).at

    @property
    def is_changed(self) -> bool:
        """Whether something new was told of it, or one of its reports had another partner so far."""
        if any(told.pk is None for told in self.told):
            return True
        return any(told.partner != (other.pk if other else None) for told, other in self.sides)

    @property
    def is_found_late(self) -> bool:
        """Whether two reports of before have turned out to be of one popup."""
        return len(self.told) == 2 and self.is_changed and not any(told.new for told in self.told)

    @property
    def parted(self) -> list[int]:
        """The answers of before that have been somebody else's partner so far."""
        return [told.pk for told, other in self.sides if told.pk and told.partner not in (None, other and other.pk)]

    @property
    def sides(self) -> list[tuple[Told, Told | None]]:
        """Each report with its partner."""
        return [(told, other) for told, other in ((self.claim, self.event), (self.event, self.claim)) if told]


def popups(fresh: Sequence[NewAnswer]) -> list[Popup]:
    """Return the popups that new reports tell of, and the ones around them: one query."""
    groups: dict[tuple[int, int, bool], list[Told]] = defaultdict(list)
    templates: dict[int, MessageTemplate] = {}
    for new in fresh:
        if new.source in WITNESSES and (new.agrees or new.answer == REJECT):
            templates[new.template.pk] = new.template
            told = Told(source=new.source, at=new.answered_at, new=new)
            groups[new.subscriber_id, new.template.pk, new.agrees].append(told)
    if not groups:
        return []
    _add_known(groups)
    return [
        Popup(subscriber_id=subscriber_id, template=templates[template_id], agrees=agreed, claim=claim, event=event)
        for (subscriber_id, template_id, agreed), told in groups.items()
        for claim, event in _together(told)
    ]


def _add_known(groups: dict[tuple[int, int, bool], list[Told]]) -> None:
    """Add to each group what was told around it before; a pair that reaches out of sight stays as it is."""
    spans = {key: (min(one.at for one in told), max(one.at for one in told)) for key, told in groups.items()}
    known = _AROUND.rows(
        people=list({subscriber_id for subscriber_id, _template_id, _agreed in groups}),
        templates=list({template_id for _subscriber_id, template_id, _agreed in groups}),
        since=min(first for first, _last in spans.values()) - AROUND,
        until=max(last for _first, last in spans.values()) + AROUND,
    )
    found: dict[tuple[int, int, bool], dict[int, Told]] = defaultdict(dict)
    for pk, subscriber_id, template_id, word, source, at, partner in known:
        key = (subscriber_id, template_id, agrees(word))
        if key not in spans or (not agrees(word) and word != REJECT):
            continue
        if spans[key][0] - AROUND <= at <= spans[key][1] + AROUND:
            found[key][pk] = Told(source=source, at=at, pk=pk, partner=partner)
    for key, others in found.items():
        # The known first: where two reports are alike, those that are together stay so.
        groups[key][:0] = [told for told in others.values() if told.partner is None or told.partner in others]


def _together(told: Sequence[Told]) -> list[tuple[Told | None, Told | None]]:
    """Pair claims with events: as many as can be, and of those ways the one with the least time between them.

    Pairs that cross are never better than pairs that do not, so the best way through the first i claims and j events
    follows from the best ways through fewer.
    """
    claims = sorted((one for one in told if one.source == Source.CLIENT), key=lambda one: one.at)
    events = sorted((one for one in told if one.source == Source.CALLBACK), key=lambda one: one.at)
    best: list[list[tuple[int, timedelta]]] = [[(0, timedelta())] * (len(events) + 1) for _ in range(len(claims) + 1)]
    for i, claim in enumerate(claims, start=1):
        for j, event in enumerate(events, start=1):
            apart = abs(claim.at - event.at)
            ways = [best[i - 1][j], best[i][j - 1]]
            if apart <= REACH:
                pairs, nearness = best[i - 1][j - 1]
                ways.append((pairs + 1, nearness - apart))
            best[i][j] = max(ways)
    return _way_back(claims, events, best=best)


def _way_back(
    claims: list[Told], events: list[Told], *, best: list[list[tuple[int, timedelta]]]
) -> list[tuple[Told | None, Told | None]]:
    i, j = len(claims), len(events)
    found: list[tuple[Told | None, Told | None]] = []
    while i or j:
        if i and best[i][j] == best[i - 1][j]:
            i -= 1
            found.append((claims[i], None))
        elif j and best[i][j] == best[i][j - 1]:
            j -= 1
            found.append((None, events[j]))
        else:
            i, j = i - 1, j - 1
            found.append((claims[i], events[j]))
    return found[::-1]
