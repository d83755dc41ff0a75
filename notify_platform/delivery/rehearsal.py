"""A dry run: what a job would do if it started now (or at its time), through every gate, without a row written.

A few statements over the audience, whatever its size. The gates are those of ``gates``, asked of everybody at once; the
moments are reckoned once for all people with the same wishes. Pauses and caps are cut to minutes and the ends of
consents to hours, or there would be as many groups as people: so exactly does it agree with the engine.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import connection
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

from notify_platform.core.bulk import count_groups
from notify_platform.core.clock import database_now
from notify_platform.core.errors import Refused
from notify_platform.delivery import gates
from notify_platform.delivery.models import Reason
from notify_platform.delivery.moments import Moment
from notify_platform.jobs import previews
from notify_platform.jobs.models import SendJob
from subscriptions.audience import selection
from subscriptions.models import Subscriber
from templates_app.models import MessageTemplate
from templates_app.rendering import Wording

SOON: Final = timedelta(days=7)
SAMPLES: Final = 5
# Words are written for so many people at the most; for more it is reckoned from these.
WRITTEN_FOR: Final = 20_000
NO_END: Final = datetime(9999, 1, 1, tzinfo=UTC)
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


@dataclass(frozen=True, slots=True)
class Loss:
    """One gate: how many stop there for good, why, and a few of them (keys: names are looked up when it is shown)."""

    reason: str
    people: int
    samples: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """The reason in words."""
        return str(Reason(self.reason).label)


@dataclass(frozen=True, slots=True)
class Wait:
    """How many get it later, why, until when the last of them, and a few of them."""

    reason: str
    people: int
    until: datetime
    samples: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """The reason in words."""
        return str(Reason(self.reason).label)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a job would do at the moment ``at``.

    ``audience`` = the sum of ``losses`` + ``now`` + ``later``. ``units`` is what it costs (0 for a long-term template),
    ``stock`` what the template has left in the whole mini-program afterwards (units in use included), ``lapsing`` how
    many of those end within seven days; ``seconds`` is how long ``now`` takes at the job's pace. ``trouble`` says why
    nothing could be sent at all as it stands; the numbers are then those of the job without that trouble.
    ``is_estimate``: who has words that do not fit is reckoned from a part of the people.
    """

    at: datetime
    audience: int
    losses: tuple[Loss, ...]
    now: int
    waits: tuple[Wait, ...]
    units: int
    stock: int
    lapsing: int
    seconds: int
    pace: int
    trouble: str = ""
    is_estimate: bool = False

    @property
    def later(self) -> int:
        """How many wait first."""
        return sum(wait.people for wait in self.waits)

    @property
    def sent(self) -> int:
        """How many messages are to be expected."""
        return self.now + self.later

    @property
    def until(self) -> datetime | None:
        """When the last of those who wait may get it."""
        return max((wait.until for wait in self.waits), default=None)

    @property
    def by_reason(self) -> dict[str, int]:
        """Reason → people who get nothing."""
        return {loss.reason: loss.people for loss in self.losses}

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can keep it."""
        kept = asdict(self)
        kept["at"] = self.at.isoformat()
        kept["waits"] = [{**asdict(wait), "until": wait.until.isoformat()} for wait in self.waits]
        return kept

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Rehearsal:
        """Return what ``as_json`` kept."""
        losses = tuple(Loss(one["reason"], one["people"], tuple(one["samples"])) for one in kept["losses"])
        waits = tuple(
            Wait(one["reason"], one["people"], datetime.fromisoformat(one["until"]), tuple(one["samples"]))
            for one in kept["waits"]
        )
        return cls(**{**kept, "at": datetime.fromisoformat(kept["at"]), "losses": losses, "waits": waits})


def rehearse(job: SendJob) -> Rehearsal:
    """Send a job through all gates without sending it. Raises ``Refused`` for an audience whose rule makes no sense.

    It may be a draft of a transaction that is rolled back afterwards, and its words may be unfinished.
    """
    now = database_now()
    run = _Run(job, at=max(job.starts_at or now, now))
    run.count()
    wording = _wording(job)
    is_estimate = bool(wording and wording.placeholders) and run.lose_content(wording)  # type: ignore[arg-type]
    return run.result(is_estimate=is_estimate)


def _wording(job: SendJob) -> Wording | None:
    """Return the compiled words; what is wrong with them is said where they are written."""
    variant = job.variants.order_by("pk").first()
    try:
        return previews.wording_of(variant, template=job.template) if variant else None
    except Refused:
        return None


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
        """Count everybody: two statements, and one for a few who hold no consent."""
        self.audience = self.everybody.count()
        for answers, people, keys in self._groups(self.everybody):
            self._let_through(*answers, people=people, keys=keys)
        self.lost[Reason.NO_CONSENT] += self.audience - self.lost.total() - self.passed.total()
        if self.lost[Reason.NO_CONSENT] and not self.samples[Reason.NO_CONSENT]:
            holders = _consent(self.job, at=self.at).filter(subscriber=OuterRef("pk"))
            without = self.everybody.filter(~Exists(holders)).order_by("pk").values_list("pk", flat=True)
            self.samples[Reason.NO_CONSENT].update(without[:SAMPLES])

    def _groups(self, people: QuerySet[Subscriber], *values: str) -> Iterator[tuple[list[Any], int, tuple[int, int]]]:
        """Yield what people who hold consent have in common: the answers of the gates, how many, and two of them."""
        # SQLite finds a relation sooner than it builds a set of them; PostgreSQL takes a guess for a price otherwise.
        are_many = connection.vendor == "postgresql"
        asked = gates.asked(self.job, people=people, at=self.at, are_many=are_many).values(
            *("never", "time_zone", "quiet_from", "quiet_until", *values),
            subscriber_id=F("pk"),
            paused=_Minute("paused_until"),
            day_filled=_Minute("day_cap"),
            week_filled=_Minute("week_cap"),
        )
        by = ("never", *WISHES, "lasts", "is_soon", *values)
        for row in count_groups(asked, beside=_units(self.job, at=self.at), on="subscriber_id", by=by):
            yield list(row[:-3]), row[-3], (row[-2], row[-1])

    def _fate(self, never: str, wishes: gates.Wishes, lasts: datetime | None) -> tuple[str, Moment | None]:
        """Return why people get nothing, or else when they get it."""
        if never:
            return never, None
        moment = self.moments.of(wishes)
        if moment.at is None:
            return moment.reason or Reason.TOO_LATE, None
        # The unit has to last until then; its end is known to the hour.
        hour = moment.at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        return (Reason.NO_CONSENT, None) if lasts and lasts < hour else ("", moment)

    def _let_through(self, never: str, *answers: Any, people: int, keys: tuple[int, int]) -> None:
        *wishes, lasts, is_soon = answers
        reason, moment = self._fate(never, gates.Wishes(*wishes), lasts)
        if moment is None:
            self.lost[reason] += people
            self.samples[reason].update(keys)
            return
        waits_for = moment.reason or ""
        self.passed[waits_for, bool(is_soon)] += people
        if moment.reason and moment.at:
            self.until[waits_for] = max(moment.at, self.until.get(waits_for, moment.at))
            self.samples[f"wait {waits_for}"].update(keys)

    def lose_content(self, wording: Wording) -> bool:
        """Write the words for people who would get them; return whether they were too many to write for each."""
        stride = max(1, math.ceil(self.passed.total() / WRITTEN_FOR))
        people = self.everybody if stride == 1 else self.everybody.annotate(at=Mod("pk", stride)).filter(at=0)
        names = sorted(wording.placeholders & set(previews.PERSON_VALUES))
        written: Counter[tuple[str, bool]] = Counter()
        bad: Counter[tuple[str, bool]] = Counter()
        for (never, *answers), number, keys in self._groups(people, *names):
            *wishes, lasts, is_soon = answers[: len(answers) - len(names)]
            _reason, moment = self._fate(never, gates.Wishes(*wishes), lasts)
            if moment is None:
                continue
            fate = (moment.reason or "", bool(is_soon))
            written[fate] += number
            if wording.render(dict(zip(names, answers[-len(names) :], strict=True))).problems:
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


def _units(job: SendJob, *, at: datetime) -> QuerySet[Any, Any]:
    """Return for each person with consent how long it lasts, and whether the unit that goes first ends soon."""
    held = _consent(job, at=at).values("subscriber_id")
    ends_soon = When(first__lte=at + SOON, then=Value(True))
    columns: dict[str, Any] = {
        "first": Min("expires_at"),
        "lasts": _Hour(Max(Coalesce("expires_at", Value(NO_END)))),
        "is_soon": Case(ends_soon, default=Value(False), output_field=BooleanField()),
    }
    if not job.template.is_counted:
        columns = {
            "lasts": Cast(Value(None), DateTimeField()),
            "is_soon": Value(False, output_field=BooleanField()),
        }
    rows: QuerySet[Any, Any] = held.annotate(**columns)
    return rows


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
