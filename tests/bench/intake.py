"""Row ``intake``: the platform's authorizations against a bare view that writes the same rows."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from django.core.cache import cache
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from notify_platform.api import sessions
from subscriptions.models import Answer, Grant, PromptReport, Subscriber
from tests import factories
from tests.bench import bare, cast, servers
from tests.bench.load import Request, Round, fire
from tests.bench.rows import Goal, Raw, Scale
from tests.bench.stopwatches import DATABASE_DOORS, watching

PLATFORM, BARE = "/api/v1/authorizations", "/report"
PATHS = {"platform": PLATFORM, "bare": BARE}
SETTINGS = {"platform": "notify_platform.settings", "bare": "tests.bench.bare_settings"}
SHARE = 0.5
GOOD = '200 {"balan'

PLATFORM_DOORS: Mapping[str, Sequence[str]] = {
    "Django: the request, eight middlewares": ["django.core.handlers.base.BaseHandler.get_response"],
    "Django: routing": ["django.core.handlers.base.BaseHandler._get_response"],
    "DRF: the view, languages, the answer": ["notify_platform.api.base.ApiView.dispatch"],
    "the token": ["notify_platform.api.sessions.check"],
    "the throttle": ["notify_platform.api.throttles.CallerThrottle.allow_request"],
    "reading and checking the body": ["notify_platform.api.base.ApiView.given"],
    "the view's own look-ups": [
        "notify_platform.api.consent_views.AuthorizationsView.post",
        "notify_platform.api.consent_views.balances",
    ],
    "the books: pairing, worth, turns": ["notify_platform.api.consent_views.report"],
    "writing the answer's body": [
        "notify_platform.api.consent_views.answer",
        "rest_framework.renderers.JSONRenderer.render",
    ],
    **DATABASE_DOORS,
}
BARE_DOORS: Mapping[str, Sequence[str]] = {"the view: the token, JSON": ["tests.bench.bare.report"], **DATABASE_DOORS}


def measure(scale: Scale) -> dict[str, Any]:
    """Measure both sides, one round of each at a time."""
    mini_program = cast.a_shop()
    bodies = _bodies(mini_program.templates.get().wechat_id)
    people = {side: factories.subscribers(mini_program, count=scale.people) for side in PATHS}
    tokens = {side: itertools.cycle([_token(person) for person in people[side]]) for side in PATHS}

    def requests(side: str, count: int) -> list[Request]:
        return [
            Request(PATHS[side], body, f"Bearer {token}")
            for body, token in zip(itertools.islice(bodies, count), tokens[side], strict=False)
        ]

    rounds: dict[str, list[dict[str, Any]]] = {side: [] for side in PATHS}
    with (
        servers.serving(settings=SETTINGS["platform"]) as platform,
        servers.serving(settings=SETTINGS["bare"]) as yardstick,
    ):
        running = {"platform": platform, "bare": yardstick}
        for number in range(scale.rounds + 1):
            for side, server in running.items():
                one = _one_round(requests(side, scale.requests), server=server, people=people[side])
                # The first is for warming up.
                if number:
                    rounds[side].append(one)
    return {
        "rounds": rounds,
        "statements": {side: _statements(side, requests(side, 2)) for side in PATHS},
        "profile": {side: _profile(side, requests(side, scale.profiled)) for side in PATHS},
    }


def _bodies(wechat_id: str) -> Iterator[str]:
    for number in itertools.count(1):
        request_id = f"bench-{number:09d}"
        yield json.dumps({"scene": cast.SCENE, "results": {wechat_id: "accept"}, "client_request_id": request_id})


def _token(person: Subscriber) -> str:
    return sessions.begin(person.mini_program, openid=person.openid).token


def _one_round(requests: Sequence[Request], *, server: servers.Server, people: Sequence[Subscriber]) -> dict[str, Any]:
    before, cpu = _rows_of(people), server.cpu_seconds()
    done = fire(requests, port=server.port)
    cpu = server.cpu_seconds() - cpu
    written = {table: count - before[table] for table, count in _rows_of(people).items()}
    _insist(done, written=written)
    return {
        "per_second": round(done.per_second, 1),
        "p50_ms": done.p50_ms,
        "p99_ms": done.p99_ms,
        "cpu_ms": round(cpu / done.requests * 1000, 3),
    }


def _rows_of(people: Sequence[Subscriber]) -> dict[str, int]:
    within = {"subscriber_id__gte": people[0].pk, "subscriber_id__lte": people[-1].pk}
    return {model.__name__: model.objects.filter(**within).count() for model in (Answer, Grant, PromptReport)}


def _insist(done: Round, *, written: Mapping[str, int]) -> None:
    """A side that refuses, or writes other rows, would be quick for nothing."""
    if done.answers != {GOOD: done.requests} or set(written.values()) != {done.requests}:
        raise RuntimeError(f"{done.requests} requests: answers {done.answers}, rows {written}")


def _caller(side: str) -> Callable[[Request], object]:
    """Return what sends a request to this side within this process."""
    if side == "bare":
        factory = RequestFactory()
        return lambda one: bare.report(
            factory.post(one.path, one.body, content_type="application/json", headers=_headers(one))
        )
    client = Client()
    return lambda one: client.post(one.path, one.body, content_type="application/json", headers=_headers(one))


def _headers(one: Request) -> dict[str, str]:
    return {"Authorization": one.authorization, "Host": "127.0.0.1"}


def _statements(side: str, requests: Sequence[Request]) -> dict[str, int]:
    """Count the statements of one request by their first word; an earlier one warms up."""
    call = _caller(side)
    call(requests[0])
    with CaptureQueriesContext(connection) as captured:
        call(requests[1])
    return dict(Counter(query["sql"].split()[0].upper() for query in captured.captured_queries))


def _profile(side: str, requests: Sequence[Request]) -> dict[str, float]:
    cache.clear()
    call = _caller(side)
    with watching(PLATFORM_DOORS if side == "platform" else BARE_DOORS) as watches:
        for one in requests:
            call(one)
    return watches.per_call_ms(len(requests))


# --- reading the figures -------------------------------------------------------------------------------------------


def medians(raw: Raw, side: str) -> dict[str, float]:
    """The medians of a side's rounds."""
    rounds: list[dict[str, float]] = raw["rounds"][side]
    return {name: median(one[name] for one in rounds) for name in rounds[0]}


def share(raw: Raw, name: str) -> float:
    """The median, over the rounds, of platform ÷ bare of the same round."""
    ours, theirs = ([float(one[name]) for one in raw["rounds"][side]] for side in PATHS)
    return median(mine / other for mine, other in zip(ours, theirs, strict=True))


def goals(raw: Raw) -> list[Goal]:
    """Hold the figures against the promise."""
    ratio = share(raw, "per_second")
    return [Goal(f"≥ {SHARE} of the bare view's requests a second", f"{ratio:.2f}", ratio >= SHARE)]


def table(raw: Raw) -> dict[str, Mapping[str, str]]:
    """Name of a side → heading → figure."""
    sides = {"platform": "the platform", "bare": "the bare view"}
    return {words: _line(medians(raw, side), statements=raw["statements"][side]) for side, words in sides.items()}


def _line(values: Mapping[str, float], *, statements: Mapping[str, int]) -> dict[str, str]:
    return {
        "requests/s": f"{values['per_second']:.0f}",
        "p50 ms": f"{values['p50_ms']:.1f}",
        "p99 ms": f"{values['p99_ms']:.1f}",
        "CPU ms a request": f"{values['cpu_ms']:.2f}",
        "statements": str(sum(statements.values())),
    }


def profiles(raw: Raw) -> dict[str, Mapping[str, float]]:
    """Where the time of a request goes."""
    return {"platform": raw["profile"]["platform"], "bare view": raw["profile"]["bare"]}
