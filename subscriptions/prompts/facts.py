"""What the planner knows: read in a number of queries that depends on nothing, and never a person's whole history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact

from notify_platform.core.prepared import Prepared
from subscriptions.grants.conditions import unexpired
from subscriptions.grants.models import Answer, Grant, Subscription
from subscriptions.grants.pairing import agrees
from subscriptions.people.models import Subscriber
from subscriptions.prompts.models import AskingTally, ExpectedDemand, PromptReport, Scene
from subscriptions.prompts.ranking import PRIOR_DEMAND, Answered, Tally, horizon, uncovered
from subscriptions.prompts.reasons import MOST_REFUSALS, Popups, Standing
from templates_app.models import MessageTemplate

TALLY_DAYS: Final = 28
# What others answered in other scenes is read only while this one has fewer answers than these, and no further back.
SPEAKS_FOR_ITSELF: Final = 200
ELSEWHERE_DAYS: Final = 7
# WeChat left the template out of the popup, or has banned it: the person was not asked.
NOT_ASKED: Final = ("filter", "ban")
# WeChat's docs, wx.requestSubscribeMessage: a call that fails shows no popup, but for this one, which could not hand
# in what the person had chosen. 0 is success.
SHOWN: Final = (0, 10003)

FOR_EVER: Final = 100_000

_NEWEST: Final = [f"newest_{number}" for number in range(MOST_REFUSALS)]


@dataclass(frozen=True, slots=True)
class Facts:
    """One person in one scene: its templates in their order, and what is known of each (by the template's key)."""

    templates: Sequence[MessageTemplate]
    standings: Mapping[int, Standing]
    popups: Popups
    tallies: Mapping[int, Tally]
    elsewhere: Tally

    @property
    def scene_tally(self) -> Tally:
        """What was answered in this scene to whatever template."""
        return _total(self.tallies.values())


def gather(subscriber: Subscriber, *, scene: Scene, now: datetime) -> Facts:
    """Read what the planner has to know; a template of another mini-program is no template of the scene."""
    templates = _TEMPLATES.objects(scene=scene.pk, mini_program=scene.mini_program_id, subscriber=subscriber.pk)
    if not templates:
        return Facts(templates=[], standings={}, popups=Popups(), tallies={}, elsewhere=Tally())
    zone = scene.mini_program.zone
    today = now.astimezone(zone).date()
    tallies = _tallies(scene, since=today - timedelta(days=TALLY_DAYS))
    answers_enough = _total(tallies.values()).answered >= SPEAKS_FOR_ITSELF
    return Facts(
        templates=templates,
        standings=_standings(subscriber, templates=templates, today=today, zone=zone),
        popups=_popups(subscriber, now=now),
        tallies=tallies,
        elsewhere=Tally() if answers_enough else _elsewhere(scene, since=today - timedelta(days=ELSEWHERE_DAYS)),
    )


def _templates(scene: int, mini_program: int, subscriber: int) -> QuerySet[MessageTemplate]:
    """Return the scene's templates, each with the keys of the person's newest answers: as many as can matter.

    The second report of a popup, and a silent no, are no further answers.
    """
    answers = (
        Answer.objects.filter(subscriber=subscriber, template=OuterRef("pk"))
        # Written so that SQLite does not take the index of pairs, where nearly every answer has none.
        .filter(Exact(Coalesce("pair_id", 0), 0))
        .exclude(answer__in=NOT_ASKED)
        .exclude(~Q(answer__startswith="accept"), is_silent=True)
        .order_by("-answered_at", "-pk")
        .values("pk")
    )
    newest = {name: Subquery(answers[number : number + 1]) for number, name in enumerate(_NEWEST)}
    rows = MessageTemplate.objects.filter(asked_in__scene=scene, mini_program=mini_program)
    return rows.defer("content", "example").annotate(**newest).order_by("asked_in__position", "asked_in__pk")


_TEMPLATES: Final = Prepared(_templates)
_RELATIONS: Final = Prepared(
    lambda subscriber, templates: Subscription.objects.filter(subscriber=subscriber, template__in=templates)
)


def _standings(
    subscriber: Subscriber, *, templates: Sequence[MessageTemplate], today: date, zone: ZoneInfo
) -> dict[int, Standing]:
    keys = [template.pk for template in templates]
    relations = _RELATIONS.objects(subscriber=subscriber.pk, templates=keys)
    relation_of = {relation.template_id: relation for relation in relations}
    histories = _histories(templates)
    lasting = _lasting(subscriber, templates=keys, today=today, zone=zone)
    demand = _demand(templates, today=today)
    return {
        template.pk: Standing(
            relation=relation_of.get(template.pk),
            history=histories[template.pk],
            units=len(lasting[template.pk]),
            uncovered=uncovered(demand[template.pk], lasting=lasting[template.pk]),
        )
        for template in templates
    }


_ANSWERS: Final = Prepared(
    lambda keys: (
        Answer.objects.filter(pk__in=keys)
        .order_by("-answered_at", "-pk")
        .values_list("template_id", "answer", "answered_at")
    )
)


def _histories(templates: Sequence[MessageTemplate]) -> dict[int, list[Answered]]:
    keys = [key for template in templates for name in _NEWEST if (key := template.__dict__[name]) is not None]
    histories: dict[int, list[Answered]] = defaultdict(list)
    for template_id, answer, at in _ANSWERS.rows(keys=keys):
        histories[template_id].append(Answered(at=at, agreed=agrees(answer)))
    return histories


_STOCK: Final = Prepared(
    lambda subscriber, templates: (
        Grant.objects.filter(
            unexpired(), subscriber=subscriber, template__in=templates, state=Grant.State.AVAILABLE.value
        )
        .values_list("template_id", "expires_at")
        .annotate(units=Count("pk"))
        .order_by()
    )
)


def _lasting(subscriber: Subscriber, *, templates: list[int], today: date, zone: ZoneInfo) -> dict[int, list[int]]:
    """Return, for each unit in stock, how many days from today it can be used; one that never lapses: for ever."""
    lasting: dict[int, list[int]] = defaultdict(list)
    for template_id, expires_at, units in _STOCK.rows(subscriber=subscriber.pk, templates=templates):
        days = (expires_at.astimezone(zone).date() - today).days + 1 if expires_at else FOR_EVER
        lasting[template_id] += [days] * units
    return lasting


_FORECAST: Final = Prepared(
    lambda templates, first, last: ExpectedDemand.objects.filter(
        template__in=templates, day__range=(first, last)
    ).values_list("template_id", "day", "per_person")
)


def _demand(templates: Sequence[MessageTemplate], *, today: date) -> dict[int, list[float]]:
    """Return the messages expected for one active person, day by day over each template's horizon."""
    horizons = {template.pk: horizon(template) for template in templates}
    last = today + timedelta(days=max(horizons.values()) - 1)
    forecast: dict[int, dict[int, float]] = defaultdict(dict)
    for template_id, day, messages in _FORECAST.rows(templates=list(horizons), first=today, last=last):
        forecast[template_id][(day - today).days] = messages
    return {key: _day_by_day(forecast[key], days=days) for key, days in horizons.items()}


def _day_by_day(forecast: Mapping[int, float], *, days: int) -> list[float]:
    within = {day: messages for day, messages in forecast.items() if day < days}
    return [(within or {0: PRIOR_DEMAND}).get(day, 0.0) for day in range(days)]


_POPUPS: Final = Prepared(
    lambda subscriber, a_day_ago, a_week_ago: (
        PromptReport.objects.filter(
            Q(err_code__isnull=True) | Q(err_code__in=SHOWN),
            subscriber=subscriber,
            is_silent=False,
            answered_at__gt=a_week_ago,
        )
        .values("subscriber")
        .annotate(day=Count("pk", filter=Q(answered_at__gt=a_day_ago)), week=Count("pk"))
        .values_list("day", "week")
    )
)


def _popups(subscriber: Subscriber, *, now: datetime) -> Popups:
    """Count the popups the person has seen; silent top-ups and calls that showed nothing are none."""
    day, week = now - timedelta(days=1), now - timedelta(days=7)
    for in_a_day, in_a_week in _POPUPS.rows(subscriber=subscriber.pk, a_day_ago=day, a_week_ago=week):
        return Popups(day=in_a_day, week=in_a_week)
    return Popups()


_AGREED: Final = Sum("times", filter=Q(word__startswith="accept"), default=0)
_ANSWERED: Final = Sum("times", default=0)


def _answers_since(day: date) -> QuerySet[AskingTally]:
    return AskingTally.objects.filter(template__isnull=False, day__gte=day).exclude(word__in=("planned", *NOT_ASKED))


_HERE: Final = Prepared(
    lambda scene, day: (
        _answers_since(day).filter(scene=scene).values_list("template_id").annotate(agreed=_AGREED, answered=_ANSWERED)
    )
)
_ELSEWHERE: Final = Prepared(
    lambda scene, mini_program, day: (
        _answers_since(day)
        .filter(scene__in=Scene.objects.filter(mini_program=mini_program).exclude(pk=scene))
        .values_list("scene_id")
        .annotate(agreed=_AGREED, answered=_ANSWERED)
    )
)


def _tallies(scene: Scene, *, since: date) -> dict[int, Tally]:
    return {key: Tally(agreed, answered) for key, agreed, answered in _HERE.rows(scene=scene.pk, day=since)}


def _elsewhere(scene: Scene, *, since: date) -> Tally:
    rows = _ELSEWHERE.rows(scene=scene.pk, mini_program=scene.mini_program_id, day=since)
    return _total(Tally(agreed, answered) for _scene, agreed, answered in rows)


def _total(tallies: Iterable[Tally]) -> Tally:
    every = list(tallies)
    return Tally(sum(tally.agreed for tally in every), sum(tally.answered for tally in every))
