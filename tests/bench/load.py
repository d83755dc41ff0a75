"""The callers: a process of its own that sends prepared requests over kept connections and times every answer.

``python -m tests.bench.load PORT CONNECTIONS FILE`` reads one request a line and prints what came back as JSON.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from threading import Barrier, Thread
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CONNECTIONS = 8
ANSWER_SECONDS = 60
HEAD_OF_BODY = 7


@dataclass(frozen=True)
class Request:
    """One POST of JSON."""

    path: str
    body: str
    authorization: str = ""

    def encoded(self) -> bytes:
        """The request as it goes over the wire."""
        lines = [f"POST {self.path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
        if self.authorization:
            lines.append(f"Authorization: {self.authorization}")
        content = self.body.encode()
        return "\r\n".join([*lines, f"Content-Length: {len(content)}", "", ""]).encode() + content


@dataclass(frozen=True)
class Round:
    """What one round of requests brought. ``answers``: status and head of the body → how often."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    answers: dict[str, int]

    @property
    def per_second(self) -> float:
        """Answered requests a second."""
        return self.requests / self.seconds


def fire(requests: Sequence[Request], *, port: int, connections: int = CONNECTIONS) -> Round:
    """Send the requests from a process of its own; wait for the last answer."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps([one.path, one.body, one.authorization]) + "\n" for one in requests)
        file.flush()
        command = [sys.executable, "-m", "tests.bench.load", str(port), str(connections), file.name]
        said = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    told: dict[str, Any] = json.loads(said)
    latencies = sorted(told["latencies_ms"])
    if len(latencies) != len(requests):
        raise RuntimeError(f"{len(requests) - len(latencies)} of {len(requests)} requests were not answered")
    return Round(
        requests=len(latencies),
        seconds=told["seconds"],
        p50_ms=round(median(latencies), 2),
        p99_ms=round(latencies[int(0.99 * (len(latencies) - 1))], 2),
        answers=told["answers"],
    )


class _Line:
    """One kept connection and what it brought."""

    def __init__(self, port: int, wires: Sequence[bytes], starter: Barrier) -> None:
        self.wires, self.starter = wires, starter
        self.latencies: list[float] = []
        self.answers: Counter[str] = Counter()
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def work(self) -> None:
        """Send one request after the other."""
        self.starter.wait()
        for wire in self.wires:
            began = time.perf_counter()
            self.socket.sendall(wire)
            answer = self._answer()
            self.latencies.append((time.perf_counter() - began) * 1000)
            self.answers[answer] += 1
        self.socket.close()

    def _answer(self) -> str:
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _gap, body = received.partition(b"\r\n\r\n")
        marks = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        length = int(marks[0].partition(b":")[2])
        while len(body) < length:
            body += self._more()
        return f"{head.split(b' ', 2)[1].decode()} {body[:HEAD_OF_BODY].decode(errors='replace')}"

    def _more(self) -> bytes:
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError("the server hung up")
        return piece


def main(port: int, connections: int, path: str) -> dict[str, Any]:
    """Send what the file holds, dealt out among the connections."""
    wires = [Request(*json.loads(line)).encoded() for line in Path(path).read_text().splitlines()]
    starter = Barrier(connections + 1)
    lines = [_Line(port, wires[number::connections], starter) for number in range(connections)]
    threads = [Thread(target=line.work) for line in lines]
    for thread in threads:
        thread.start()
    starter.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "latencies_ms": [round(each, 3) for line in lines for each in line.latencies],
        "answers": dict(sum((line.answers for line in lines), Counter())),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])))
