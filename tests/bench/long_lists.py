"""Row ``lists``: every list of the desk that grows, with five thousand rows and with five million."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from notify_platform.delivery.models import Delivery
from subscriptions.models import Audience, Scene
from tests import factories
from tests.bench import databases, processes
from tests.bench.rows import Goal, Raw, Scale
from tests.bench.seeding import History
from tests.elsewhere import elsewhere

RATIO = 1.5
Figures = dict[str, dict[str, float]]

LOG, SKIPS = "delivery_delivery", "delivery_skip"


def measure(scale: Scale) -> dict[str, Any]:
    """Write a short history into one database and a long one into another; open every page here and there in turn."""
    rows = scale.rows if connection.vendor == "postgresql" else scale.rows // 5
    few = min(scale.few_rows, rows)
    with databases.fresh(connection.vendor, server=os.environ["DATABASE_URL"]) as other:
        assert other is not None
        with elsewhere(other):
            call_command("migrate", verbosity=0)
            short = Desk(_stage(), rows=few)
        began = time.perf_counter()
        long = Desk(_stage(), rows=rows)
        seconds = round(time.perf_counter() - began)
        for _ in range(scale.rounds):
            with elsewhere(other):
                short.open_all()
            long.open_all()
    return {"few": few, "many": rows, "seconds_to_seed": seconds, "short": short.figures(), "long": long.figures()}


def _stage() -> History:
    program = factories.a_mini_program()
    # As many as jobs: a person stands to each in one relation.
    template, *_more = [factories.a_template(program) for _ in range(5)]
    audience = Audience.objects.create(mini_program=program, name="Everybody")
    jobs = [factories.a_job(template, audience=audience) for _ in range(5)]
    scene = Scene.objects.create(mini_program=program, code="order-paid", name="Order paid")
    user = User.objects.create_superuser("bench", password="x")
    return History(program=program, template=template, jobs=jobs, scene=scene, user=user)


def addresses(history: History) -> dict[str, str]:
    """What is measured → its address. Deep pages lie in the middle of the table."""
    job, middle = history.jobs[0].pk, Delivery.objects.order_by("-pk").values_list("pk", flat=True)[0] // 2
    person = history.a_person()

    def page(name: str, query: str = "") -> str:
        return reverse(f"admin:{name}_changelist") + query

    return {
        "delivery log": page(LOG),
        "log, all time": page(LOG, "?period=all"),
        "log, a page in the middle": page(LOG, f"?period=all&older={middle}"),
        "log, its oldest page": page(LOG, "?period=all&newer=0"),
        "log, refused by WeChat": page(LOG, "?state=failed&period=all"),
        "log, one code of WeChat": page(LOG, "?state=failed&error_code__exact=43101&period=all"),
        "log, three states together": page(LOG, "?state=taken&period=all"),
        "log of a job": page(LOG, f"?job={job}"),
        "log of a job, not sent, muted": page(LOG, f"?job={job}&state=skipped&reason__exact=muted"),
        "log, one day last month": page(LOG, f"?since={history.a_day()}&until={history.a_day()}"),
        "log of an openid": page(LOG, f"?q={person}"),
        "people left out": page(SKIPS),
        "people left out of a job": page(SKIPS, f"?job={job}"),
        "people left out, one reason": page(SKIPS, f"?job={job}&reason=muted"),
        "grants": page("subscriptions_grant"),
        "grants, revoked": page("subscriptions_grant", "?state=revoked"),
        "standing subscriptions": page("subscriptions_subscription"),
        "answers": page("subscriptions_answer", "?period=all"),
        "prompt reports": page("subscriptions_promptreport", "?period=all"),
        "people": page("subscriptions_subscriber"),
        "visits": page("subscriptions_visit", "?period=all"),
        "opens": page("delivery_open", "?period=all"),
        "feedback": page("delivery_feedback"),
        "callbacks": page("callbacks_callbackevent", "?period=all"),
        "callbacks, failed": page("callbacks_callbackevent", "?state=failed"),
        "audit trail": page("core_auditevent", "?period=all"),
    }


@dataclass
class Visits:
    """What opening one page cost, each time."""

    queries: int = 0
    ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)


class Desk:
    """An administrator at the desk of one database."""

    def __init__(self, history: History, *, rows: int) -> None:
        history.grow(to=rows)
        self.client = Client(headers={"host": "127.0.0.1"})
        self.client.force_login(history.user)
        self.addresses = addresses(history)
        self.visits = {words: Visits() for words in self.addresses}

    def open_all(self) -> None:
        """Open every page twice on this connection; the second time is measured."""
        for words, address in self.addresses.items():
            visits = self.visits[words]
            with CaptureQueriesContext(connection) as captured:
                self._open(address)
            visits.queries = len(captured)
            began, used = time.perf_counter(), _cpu_seconds()
            self._open(address)
            visits.ms.append((time.perf_counter() - began) * 1000)
            visits.cpu_ms.append((_cpu_seconds() - used) * 1000)

    def figures(self) -> Figures:
        """Return the best time by the clock, and the mean of the CPU: the kernel counts in ticks."""
        return {
            words: {"ms": round(min(one.ms), 1), "cpu_ms": round(mean(one.cpu_ms), 1), "queries": one.queries}
            for words, one in self.visits.items()
        }

    def _open(self, address: str) -> None:
        answer = self.client.get(address)
        if answer.status_code != 200:
            raise RuntimeError(f"{address}: {answer.status_code}")


def _cpu_seconds() -> float:
    """What this process has used, and the database's own process behind the connection."""
    used = time.process_time()
    if connection.vendor == "postgresql":
        used += processes.cpu_seconds(processes.database_pid())
    return used


# --- reading the figures -------------------------------------------------------------------------------------------


def _ratio(raw: Raw, words: str) -> float:
    return float(raw["long"][words]["cpu_ms"]) / max(float(raw["short"][words]["cpu_ms"]), 0.1)


def goals(raw: Raw) -> list[Goal]:
    """Hold the figures against the promise."""
    slowest = max(raw["long"], key=lambda words: _ratio(raw, words))
    different = [words for words in raw["long"] if raw["long"][words]["queries"] != raw["short"][words]["queries"]]
    worst, size = _ratio(raw, slowest), f"{raw['few']:,} and {raw['many']:,} rows"
    return [
        Goal(f"the same number of queries with {size}", ", ".join(different) or "the same on all pages", not different),
        Goal(f"≤ {RATIO} × the CPU time with {size}", f"{worst:.2f} ({slowest})", worst <= RATIO),
    ]


def table(raw: Raw) -> dict[str, Mapping[str, str]]:
    """Name of a page → heading → figure."""
    return {
        words: {
            "queries": str(raw["long"][words]["queries"]),
            "CPU ms, few rows": f"{raw['short'][words]['cpu_ms']:.0f}",
            "CPU ms, many rows": f"{raw['long'][words]['cpu_ms']:.0f}",
            "ms, many rows": f"{raw['long'][words]['ms']:.0f}",
            "times": f"{_ratio(raw, words):.2f}",
        }
        for words in raw["long"]
    }


def profiles(raw: Raw) -> dict[str, Mapping[str, float]]:
    """Nothing is watched inside a page."""
    return {}
