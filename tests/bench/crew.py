"""Workers that are measured: processes of their own that begin together and tell what they used.

``python -m tests.bench.crew KIND ORDER`` (a name of ``contenders.KINDS``, JSON) sets Django up, makes ready, says so,
waits for a line, works, and prints its figures as JSON. Nothing before that line is in them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Timer
from typing import Any

import django

ROOT = Path(__file__).resolve().parents[2]
READY = "ready\n"


@dataclass(frozen=True)
class Order:
    """What one worker is to do: so many messages over so many connections, for so long at most."""

    messages: int
    concurrency: int
    # The number of the first message, where nothing but the worker says which they are.
    first: int = 0
    seconds: float = 3600.0


class Crew:
    """Workers that have said they are ready."""

    def __init__(self, children: Sequence[subprocess.Popen[str]]) -> None:
        self._children = children

    def begin(self) -> None:
        """Let all of them begin."""
        for child in self._children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()

    def told(self) -> list[dict[str, Any]]:
        """Wait until all have finished; return what each told."""
        return [json.loads(_line(child)) for child in self._children]


@contextmanager
def standing_by(
    kind: str, orders: Sequence[Order], *, environment: Mapping[str, str], patience: float
) -> Iterator[Crew]:
    """Start one worker for each order and wait until all are ready; none of them outlives the block.

    ``patience``: after so many seconds they are killed, and ``RuntimeError`` says so.
    """
    children = [_start(kind, order, environment=environment) for order in orders]
    alarm = Timer(patience, _kill, [children])
    alarm.start()
    try:
        for child in children:
            if (said := _line(child)) != READY:
                raise RuntimeError(f"{kind}: a worker said {said!r} where it should have been ready")
        yield Crew(children)
    finally:
        alarm.cancel()
        _kill(children)
        for child in children:
            child.communicate()


def _start(kind: str, order: Order, *, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.bench.crew", kind, json.dumps(asdict(order))],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # What a worker starts goes with it.
        start_new_session=True,
    )


def _line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        raise RuntimeError("a worker died, or was too slow")
    return line


def _kill(children: Sequence[subprocess.Popen[str]]) -> None:
    for child in children:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def main(kind: str, order: str) -> None:
    """Be one worker."""
    django.setup()
    # Models can be imported only now.
    from tests.bench import processes
    from tests.bench.contenders import KINDS
    from tests.bench.statements import Statements

    statements = Statements()
    work = KINDS[kind](Order(**json.loads(order)))
    _say(READY)
    if not sys.stdin.readline():
        return
    began, used, asked = time.monotonic(), processes.family_cpu_seconds(os.getpid()), statements.count
    more = work()
    figures = {
        "seconds": time.monotonic() - began,
        "cpu_seconds": processes.family_cpu_seconds(os.getpid()) - used,
        "statements": statements.count - asked,
        "peak_mb": max(processes.peak_mb(pid) for pid in (os.getpid(), *processes.below(os.getpid()))),
    }
    _say(json.dumps(figures | (more if isinstance(more, dict) else {})) + "\n")
    # Until the others have finished, too: whoever measures looks at all of us.
    sys.stdin.readline()


def _say(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
