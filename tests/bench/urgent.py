"""Row ``urgent``: how long what goes first waits while a broadcast runs. For now that is a test send."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from statistics import median, quantiles
from typing import Any

from django.utils import timezone

from notify_platform.delivery import trial
from notify_platform.jobs.models import SendJob
from subscriptions.models import Subscriber
from templates_app.models import MessageTemplate, MiniProgram
from tests import factories
from tests.bench import crew, crowd, sink
from tests.bench.crew import Order
from tests.bench.rows import Goal, Raw, Scale

PACES = (50, crowd.UNPACED)
PEOPLE_FOR_ONE = 1000
LATENCY_MS = 30
CONCURRENCY = 20
PATIENCE_SECONDS = 300.0
SPACING_SECONDS = 0.25
# The broadcast is under way, and the last message has come.
LEAD_SECONDS, TAIL_SECONDS = 1.0, 20.0
QUIET_SECONDS = 2.0
PROMISE_SECONDS = 1.0


def measure(scale: Scale) -> dict[str, Any]:
    """Send tests to one tester after the other beside a broadcast that outlasts them."""
    template = crowd.a_template()
    runs = []
    for pace in PACES:
        MiniProgram.objects.update(pace_per_second=pace)
        template.refresh_from_db()
        runs.append({"pace": pace, **_run(template, people=PEOPLE_FOR_ONE * scale.urgent, tests=scale.urgent)})
    return {"runs": runs}


def _run(template: MessageTemplate, *, people: int, tests: int) -> dict[str, Any]:
    crowd.gather(template, count=people)
    crowd.freeze(crowd.a_broadcast(template))
    draft, testers = _a_draft(template.mini_program, testers=tests)
    user = factories.a_user()
    with sink.running(latency_ms=LATENCY_MS) as target:
        orders = [Order(messages=people, concurrency=CONCURRENCY)]
        environment = {"WECHAT_API_BASE_URL": target.url}
        with crew.standing_by("engine", orders, environment=environment, patience=PATIENCE_SECONDS) as engines:
            engines.begin()
            time.sleep(LEAD_SECONDS)
            committed = {}
            for tester in testers:
                time.sleep(SPACING_SECONDS)
                trial.send(draft, to={tester.pk}, card_state=MiniProgram.State.TRIAL, by=user)
                committed[tester.openid] = time.monotonic()
            waits, others = _waits(target, committed)
    if not others:
        raise RuntimeError("nothing of the broadcast left beside the tests")
    return {"waits": waits, "broadcast": others}


def _a_draft(mini_program: MiniProgram, *, testers: int) -> tuple[SendJob, Sequence[Subscriber]]:
    """A job to be tried out, with words of its own, and people to try it on."""
    template = factories.a_template(mini_program)
    people = factories.subscribers(mini_program, count=testers, tester_since=timezone.now())
    factories.grants(template, to=people)
    return factories.a_job(template), people


def _waits(target: sink.Sink, committed: Mapping[str, float]) -> tuple[list[float], int]:
    """Seconds from each commit until its message came, and how many messages of the broadcast came meanwhile."""
    give_up_at = time.monotonic() + TAIL_SECONDS
    while True:
        # While it reads its diary out the other side takes no messages.
        time.sleep(QUIET_SECONDS)
        diary = target.diary()
        came = {openid: moment for moment, openid in diary if openid in committed}
        if len(came) == len(committed):
            first = min(committed.values())
            others = sum(moment >= first and openid not in committed for moment, openid in diary)
            return [round(came[openid] - moment, 4) for openid, moment in committed.items()], others
        if time.monotonic() > give_up_at:
            raise RuntimeError(f"{len(committed) - len(came)} of {len(committed)} tests did not come")


# --- reading the figures -------------------------------------------------------------------------------------------


def _p99(run: Mapping[str, Any]) -> float:
    return quantiles(run["waits"], n=100, method="inclusive")[98]


def _name(run: Mapping[str, Any]) -> str:
    return "unpaced" if run["pace"] == crowd.UNPACED else f"at {run['pace']} a second"


def goals(raw: Raw) -> list[Goal]:
    """Hold the figures against the promise."""
    return [
        Goal(
            f"commit → request leaves beside a broadcast {_name(run)}: p99 ≤ {PROMISE_SECONDS:.0f} s",
            f"{_p99(run):.2f} s",
            _p99(run) <= PROMISE_SECONDS,
        )
        for run in raw["runs"]
    ]


def table(raw: Raw) -> dict[str, Mapping[str, str]]:
    """Run → heading → figure."""
    return {
        f"a test beside a broadcast {_name(run)}": {
            "tests": str(len(run["waits"])),
            "p50 ms": f"{median(run['waits']) * 1000:.0f}",
            "p99 ms": f"{_p99(run) * 1000:.0f}",
            "most ms": f"{max(run['waits']) * 1000:.0f}",
            "of the broadcast meanwhile": f"{run['broadcast']:,}",
        }
        for run in raw["runs"]
    }


def profiles(raw: Raw) -> dict[str, Mapping[str, float]]:
    """Nothing is watched inside."""
    return {}
