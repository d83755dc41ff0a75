"""Row ``pace``: how exactly several workers together keep one pace."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench import crew, crowd, sink
from tests.bench.crew import Order
from tests.bench.rows import Goal, Raw, Scale

PACE = 200
LATENCIES = (0, 30)
CONCURRENCY = 20
PATIENCE_SECONDS = 300.0
WINDOW_SECONDS, STEP_SECONDS = 10.0, 0.1
MOST, OFF, OFTEN = 1.1, 0.03, 0.95


def measure(scale: Scale) -> dict[str, Any]:
    """Send a paced broadcast from one worker, from two, from four; ask the other side when each message came."""
    template = crowd.a_template(pace=PACE)
    runs = []
    for latency in LATENCIES:
        for workers in scale.workers:
            count = PACE * scale.seconds
            crowd.gather(template, count=count)
            crowd.freeze(crowd.a_broadcast(template))
            runs.append({"latency": latency, "workers": workers, **_run(latency=latency, workers=workers, count=count)})
    return {"pace": PACE, "runs": runs}


def _run(*, latency: int, workers: int, count: int) -> dict[str, Any]:
    with sink.running(latency_ms=latency) as target:
        orders = [Order(messages=count, concurrency=CONCURRENCY)] * workers
        environment = {"WECHAT_API_BASE_URL": target.url}
        with crew.standing_by("engine", orders, environment=environment, patience=PATIENCE_SECONDS) as engines:
            engines.begin()
            engines.told()
        counts, came = target.counts(), [moment for moment, _openid in target.diary()]
    if counts["requests"] != count or counts["doubles"]:
        raise RuntimeError(f"{count} messages: {counts}")
    return figures(came)


def figures(came: Sequence[float]) -> dict[str, Any]:
    """Reckon over all windows, whenever they begin: the fullest second, and how far the long ones are off the pace."""
    fullest = max(bisect_left(came, moment + 1.0) - number for number, moment in enumerate(came))
    span = came[-1] - came[0]
    # A run that only shows that it runs is shorter than one window.
    length = min(WINDOW_SECONDS, span / 2)
    starts = [came[0] + number * STEP_SECONDS for number in range(int((span - length) / STEP_SECONDS))]
    off = sorted(abs(_within(came, start, length) / (PACE * length) - 1) for start in starts)
    return {
        "seconds": round(span, 2),
        "fullest_second": fullest,
        "off_median": round(off[len(off) // 2], 4),
        "off_p95": round(off[int(OFTEN * (len(off) - 1))], 4),
        "off_most": round(off[-1], 4),
    }


def _within(came: Sequence[float], start: float, length: float) -> int:
    return bisect_left(came, start + length) - bisect_left(came, start)


# --- reading the figures -------------------------------------------------------------------------------------------


def goals(raw: Raw) -> list[Goal]:
    """Hold the worst of all runs against the promises."""
    most = max(run["fullest_second"] for run in raw["runs"]) / raw["pace"]
    off = max(run["off_p95"] for run in raw["runs"])
    return [
        Goal(f"≤ {MOST} × the pace in any second", f"{most:.3f}", most <= MOST),
        Goal(f"≤ {OFF:.0%} off in {OFTEN:.0%} of the windows of ten seconds", f"{off:.1%}", off <= OFF),
    ]


def table(raw: Raw) -> dict[str, Mapping[str, str]]:
    """Run → heading → figure."""
    return {
        f"{run['latency']} ms, {run['workers']} worker{'s' if run['workers'] > 1 else ''}": {
            "seconds": f"{run['seconds']:.0f}",
            "fullest second": str(run["fullest_second"]),
            "off, median": f"{run['off_median']:.1%}",
            "off, 95 %": f"{run['off_p95']:.1%}",
            "off, most": f"{run['off_most']:.1%}",
        }
        for run in raw["runs"]
    }


def profiles(raw: Raw) -> dict[str, Mapping[str, float]]:
    """Nothing is watched inside."""
    return {}
