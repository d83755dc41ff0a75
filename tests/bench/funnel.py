"""Row ``funnel``: the dry run of a job over everybody, through every gate, and the size of the audience."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from datetime import time as clock
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notify_platform.delivery.dry_runs import Rehearsal
from notify_platform.delivery.rehearsal import rehearse
from notify_platform.jobs.models import SendJob
from subscriptions.audience import selection
from subscriptions.models import Answer, Source
from templates_app.models import MessageTemplate, MiniProgram
from tests import factories
from tests.bench import tables
from tests.bench.rows import Goal, Raw, Scale

SOME, ALL, NIGHT = "25 % hold consent", "everybody holds consent", "everybody does, and waits for the morning"
COUNT = "the audience alone"
# Milliseconds, by database.
MOST: Mapping[str, Mapping[str, int]] = {
    "postgresql": {SOME: 1000, ALL: 3000},
    "sqlite": {SOME: 1500, ALL: 3000},
}
DAY = 86_400
BATCH = 500_000


def measure(scale: Scale) -> dict[str, Any]:
    """Rehearse jobs in turn, round by round."""
    jobs = _a_shop(scale.crowd)
    audience = jobs[SOME].audience
    asked: dict[str, Callable[[], Any]] = {
        COUNT: lambda: selection.people(audience).count(),
        **{words: lambda job=job: rehearse(job) for words, job in jobs.items()},
    }
    found = {words: _believable(rehearse(job), people=scale.crowd) for words, job in jobs.items()}
    rounds = [{words: _ms(ask) for words, ask in asked.items()} for _ in range(scale.rounds)]
    statements = {}
    for words, ask in asked.items():
        with CaptureQueriesContext(connection) as captured:
            ask()
        statements[words] = len(captured)
    return {
        "vendor": connection.vendor,
        "people": scale.crowd,
        "grants": 3 * scale.crowd,
        "sent": {words: run.sent for words, run in found.items()},
        "statements": statements,
        "rounds": rounds,
    }


def _ms(ask: Callable[[], Any]) -> float:
    began = time.perf_counter()
    ask()
    return round((time.perf_counter() - began) * 1000, 1)


def _believable(run: Rehearsal, *, people: int) -> Rehearsal:
    """Raise unless everybody is accounted for."""
    if run.audience != people or sum(run.by_reason.values()) + run.sent != people or not run.sent:
        raise RuntimeError(f"the funnel does not add up: {run}")
    return run


# --- who stands in it ----------------------------------------------------------------------------------------------


def _a_shop(people: int) -> dict[str, SendJob]:
    """Everybody once, three units for each: one of a template only a quarter has in stock, two of another."""
    program = factories.a_mini_program(quiet_from=clock(22), quiet_until=clock(8))
    some, every = factories.a_template(program), factories.a_template(program)
    _everybody(program, people)
    _relations([some, every], people)
    _units([some, every], people)
    tables.settle(["subscriptions.Subscriber", "subscriptions.Subscription", "subscriptions.Grant"])
    zone = ZoneInfo(program.time_zone)
    tomorrow = timezone.localdate(timezone=zone) + timedelta(days=1)
    noon, night = (datetime.combine(tomorrow, clock(hour), tzinfo=zone) for hour in (12, 23))
    jobs = {SOME: (some, noon), ALL: (every, noon), NIGHT: (every, night)}
    return {words: factories.a_job(template, starts_at=at) for words, (template, at) in jobs.items()}


def _everybody(program: MiniProgram, people: int) -> None:
    """One in twenty has quiet hours of their own, one in fifty lives elsewhere, a few get no cards for now or ever."""
    seen = tables.moment(f"-(n % {90 * DAY})")
    columns = {
        "id": "n", "mini_program_id": str(program.pk), "openid": tables.openid(), "nickname": "'小明'",
        "region": "CASE WHEN n % 3 = 0 THEN '广东' ELSE '浙江' END", "city": "'深圳'",
        "tags": "'[]'", "interests": "'[]'", "session_version": "1", "created_at": seen, "last_visit_at": seen,
        "time_zone": "CASE WHEN n % 50 = 0 THEN 'Asia/Urumqi' ELSE '' END",
        "quiet_from": f"CASE WHEN n % 20 = 7 THEN {_hour('21:00:00')} END",
        "quiet_until": f"CASE WHEN n % 20 = 7 THEN {_hour('09:00:00')} END",
        "paused_until": f"CASE WHEN n % 100 = 3 THEN {tables.moment(str(3 * DAY))} END",
        "main_switch_off_at": f"CASE WHEN n % 100 = 13 THEN {seen} END",
        "invalid_at": f"CASE WHEN n % 200 = 11 THEN {seen} END",
    }  # fmt: skip
    _write("subscriptions.Subscriber", columns, people)


def _relations(templates: Sequence[MessageTemplate], people: int) -> None:
    for number, template in enumerate(templates):
        columns = {
            "id": f"{number * people} + n", "subscriber_id": "n", "template_id": str(template.pk), "always_keep": "''",
            "changed_at": tables.moment("0"),
            "state": "CASE WHEN n % 50 = 17 THEN 'off' WHEN n % 500 = 19 THEN 'suspended' ELSE 'on' END",
            "muted_at": f"CASE WHEN n % 50 = 23 THEN {tables.moment('0')} END",
        }  # fmt: skip
        _write("subscriptions.Subscription", columns, people)


def _units(templates: Sequence[MessageTemplate], people: int) -> None:
    """Units end within the week that begins the day after tomorrow; half of the people have spent the third."""
    some, every = templates
    answer = Answer.objects.create(
        subscriber_id=1, template=every, answer="accept", source=Source.IMPORT, answered_at=timezone.now()
    )
    held = {
        (some, 0): "(n / 7) % 4 = 0",
        (every, 1): "n > 0",
        (every, 2): "n % 2 = 0",
    }
    for (template, number), is_held in held.items():
        columns = {
            "id": f"{number * people} + n", "subscriber_id": "n", "template_id": str(template.pk),
            "answer_id": str(answer.pk), "revoked_by": "''", "granted_at": tables.moment(f"-({DAY})"),
            "expires_at": tables.moment(f"({2 * DAY} + (n * 7919 + {number} * 104729) % {7 * DAY})"),
            "state": f"CASE WHEN {is_held} THEN 'available' ELSE 'spent' END",
            "settled_at": f"CASE WHEN {is_held} THEN NULL ELSE {tables.moment('0')} END",
        }  # fmt: skip
        _write("subscriptions.Grant", columns, people)


def _write(label: str, columns: Mapping[str, str], people: int) -> None:
    for first in range(1, people + 1, BATCH):
        tables.fill(label, columns, first=first, last=min(first + BATCH - 1, people))


def _hour(hour: str) -> str:
    return f"CAST('{hour}' AS time)" if connection.vendor == "postgresql" else f"'{hour}'"


# --- reading the figures -------------------------------------------------------------------------------------------


def _median(raw: Raw, words: str) -> float:
    return median(one[words] for one in raw["rounds"])


def goals(raw: Raw) -> list[Goal]:
    """Hold the figures against the promises."""
    return [
        Goal(f"≤ {most / 1000:g} s when {words}", f"{_median(raw, words) / 1000:.2f} s", _median(raw, words) <= most)
        for words, most in MOST[raw["vendor"]].items()
    ]


def table(raw: Raw) -> dict[str, Mapping[str, str]]:
    """Name of a line → heading → figure."""
    return {
        words: {
            "ms": f"{_median(raw, words):.0f}",
            "would be sent": f"{raw['sent'][words]:,}" if words in raw["sent"] else "",
            "statements": str(raw["statements"][words]),
        }
        for words in (COUNT, SOME, ALL, NIGHT)
    }


def profiles(raw: Raw) -> dict[str, Mapping[str, float]]:
    """Nothing to divide: all of it is the database's."""
    return {}
