"""Row ``broadcast``: a message to each of many people, by the platform, by its transport alone, and as others do it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import itemgetter
from statistics import median
from typing import Any, Final

from django.db import connection

from notify_platform.delivery.models import Delivery
from notify_platform.jobs.models import SendJob
from templates_app.models import MessageTemplate
from tests.bench import crew, crowd, peers, processes, sink
from tests.bench.charts import Bar, draw
from tests.bench.crew import Order
from tests.bench.rows import Goal, Raw, Scale
from tests.bench.statements import Statements

# On every side: connections of the platform, threads, tasks under way.
CONCURRENCY = 50
PATIENCE_SECONDS = 1800.0
PLATFORM, CEILING, POOL, Q2, Q2_BEST = "platform", "ceiling", "pool", "q2", "q2-best"
WATCHED = "watched"
# How many messages each gets at which latency (ms): what takes the slow ones about half a minute.
MESSAGES: Final[Mapping[str, Mapping[int, int]]] = {
    PLATFORM: {0: 20_000, 30: 20_000, 100: 5000},
    CEILING: {0: 20_000, 30: 20_000, 100: 5000},
    POOL: {0: 5000, 30: 5000, 100: 5000},
    Q2: {0: 600, 30: 300, 100: 200},
    Q2_BEST: {0: 5000, 30: 2000, 100: 2000},
}
OURS, PEERS = (PLATFORM, CEILING), (POOL, Q2, Q2_BEST)


@dataclass(frozen=True)
class Cell:
    """One thing to be measured, ``rounds`` times."""

    contender: str
    latency: int
    workers: int
    messages: int
    rounds: int


@dataclass(frozen=True)
class Contender:
    """Someone who sends. ``prepare`` makes the rows, ``enqueue`` is measured, ``left`` counts what was not sent."""

    words: str
    kind: str
    prepare: Callable[[MessageTemplate, int], object] = lambda _template, _count: None
    enqueue: Callable[[], object] = lambda: None
    left: Callable[[], int] = lambda: 0
    settings: str = "notify_platform.settings"


def _freeze() -> None:
    """What the platform does once a job has started."""
    crowd.freeze(SendJob.objects.get())


def _gather(template: MessageTemplate, count: int) -> None:
    crowd.gather(template, count=count)
    crowd.a_broadcast(template)


def _not_accepted() -> int:
    return SendJob.objects.get().audience_size - Delivery.objects.filter(state=Delivery.State.ACCEPTED).count()


def _rows(_template: MessageTemplate, count: int) -> None:
    peers.prepare(count)


def _unsent() -> int:
    return peers.unsent().count()


CONTENDERS: Final[Mapping[str, Contender]] = {
    PLATFORM: Contender("the platform", "engine", _gather, _freeze, _not_accepted),
    WATCHED: Contender("the platform, watched", "engine-watched", _gather, _freeze, _not_accepted),
    CEILING: Contender("its transport, no database", "ceiling"),
    POOL: Contender("wechatpy, 50 threads", "pool", _rows, left=_unsent),
    Q2: Contender("django-q2, as it comes", "q2", _rows, peers.enqueue, _unsent, "tests.bench.q2_defaults"),
    Q2_BEST: Contender("django-q2, at its best", "q2", _rows, peers.enqueue, _unsent, "tests.bench.q2_best"),
}


# --- measuring -----------------------------------------------------------------------------------------------------


def measure(scale: Scale) -> dict[str, Any]:
    """Run every cell, one after the other, round after round; then the long broadcast."""
    template = crowd.a_template()
    statements = Statements()
    done: dict[Cell, list[dict[str, float]]] = {cell: [] for cell in cells(scale)}
    not_run: dict[str, str] = {}
    for number in range(max(cell.rounds for cell in done)):
        for cell, rounds in done.items():
            if number < cell.rounds and cell.contender not in not_run:
                _add(cell, rounds, template=template, statements=statements, not_run=not_run)
    many = Cell(PLATFORM, 0, 1, scale.many, 1)
    watched = Cell(WATCHED, 0, 1, scale.messages, 1)
    return {
        "watched": _run(watched, template=template, statements=statements),
        "cells": [{**asdict(cell), "rounds": rounds} for cell, rounds in done.items() if rounds],
        "many": {**asdict(many), "rounds": [_run(many, template=template, statements=statements)]},
        "not_run": not_run,
    }


def cells(scale: Scale) -> list[Cell]:
    """What is measured, in the order of the interleaved run; on SQLite, which has one writer, one worker sends."""
    ours = [
        Cell(name, latency, workers, min(MESSAGES[name][latency], scale.messages), rounds)
        for latency, rounds in scale.latencies.items()
        for workers in (scale.workers if connection.vendor == "postgresql" else (1,))
        for name in OURS
    ]
    theirs = [
        Cell(name, latency, _processes(name, latency), min(MESSAGES[name][latency], scale.messages), rounds)
        for latency, rounds in scale.peers.items()
        # Where there is latency django-q2 needs fifty processes, and on one file they wait for each other.
        if connection.vendor == "postgresql" or not latency
        for name in PEERS
    ]
    return sorted([*ours, *theirs], key=lambda cell: cell.latency)


def _processes(name: str, latency: int) -> int:
    """How many worker processes a peer has: one pool; a worker of q2 waits for its answer, so latency takes many."""
    if name == POOL:
        return 1
    return CONCURRENCY if name == Q2_BEST and latency else os.cpu_count() or 1


def _add(
    cell: Cell,
    rounds: list[dict[str, float]],
    *,
    template: MessageTemplate,
    statements: Statements,
    not_run: dict[str, str],
) -> None:
    try:
        rounds.append(_run(cell, template=template, statements=statements))
    except Exception as error:
        if cell.contender not in PEERS:
            raise
        not_run[cell.contender] = f"{type(error).__name__}: {error}"[:200]
        sys.stderr.write(f"!!! {CONTENDERS[cell.contender].words} COULD NOT BE RUN: {not_run[cell.contender]} !!!\n")


def _run(cell: Cell, *, template: MessageTemplate, statements: Statements) -> dict[str, float]:
    contender = CONTENDERS[cell.contender]
    contender.prepare(template, cell.messages)
    asked, server, own = statements.count, processes.server_cpu_seconds(), time.process_time()
    contender.enqueue()
    enqueue = processes.server_cpu_seconds() - server + time.process_time() - own
    asked = statements.count - asked
    with sink.running(latency_ms=cell.latency) as target:
        environment = {
            "DJANGO_SETTINGS_MODULE": contender.settings,
            "WECHAT_API_BASE_URL": target.url,
            "WORKERS": str(cell.workers),
        }
        with crew.standing_by(
            contender.kind, orders(cell), environment=environment, patience=PATIENCE_SECONDS
        ) as workers:
            server, began = processes.server_cpu_seconds(), time.monotonic()
            workers.begin()
            told = workers.told()
            seconds, server = time.monotonic() - began, processes.server_cpu_seconds() - server
        _insist(cell, counts=target.counts(), left=contender.left())
    ms = 1000 / cell.messages
    return {
        "per_second": round(cell.messages / seconds, 1),
        "worker_ms": round(sum(one["cpu_seconds"] for one in told) * ms, 4),
        "database_ms": round(server * ms, 4),
        "enqueue_ms": round(enqueue * ms, 4),
        "statements": round((asked + sum(one["statements"] for one in told)) / cell.messages, 4),
        "peak_mb": max(one["peak_mb"] for one in told),
        **({"profile": told[0]["profile"]} if "profile" in told[0] else {}),
    }


def orders(cell: Cell) -> list[Order]:
    """Deal messages and connections out; q2 starts its workers itself."""
    parts = 1 if cell.contender in PEERS else cell.workers
    first, orders = 1, []
    for number in range(parts):
        messages, lines = (total // parts + (number < total % parts) for total in (cell.messages, CONCURRENCY))
        orders.append(Order(messages=messages, concurrency=lines, first=first))
        first += messages
    return orders


def _insist(cell: Cell, *, counts: Mapping[str, int], left: int) -> None:
    """Who doubles a message or leaves one out would be quick for nothing."""
    if counts["requests"] != cell.messages or counts["doubles"] or left:
        raise RuntimeError(f"{cell}: {counts} at the sink, {left} not written down")


# --- reading the figures -------------------------------------------------------------------------------------------

CPU_MS, BARE, PLAIN_Q2, BEST_Q2, WECHATPY = 0.45, 3.0, 15.0, 9.0, 4.0
SHARE, GROWTH, MORE_MB, STATEMENTS = 0.9, 0.25, 20.0, 0.1
# At which latency the first promise holds.
USUAL_MS = 30


PARTS = {"worker": "worker_ms", "database": "database_ms", "enqueue": "enqueue_ms"}


def _cpu(one: Mapping[str, float]) -> float:
    return sum(one[part] for part in PARTS.values())


def _rounds(raw: Raw, contender: str, *, latency: int = 0, workers: int | None = 1) -> list[Mapping[str, float]]:
    """The rounds of a cell; a peer has one number of workers at each latency."""
    for cell in raw["cells"]:
        if (cell["contender"], cell["latency"]) == (contender, latency) and workers in {None, cell["workers"]}:
            return cell["rounds"]
    return []


def _median(rounds: Iterable[Mapping[str, float]], of: Callable[[Mapping[str, float]], float]) -> float:
    return median(map(of, rounds))


def goals(raw: Raw) -> list[Goal]:
    """Hold the figures against the promises."""
    ours, many = _rounds(raw, PLATFORM), raw["many"]["rounds"]
    asked = _median(ours, itemgetter("statements"))
    growth = _median(many, _cpu) / _median(ours, _cpu) - 1
    more = _median(many, itemgetter("peak_mb")) - _median(ours, itemgetter("peak_mb"))
    sizes = f"{raw['cells'][0]['messages']:,} → {raw['many']['messages']:,} messages"
    return [
        _of_the_ceiling(raw),
        *_cpu_goals(raw),
        Goal(f"{sizes}: CPU a message within {GROWTH:.0%}", f"{growth:+.0%}", abs(growth) <= GROWTH),
        Goal(f"{sizes}: memory of the worker + ≤ {MORE_MB:.0f} MB", f"{more:+.1f} MB", more <= MORE_MB),
        Goal(f"≤ {STATEMENTS} statements a message when unpaced", f"{asked:.3f}", asked <= STATEMENTS),
    ]


def _of_the_ceiling(raw: Raw) -> Goal:
    """The median, over the rounds, of platform ÷ ceiling of the same round, for each number of workers."""
    shares = {
        workers: median(
            mine["per_second"] / other["per_second"]
            for mine, other in zip(
                _rounds(raw, PLATFORM, latency=USUAL_MS, workers=workers),
                _rounds(raw, CEILING, latency=USUAL_MS, workers=workers),
                strict=True,
            )
        )
        for workers in sorted({cell["workers"] for cell in raw["cells"] if cell["contender"] == PLATFORM})
    }
    figure = ", ".join(f"{share:.2f} ({workers})" for workers, share in shares.items())
    promise = f"≥ {SHARE} of its transport alone at {USUAL_MS} ms (workers)"
    return Goal(promise, figure, min(shares.values()) >= SHARE)


def _cpu_goals(raw: Raw) -> list[Goal]:
    mine = _median(_rounds(raw, PLATFORM), _cpu)
    bare = mine / _median(_rounds(raw, CEILING), _cpu)
    goals = [
        Goal(f"≤ {CPU_MS} ms CPU a message at 0 ms, all in", f"{mine:.3f} ms", mine <= CPU_MS),
        Goal(f"≤ {BARE:.0f} × the CPU of its transport alone", f"{bare:.1f} ×", bare <= BARE),
    ]
    for name, least in ((Q2, PLAIN_Q2), (Q2_BEST, BEST_Q2), (POOL, WECHATPY)):
        promise = f"≥ {least:.0f} × less CPU than {CONTENDERS[name].words}"
        rounds = _rounds(raw, name, workers=None)
        times = _median(rounds, _cpu) / mine if rounds else 0.0
        goals.append(Goal(promise, f"{times:.1f} ×" if rounds else "not run", times >= least))
    return goals


def table(raw: Raw) -> dict[str, Mapping[str, str]]:
    """Cell → heading → figure."""
    lines = {_name(cell): _line(cell) for cell in raw["cells"]}
    lines[f"{_name(raw['many'])}, the long broadcast"] = _line(raw["many"])
    return lines | {
        f"{CONTENDERS[name].words}: **NOT RUN** ({why})": dict.fromkeys(next(iter(lines.values())), "")
        for name, why in raw["not_run"].items()
    }


def _name(cell: Mapping[str, Any]) -> str:
    crowd_of = f", {cell['workers']} workers" if cell["workers"] > 1 else ""
    return f"{cell['latency']} ms: {CONTENDERS[cell['contender']].words}{crowd_of}"


def _line(cell: Mapping[str, Any]) -> dict[str, str]:
    rounds = cell["rounds"]
    told = {name: _median(rounds, itemgetter(name)) for name in rounds[0]}
    return {
        "messages": f"{cell['messages']:,}",
        "messages/s": f"{told['per_second']:,.0f}",
        "CPU ms a message": f"{_median(rounds, _cpu):.3f}",
        **{part: f"{told[name]:.3f}" for part, name in PARTS.items()},
        "statements": f"{told['statements']:.2f}",
        "MB": f"{told['peak_mb']:.0f}",
    }


def profiles(raw: Raw) -> dict[str, Mapping[str, float]]:
    """Where the CPU of a message goes; the stopwatches themselves are in it."""
    watched = raw["watched"]
    return {"a message": {"PostgreSQL": watched["database_ms"], **watched["profile"]}}


def charts(raw: Raw, database: str) -> dict[str, str]:
    """How fast each is, and what a message costs it."""
    at_once = {name: _rounds(raw, name, workers=None) for name in (*OURS, *PEERS)}
    many = raw["many"]
    ours = {
        f"the platform, {many['messages']:,} messages": many["rounds"],
        **{CONTENDERS[name].words: at_once[name] for name in OURS},
    }
    others = {CONTENDERS[name].words: at_once[name] for name in (PLATFORM, *PEERS)}
    return {
        "speed": draw(
            f"Messages a second, {database}",
            note="One worker; django-q2 as many as it can use. Each group has its own scale.",
            groups={
                f"WeChat answers after {latency} ms": _speeds(raw, latency=latency)
                for latency in sorted({cell["latency"] for cell in raw["cells"]})
            },
        ),
        "cpu": draw(
            f"CPU milliseconds a message, {database}",
            note="All processes together, those of the database's server too. Each group has its own scale.",
            groups={"The platform and its transport": _costs(ours), "The platform and others": _costs(others)},
            parts=list(PARTS),
        ),
    }


def _speeds(raw: Raw, *, latency: int) -> list[Bar]:
    rates = {
        contender.words: _median(rounds, itemgetter("per_second"))
        for name, contender in CONTENDERS.items()
        if (rounds := _rounds(raw, name, latency=latency, workers=None))
    }
    return [Bar(words, [rate], f"{rate:,.0f}") for words, rate in rates.items()]


def _costs(some: Mapping[str, Sequence[Mapping[str, float]]]) -> list[Bar]:
    return [
        Bar(words, [_median(rounds, itemgetter(part)) for part in PARTS.values()], f"{_median(rounds, _cpu):.2f}")
        for words, rounds in some.items()
        if rounds
    ]
