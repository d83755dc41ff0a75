"""The dry run of a job as a funnel: who is left after each gate, and some of those who are not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext as _

from notify_platform.console.desk.base import called
from notify_platform.console.desk.jobs import timing
from notify_platform.delivery.dry_runs import Loss, Rehearsal, Wait
from subscriptions.models import Subscriber


@dataclass(frozen=True, slots=True)
class Somebody:
    """A person of a sample: name and page."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class Step:
    """One bar: what it counts, how many, their share of the audience in percent, and a few of them."""

    label: str
    people: str
    percent: float
    tone: str
    people_shown: Sequence[Somebody] = ()


@dataclass(frozen=True, slots=True)
class Funnel:
    """What console/rehearsal.html draws: the audience, what each gate takes away, what remains, what it costs."""

    rehearsal: Rehearsal
    audience: str
    sent: str
    losses: Sequence[Step]
    remain: Sequence[Step]
    is_counted: bool
    units: str
    stock: str
    lapsing: str
    duration: str


def drawn(rehearsal: Rehearsal, *, is_counted: bool) -> Funnel:
    """Return a dry run ready to be shown; one query for the names of all samples."""
    stops: list[Loss | Wait] = [*rehearsal.losses, *rehearsal.waits]
    known = _people({pk for stop in stops for pk in stop.samples})

    def step(name: str, people: int, *, tone: str, samples: Sequence[int] = ()) -> Step:
        return Step(
            label=name,
            people=f"{people:,}",
            percent=people * 100 / rehearsal.audience if rehearsal.audience else 0.0,
            tone=tone,
            people_shown=[_somebody(known[pk]) for pk in samples if pk in known],
        )

    losses = [step(one.label, one.people, tone="idle", samples=one.samples) for one in rehearsal.losses if one.people]
    remain = [step(_("sent at once"), rehearsal.now, tone="good")] if rehearsal.now else []
    remain += [
        step(_("sent later: %(why)s") % {"why": wait.label}, wait.people, tone="busy", samples=wait.samples)
        for wait in rehearsal.waits
    ]
    return Funnel(
        rehearsal=rehearsal,
        audience=f"{rehearsal.audience:,}",
        sent=f"{rehearsal.sent:,}",
        losses=losses,
        remain=remain,
        is_counted=is_counted,
        units=f"{rehearsal.units:,}",
        stock=f"{rehearsal.stock:,}",
        lapsing=f"{rehearsal.lapsing:,}",
        duration=timing.duration(rehearsal.seconds),
    )


def _people(keys: Collection[int]) -> Mapping[int, Subscriber]:
    rows = Subscriber.objects.filter(pk__in=keys).only("nickname", "openid", "forgotten_at")
    return {row.pk: row for row in rows} if keys else {}


def _somebody(person: Subscriber) -> Somebody:
    return Somebody(called(person), reverse("admin:subscriptions_subscriber_change", args=[person.pk]))
