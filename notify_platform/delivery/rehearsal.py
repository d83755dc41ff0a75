"""A dry run: what a job would do if it started now (or at its time), through every gate, without a row written.

A few statements over the audience, whatever its size. Most people have no wishes and are turned away by no gate: they
share one moment, and only their consent is counted. The others go through the gates of ``gates``, all at once, and the
moments are reckoned once for all with the same wishes. Pauses and caps are cut to minutes and the ends of consents to
hours, or there would be as many groups as people: so exactly does it agree with the engine.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from django.db.models import (
    BooleanField,
    Case,
    Count,
    DateTimeField,
    Exists,
    F,
    Func,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Value,
    When,
)
from django.db.models.functions import Cast, Coalesce, Mod
from django.utils.translation import gettext as _

from notify_platform.core.bulk import Literal, count_groups, reckoning
from notify_platform.core.clock import database_now
from notify_platform.core.errors import Refused
from notify_platform.delivery import gates
from notify_platform.delivery.dry_runs import Loss, Rehearsal, Wait
from notify_platform.delivery.models import Reason
from notify_platform.delivery.moments import Moment
from notify_platform.jobs import previews, variants
from notify_platform.jobs.models import SendJob
from subscriptions.audience import selection
from subscriptions.models import Grant, Subscriber, Subscription
from templates_app.models import MessageTemplate
from templates_app.rendering import Wording

SOON: Final = timedelta(days=7)
SAMPLES: Final = 5
# Words are written for so many people at the most; for more it is reckoned from these.
WRITTEN_FOR: Final = 20_000
NO_END: Final = datetime(9999, 1, 1, tzinfo=UTC)
# So many who hold consent are looked at to name a few.
LOOKED_AT: Final = 500
WISHES: Final = ("time_zone", "quiet_from", "quiet_until", "paused", "day_filled", "week_filled")
# The gates in the order of a person's way, each with why somebody gets no further.
GATES: Final = (
    Reason.NO_CONSENT,
    Reason.TOO_LATE,
    Reason.UNREACHABLE,
    Reason.SWITCHED_OFF,
    Reason.MUTED,
    Reason.PERSON_PAUSED,
    Reason.CAP,
    Reason.QUIET_HOURS,
    Reason.WINDOW,
    Reason.CONTENT,
)


def rehearse(job: SendJob) -> Rehearsal:
    """Send a job through all gates without sending it. Raises ``Refused`` for an audience whose rule makes no sense.

    It may be a draft of a transaction that is rolled back afterwards, and its words may be unfinished.
    """
    now = database_now()
    with reckoning():
        run = _Run(job, at=max(job.starts_at or now, now))
        run.count()
        wordings = _wordings(job)
        differs = any(wording.placeholders for wording in wordings.values())
        is_estimate = differs and run.lose_content(wordings)
        return run.result(is_estimate=is_estimate)


def _wordings(job: SendJob) -> dict[int, Wording]:
    """Return the compiled words by key of their variant; what is wrong with others is said where they are written."""
    found: dict[int, Wording] = {}
    for variant in variants.of_job(job):
        with suppress(Refused):
            found[variant.pk] = previews.wording_of(variant, template=job.template)
    return found


class _Others(NamedTuple):
    """People nothing is special about but their consent: all, whose unit does not last, whose lasts and ends soon."""

    people: int = 0
    short: int = 0
    soon: int = 0


class _Run:
    """One way of an audience through the gates.

    ``passed`` counts by why people wait (empty: they do not) and whether the unit they spend would end soon.
    """

    def __init__(self, job: SendJob, *, at: datetime) -> None:
        self.job = job
        self.at = at
        self.everybody = selection.people(job.audience)
        self.moments = gates.Moments(job, at=at)
        self.audience = 0
        self.lost: Counter[str] = Counter()
        self.passed: Counter[tuple[str, bool]] = Counter()
        self.until: dict[str, datetime] = {}
        self.samples: dict[str, set[int]] = defaultdict(set)

    def count(self) -> None:
        """Count everybody, those apart, and what consent the others hold; name a few."""
        self.audience = self.everybody.count()
        others = self._holders()
        for answers, people, keys in self._groups(self._apart()):
            others = self._without(others, answers, people=people)
            if answers[0] != Reason.FORGOTTEN:
                self._let_through(*answers, people=people, keys=keys)
        self._let_others_through(others)
        self.lost[Reason.NO_CONSENT] += self.audience - self.lost.total() - self.passed.total()
        if self.lost[Reason.NO_CONSENT] and not self.samples[Reason.NO_CONSENT]:
            holders = _consent(self.job, at=self.at).filter(subscriber=OuterRef("pk"))
            without = self.everybody.filter(~Exists(holders)).order_by("pk").values_list("pk", flat=True)
            self.samples[Reason.NO_CONSENT].update(without[:SAMPLES])

    # --- those who are all alike -------------------------------------------------------------------------------------

    def _holders(self) -> _Others:
        """Count who holds consent, whatever else there is about them."""
        held = _consent(self.job, at=self.at).order_by()
        if not self._is_everybody:
            held = held.filter(subscriber__in=self.everybody.values("pk"))
        if not self.job.template.is_counted:
            return _Others(people=held.count())
        _fate, moment = self._fate_of_others()
        lasts = Q(expires_at__isnull=True) | Q(expires_at__gte=_hour(moment.at if moment and moment.at else self.at))
        persons = held.values("subscriber_id").annotate(
            ending=Count("template_id", filter=Q(expires_at__lte=self.at + SOON)),
            lasting=Count("template_id", filter=lasts),
        )
        told = persons.aggregate(
            people=Count("*"),
            short=Count("subscriber_id", filter=Q(lasting=0)),
            soon=Count("subscriber_id", filter=Q(ending__gt=0, lasting__gt=0)),
        )
        return _Others(**told)

    @property
    def _is_everybody(self) -> bool:
        return selection.is_everybody(self.job.audience) and (
            self.job.audience.mini_program_id == self.job.template.mini_program_id
        )

    def _apart(self) -> QuerySet[Subscriber]:
        """Return who is not like the others; of everybody, also those who are forgotten and hold a unit still."""
        people = self.everybody
        if self._is_everybody:
            people = Subscriber.objects.filter(mini_program_id=self.job.audience.mini_program_id)
        return people.filter(gates.apart(self.job, at=self.at))

    def _fate_of_others(self) -> tuple[str, Moment | None]:
        never = Reason.TOO_LATE if gates.is_too_late(self.job, at=self.at) else ""
        return self._fate(never, gates.NO_WISHES, None)

    def _without(self, others: _Others, answers: Sequence[Any], *, people: int) -> _Others:
        """Return the others without so many of those apart."""
        *_gates, lasts, is_soon = answers
        _reason, moment = self._fate_of_others()
        is_short = bool(moment and moment.at and lasts and lasts < _hour(moment.at))
        is_soon = bool(is_soon) and not is_short
        return _Others(others.people - people, others.short - is_short * people, others.soon - is_soon * people)

    def _let_others_through(self, others: _Others) -> None:
        reason, moment = self._fate_of_others()
        if moment is None:
            self.lost[reason] += others.people
        else:
            self.lost[Reason.NO_CONSENT] += others.short
            self._pass(moment, others.soon, is_soon=True)
            self._pass(moment, others.people - others.short - others.soon, is_soon=False)
        if moment is None or moment.reason or others.short:
            self._name_some()

    def _name_some(self) -> None:
        """Look at some who hold consent, only to name them."""
        held = _consent(self.job, at=self.at).order_by("subscriber_id").values_list("subscriber_id", flat=True)
        some = self.everybody.filter(pk__in=list(held.distinct()[:LOOKED_AT]))
        for (never, *answers), _people, keys in self._groups(some):
            *wishes, lasts, _is_soon = answers
            self._name(*self._fate(never, gates.Wishes(*wishes), lasts), keys=keys)

    # --- those apart -------------------------------------------------------------------------------------------------

    def _groups(self, people: QuerySet[Subscriber], *values: str) -> Iterator[tuple[list[Any], int, tuple[int, int]]]:
        """Yield what people who hold consent have in common: the answers of the gates, how many, and two of them."""
        asked = gates.asked(self.job, people=people, at=self.at, are_many=True).filter(_holding(self.job, at=self.at))
        rows = asked.values(
            *("never", "time_zone", "quiet_from", "quiet_until", *values),
            subscriber_id=F("pk"),
            paused=_Minute("paused_until"),
            day_filled=_Minute("day_cap"),
            week_filled=_Minute("week_cap"),
        ).annotate(**_ends(self.job, at=self.at))
        by = ("never", *WISHES, "lasts", "is_soon", *values)
        for row in count_groups(rows.order_by(), on="subscriber_id", by=by):
            yield list(row[:-3]), row[-3], (row[-2], row[-1])

    def _fate(self, never: str, wishes: gates.Wishes, lasts: datetime | None) -> tuple[str, Moment | None]:
        """Return why people get nothing, or else when they get it."""
        if never:
            return never, None
        moment = self.moments.of(wishes)
        if moment.at is None:
            return moment.reason or Reason.TOO_LATE, None
        # The unit has to last until then; its end is known to the hour.
        return (Reason.NO_CONSENT, None) if lasts and lasts < _hour(moment.at) else ("", moment)

    def _let_through(self, never: str, *answers: Any, people: int, keys: tuple[int, int]) -> None:
        *wishes, lasts, is_soon = answers
        reason, moment = self._fate(never, gates.Wishes(*wishes), lasts)
        self._name(reason, moment, keys=keys)
        if moment is None:
            self.lost[reason] += people
        else:
            self._pass(moment, people, is_soon=bool(is_soon))

    def _pass(self, moment: Moment, people: int, *, is_soon: bool) -> None:
        waits_for = moment.reason or ""
        self.passed[waits_for, is_soon] += people
        if people and moment.reason and moment.at:
            self.until[waits_for] = max(moment.at, self.until.get(waits_for, moment.at))

    def _name(self, reason: str, moment: Moment | None, *, keys: Iterable[int]) -> None:
        if moment is None:
            self.samples[reason].update(keys)
        elif moment.reason:
            self.samples[f"wait {moment.reason}"].update(keys)

    def lose_content(self, wordings: Mapping[int, Wording]) -> bool:
        """Write the words for people who would get them; return whether they were too many to write for each."""
        stride = max(1, math.ceil(self.passed.total() / WRITTEN_FOR))
        people = self.everybody if stride == 1 else self.everybody.annotate(at=Mod("pk", stride)).filter(at=0)
        said = frozenset[str]().union(*(wording.placeholders for wording in wordings.values()))
        names = sorted(said & set(previews.PERSON_VALUES))
        people = people.annotate(variant=variants.assigned(self.job))
        written: Counter[tuple[str, bool]] = Counter()
        bad: Counter[tuple[str, bool]] = Counter()
        for (never, *answers), number, keys in self._groups(people, "variant", *names):
            *wishes, lasts, is_soon, variant = answers[: len(answers) - len(names)]
            _reason, moment = self._fate(never, gates.Wishes(*wishes), lasts)
            if moment is None:
                continue
            fate = (moment.reason or "", bool(is_soon))
            written[fate] += number
            values = dict(zip(names, answers[len(answers) - len(names) :], strict=True))
            if variant in wordings and wordings[variant].render(values).problems:
                bad[fate] += number
                self.samples[Reason.CONTENT].update(keys)
        for fate, number in bad.items():
            lost = round(self.passed[fate] * number / written[fate])
            self.passed[fate] -= lost
            self.lost[Reason.CONTENT] += lost
        return stride > 1

    def result(self, *, is_estimate: bool) -> Rehearsal:
        """Return what has been counted, and what is left in stock afterwards."""
        by_wait: Counter[str] = Counter()
        for (reason, _is_soon), people in self.passed.items():
            by_wait[reason] += people
        now, rate = by_wait.pop("", 0), self.job.mini_program.pace_per_second
        pace = min(rate, self.job.pace_per_second or rate)
        units, stock, lapsing = self._stock()
        return Rehearsal(
            at=self.at,
            audience=self.audience,
            losses=tuple(Loss(one, self.lost[one], self._some(one)) for one in GATES),
            now=now,
            waits=tuple(
                Wait(reason, people, self.until[reason], self._some(f"wait {reason}"))
                for reason, people in by_wait.most_common()
                if people
            ),
            units=units,
            stock=stock,
            lapsing=lapsing,
            seconds=math.ceil(now / pace),
            pace=pace,
            trouble=_trouble(self.job.template),
            is_estimate=is_estimate,
        )

    def _stock(self) -> tuple[int, int, int]:
        """Return the units it costs, those left afterwards, and how many of these end soon."""
        if not self.job.template.is_counted:
            return 0, 0, 0
        ends_soon = Q(expires_at__lte=self.at + SOON)
        held = _consent(self.job, at=self.at).aggregate(all=Count("*"), soon=Count("template_id", filter=ends_soon))
        spent = self.passed.total()
        spent_soon = sum(people for (_reason, is_soon), people in self.passed.items() if is_soon)
        return spent, held["all"] - spent, held["soon"] - spent_soon

    def _some(self, reason: str) -> tuple[int, ...]:
        return tuple(sorted(self.samples[reason])[:SAMPLES])


def _trouble(template: MessageTemplate) -> str:
    if template.state != MessageTemplate.State.LIVE:
        return _("WeChat does not take messages with this template any more.")
    if template.kind not in MessageTemplate.SENDABLE_KINDS:
        return _("A service card cannot be sent as a subscription message.")
    return ""


def _consent(job: SendJob, *, at: datetime) -> QuerySet[Any, Any]:
    """Return what counts as consent at a moment. A unit in use by another message counts: it may come back."""
    if not job.template.is_counted:
        return previews.standing(job.template)
    return previews.units(job.template).filter(Q(expires_at__isnull=True) | Q(expires_at__gt=at))


def _holding(job: SendJob, *, at: datetime) -> Q:
    """Return ``_consent`` as a condition on people."""
    if not job.template.is_counted:
        return Q(subscriptions__template=job.template_id, subscriptions__state=Subscription.State.ON)
    ends_later = Q(grants__expires_at__isnull=True) | Q(grants__expires_at__gt=at)
    states = [Literal(state.value) for state in sorted(Grant.COUNTABLE)]
    return Q(ends_later, grants__template=job.template_id, grants__state__in=states)


def _ends(job: SendJob, *, at: datetime) -> dict[str, Any]:
    """Return for each person with consent how long it lasts, and whether the unit that goes first ends soon."""
    if not job.template.is_counted:
        return {
            "lasts": Cast(Value(None), DateTimeField()),
            "is_soon": Value(False, output_field=BooleanField()),
        }
    ends_soon = When(first__lte=at + SOON, then=Value(True))
    return {
        "first": Min("grants__expires_at"),
        "lasts": _Hour(Max(Coalesce("grants__expires_at", Value(NO_END)))),
        "is_soon": Case(ends_soon, default=Value(False), output_field=BooleanField()),
    }


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


class _Cut(Func):
    """A moment without its small parts; on SQLite, where moments are text, without a call into Python for each row."""

    output_field = DateTimeField()
    arity = 1
    letters = 0

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template=f"SUBSTR(%(expressions)s, 1, {self.letters})", **context)


class _Minute(_Cut):
    template, letters = "DATE_TRUNC('minute', %(expressions)s)", len("2026-11-23 14:05")


class _Hour(_Cut):
    template, letters = "DATE_TRUNC('hour', %(expressions)s, 'UTC')", len("2026-11-23 14")
