"""The figures of ``/metrics``. Each function asks one question, whatever the number of messages, jobs or apps.

What is waiting is read from the rows, of which an index holds just those; what has happened from the tallies the worker
keeps (minutes old at most). Labels are app ids, states, codes and words: nothing about a person, and no secret.
"""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import django
from django.db import connection
from django.db.models import Count, Max, Min, OuterRef, Q, Subquery, Sum
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from notify_platform import __version__
from notify_platform.alerts.models import Alert
from notify_platform.callbacks.models import CallbackEvent
from notify_platform.core import history, queue
from notify_platform.core.clock import database_now
from notify_platform.core.models import Bell, DriverLease, WorkerNode
from notify_platform.delivery import pacing, speed, stalls
from notify_platform.delivery.models import Delivery
from notify_platform.insights import sending
from notify_platform.insights.models import RefusalTally, SendingTally, StockTally
from notify_platform.jobs import series
from notify_platform.jobs.models import SendJob
from notify_platform.wechat.outcomes import outcome_of_code
from subscriptions.models import Drift
from templates_app.models import AccessToken, MiniProgram

# So many rows of a queue are counted; a longer one is told as this long.
MOST: Final = 100_000
DAY: Final = timedelta(days=1)
State = Delivery.State
# A job that is over is history.
LIVE: Final = [state for state in SendJob.State if state not in SendJob.OVER]

# The values of the labels, in order → the figure.
Numbers = Mapping[Any, float]


@dataclass(frozen=True, slots=True)
class Scrape:
    """What every question needs: the database's clock, and each mini-program's app id by its number."""

    now: datetime
    apps: Mapping[int, str]

    def age(self, moment: datetime | None) -> float:
        """Return for how many seconds something has been so; 0 when it is not, or not yet."""
        return max(0.0, (self.now - moment).total_seconds()) if moment else 0.0

    def each(self, numbers: Mapping[int, float]) -> Numbers:
        """Return a number for every mini-program, 0 where there is none."""
        return {(app,): numbers.get(pk, 0) for pk, app in self.apps.items()}


def everything() -> Iterator[Metric]:
    """Yield every figure."""
    scrape = Scrape(database_now(), dict(MiniProgram.objects.order_by("pk").values_list("pk", "app_id")))
    for ask in _QUESTIONS:
        yield from ask(scrape)


def _gauge(name: str, words: str, numbers: Numbers, *labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"notify_{name}", words, labels=labels)
    for key, number in numbers.items():
        family.add_metric(key, number)
    return family


def _counter(name: str, words: str, numbers: Numbers, *labels: str) -> CounterMetricFamily:
    family = CounterMetricFamily(f"notify_{name}", words, labels=labels)
    for key, number in numbers.items():
        family.add_metric(key, number)
    return family


# --- messages --------------------------------------------------------------------------------------------------------


def _waiting(scrape: Scrape) -> Iterator[Metric]:
    """Messages whose moment has come. Three questions: the running jobs, their rows, and how fast they leave."""
    rows = Delivery.objects.filter(state=State.WAITING, due_at__lte=scrape.now)
    first = rows.filter(job=OuterRef("pk")).order_by("due_at").values("due_at")[:1]
    running = SendJob.objects.filter(state=SendJob.State.RUNNING).annotate(first=Subquery(first))
    jobs = list(running.values_list("pk", "mini_program", "first"))
    counts = history.capped_counts([rows.filter(job=pk) for pk, _app, _first in jobs], cap=MOST)
    speeds = speed.of_jobs([pk for pk, _app, _first in jobs])
    due, oldest, rate = defaultdict[int, float](float), defaultdict[int, float](float), defaultdict[int, float](float)
    for (pk, app, moment), number in zip(jobs, counts, strict=True):
        due[app] += number
        oldest[app] = max(oldest[app], scrape.age(moment))
        rate[app] += speeds.get(pk, speed.Speed()).per_second
    words = f"Messages of running jobs whose moment has come; more than {MOST} of one job are told as {MOST}."
    yield _gauge("deliveries_due", words, scrape.each(due), "app")
    yield _gauge(
        "deliveries_due_oldest_seconds", "For how long the first of them has waited.", scrape.each(oldest), "app"
    )
    yield _gauge("deliveries_per_second", "Messages that left, over the last half minute.", scrape.each(rate), "app")


def _in_flight(scrape: Scrape) -> Iterator[Metric]:
    flying = Delivery.objects.filter(state__in=Delivery.IN_FLIGHT).values_list("mini_program", "state").order_by()
    lapsed = Count("pk", filter=Q(lease_until__lte=scrape.now))
    states = {(app, state.value): 0.0 for app in scrape.apps.values() for state in sorted(Delivery.IN_FLIGHT)}
    overdue = defaultdict[int, float](float)
    for app, state, number, late in flying.annotate(number=Count("pk"), late=lapsed):
        states[scrape.apps[app], state] = number
        overdue[app] += late
    yield _gauge("deliveries_in_flight", "Messages a worker holds: claimed, or being sent.", states, "app", "state")
    yield _gauge("leases_lapsed", "Those whose worker has not settled them in time.", scrape.each(overdue), "app")


def _unknown(scrape: Scrape) -> Iterator[Metric]:
    rows = Delivery.objects.filter(state=State.UNKNOWN, settled_at__isnull=True).values_list("mini_program").order_by()
    found = list(rows.annotate(number=Count("pk"), first=Min("armed_at")))
    numbers = {app: number for app, number, _first in found}
    oldest = {app: scrape.age(first) for app, _number, first in found}
    yield _gauge("deliveries_unknown", "Messages whose result nobody has told yet.", scrape.each(numbers), "app")
    yield _gauge(
        "deliveries_unknown_oldest_seconds", "How long ago the first of them left.", scrape.each(oldest), "app"
    )


def _outcomes(scrape: Scrape) -> Iterator[Metric]:
    rows = SendingTally.objects.values_list("job__mini_program").order_by()
    columns = [Sum(column) for column in sending.COLUMNS]
    numbers: dict[tuple[str, ...], float] = {}
    for app, *sums in rows.annotate(*columns):
        numbers |= {(scrape.apps[app], column): total for column, total in zip(sending.COLUMNS, sums, strict=True)}
    words = "Messages by what became of them (accepted includes delivered and undelivered); from tallies."
    yield _counter("messages", words, numbers, "app", "outcome")


def _refusals(scrape: Scrape) -> Iterator[Metric]:
    rows = RefusalTally.objects.values_list("job__mini_program", "code").order_by().annotate(number=Sum("messages"))
    numbers = {(scrape.apps[app], str(code), outcome_of_code(code).word.value): number for app, code, number in rows}
    yield _counter("refusals", "Messages WeChat refused, by its code; from tallies.", numbers, "app", "code", "word")


def _tallies(scrape: Scrape) -> Iterator[Metric]:
    turns = DriverLease.objects.filter(name__startswith=queue.TURN).values_list("name", "until")
    late = {(name.removeprefix(queue.TURN),): scrape.age(until) for name, until in turns}
    yield _gauge("turn_overdue_seconds", "For how long work that is done every so often has been due.", late, "turn")


# --- jobs and consent ------------------------------------------------------------------------------------------------


def _jobs(scrape: Scrape) -> Iterator[Metric]:
    live = SendJob.objects.filter(state__in=LIVE).values_list("mini_program", "state", "pause_reason").order_by()
    states = {(app, state.value): 0.0 for app in scrape.apps.values() for state in LIVE}
    reasons = {(app, reason.value): 0.0 for app in scrape.apps.values() for reason in SendJob.PauseReason}
    for app, state, reason, number in live.annotate(number=Count("pk")):
        states[scrape.apps[app], state] += number
        if reason:
            reasons[scrape.apps[app], reason] += number
    yield _gauge("jobs", "Jobs that are not over, by state.", states, "app", "state")
    yield _gauge(
        "jobs_paused", "Paused jobs; “operator” is a person, the rest the platform itself.", reasons, "app", "reason"
    )


def _series(scrape: Scrape) -> Iterator[Metric]:
    late = series.due().filter(next_at__lte=scrape.now).values_list("mini_program").order_by()
    found = {app: scrape.age(first) for app, first in late.annotate(first=Min("next_at"))}
    yield _gauge(
        "series_late_seconds", "For how long an occurrence of a series has been missing.", scrape.each(found), "app"
    )


def _stock(scrape: Scrape) -> Iterator[Metric]:
    rows = StockTally.objects.values_list("template__mini_program").order_by()
    found = list(rows.annotate(Sum("available"), Sum("lapsing_next")))
    words = "Units of consent that can be used; from a tally."
    yield _gauge("consent_available", words, scrape.each({app: number for app, number, _next in found}), "app")
    words = "Those of them that end within 24 hours."
    yield _gauge("consent_lapsing", words, scrape.each({app: number for app, _all, number in found}), "app")


def _drift(scrape: Scrape) -> Iterator[Metric]:
    lately = Drift.objects.filter(at__gt=scrape.now - DAY).values_list("template__mini_program").order_by()
    words = "Units that WeChat did not know although our books held them, within 24 hours."
    yield _gauge("consent_drift", words, scrape.each(dict(lately.annotate(number=Sum("units")))), "app")


# --- callbacks, alerts -----------------------------------------------------------------------------------------------


def _callbacks(scrape: Scrape) -> Iterator[Metric]:
    oldest = CallbackEvent.objects.filter(state=CallbackEvent.State.PENDING).order_by("due_at", "id")
    rows = CallbackEvent.objects.filter(pk__in=oldest.values("pk")[:MOST]).values_list("mini_program").order_by()
    found = list(rows.annotate(number=Count("pk"), first=Min("received_at")))
    words = f"WeChat's pushes that wait to be handled; more than {MOST} are told as {MOST}."
    yield _gauge("callbacks_pending", words, scrape.each({app: number for app, number, _first in found}), "app")
    words = "For how long the first of them has waited."
    ages = {app: scrape.age(first) for app, _number, first in found}
    yield _gauge("callbacks_pending_oldest_seconds", words, scrape.each(ages), "app")


def _failed_callbacks(scrape: Scrape) -> Iterator[Metric]:
    failed = CallbackEvent.objects.filter(state=CallbackEvent.State.FAILED, received_at__gt=scrape.now - DAY)
    found = dict(failed.values_list("mini_program").order_by().annotate(number=Count("pk")))
    yield _gauge(
        "callbacks_failed", "Pushes of the last 24 hours that could not be handled.", scrape.each(found), "app"
    )


def _last_callback(scrape: Scrape) -> Iterator[Metric]:
    last = CallbackEvent.objects.order_by("-pk").values_list("received_at", flat=True).first()
    numbers = {(): scrape.age(last)} if last else {}
    yield _gauge("callback_last_seconds", "How long ago WeChat pushed anything.", numbers)


def _alerts(scrape: Scrape) -> Iterator[Metric]:
    open_ones = Alert.objects.filter(settled_at__isnull=True).values_list("mini_program", "kind").order_by()
    numbers = {(app, kind.value): 0.0 for app in scrape.apps.values() for kind in Alert.Kind}
    for app, kind, number in open_ones.annotate(number=Count("pk")):
        numbers[scrape.apps[app], kind] = number
    yield _gauge("alerts_open", "Alerts at the desk that nobody has settled.", numbers, "app", "kind")


# --- the machinery ---------------------------------------------------------------------------------------------------


def _workers(scrape: Scrape) -> Iterator[Metric]:
    beating = Q(beat_at__gt=scrape.now - stalls.WORKER_SILENT_AFTER)
    found = WorkerNode.objects.aggregate(
        number=Count("pk", filter=beating), beat=Max("beat_at"), pulse=Min("pulse_at", filter=beating)
    )
    yield _gauge("workers", "Workers whose supervisor is alive.", {(): found["number"]})
    if found["beat"]:
        words = "How long ago any worker's supervisor gave a sign of life."
        yield _gauge("worker_beat_age_seconds", words, {(): scrape.age(found["beat"])})
    if found["pulse"]:
        words = "How long ago the slowest living worker's queue answered."
        yield _gauge("worker_pulse_age_seconds", words, {(): scrape.age(found["pulse"])})


def _queue(scrape: Scrape) -> Iterator[Metric]:
    first = Bell.objects.aggregate(first=Min("rung_at"))["first"]
    yield _gauge("queue_tasks", "Tasks in the queue of django-q2.", {(): queue.waiting()})
    yield _gauge(
        "queue_oldest_bell_seconds", "For how long a task has been asked for in vain.", {(): scrape.age(first)}
    )


def _tokens(scrape: Scrape) -> Iterator[Metric]:
    rows = AccessToken.objects.filter(fetched_at__isnull=False, expires_at__isnull=False)
    ages: dict[tuple[str, ...], float] = {}
    left: dict[tuple[str, ...], float] = {}
    for app, fetched_at, expires_at in rows.values_list("mini_program", "fetched_at", "expires_at"):
        ages[scrape.apps[app],] = scrape.age(fetched_at)
        left[scrape.apps[app],] = max(0.0, (expires_at - scrape.now).total_seconds()) if expires_at else 0.0
    yield _gauge("token_age_seconds", "How old the access token is.", ages, "app")
    words = "For how long it is valid; with nothing to send nobody renews it."
    yield _gauge("token_left_seconds", words, left, "app")


def _pace(scrape: Scrape) -> Iterator[Metric]:
    """How much may leave: two questions."""
    budgets = dict(MiniProgram.objects.values_list("pk", "daily_budget"))
    names = {pk: pacing.name_of(MiniProgram(pk=pk)) for pk in budgets}
    found = pacing.looks(names.values())
    looks = {pk: found.get(name, pacing.Look(free_in=0.0, booked=0)) for pk, name in names.items()}
    words = "For how long nothing leaves: WeChat asked to slow down, or is overwhelmed."
    yield _gauge("pace_held_seconds", words, scrape.each({pk: look.free_in for pk, look in looks.items()}), "app")
    left = {pk: max(0, budgets[pk] - look.booked) for pk, look in looks.items()}
    yield _gauge("budget_left", "Messages the daily budget still allows today.", scrape.each(left), "app")


def _build(scrape: Scrape) -> Iterator[Metric]:
    told = {
        "version": __version__,
        "python": platform.python_version(),
        "django": django.get_version(),
        "database": connection.vendor,
    }
    yield _gauge("build_info", "What runs here; always 1.", {tuple(told.values()): 1}, *told)


_QUESTIONS: tuple[Callable[[Scrape], Iterable[Metric]], ...] = (
    _waiting,
    _in_flight,
    _unknown,
    _outcomes,
    _refusals,
    _tallies,
    _jobs,
    _series,
    _stock,
    _drift,
    _callbacks,
    _failed_callbacks,
    _last_callback,
    _alerts,
    _workers,
    _queue,
    _tokens,
    _pace,
    _build,
)
