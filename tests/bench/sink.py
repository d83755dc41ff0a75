"""A WeChat that only takes messages, in a process of its own: one thread, an answer after a fixed latency.

``python -m tests.bench.sink 30`` prints its port and answers after 30 ms. It believes every message and counts what
came; a body that came before is a double, so whoever measures gives each message a body of its own. It keeps a diary of
when which message came.
"""

from __future__ import annotations

import json
import re
import select
import socket
import subprocess
import sys
import time
from array import array
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[2]
BACKLOG = 1024
RECEIVE_BYTES = 256 * 1024
FIRST_MSGID = 3_000_000_000_000_000_000
LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
TO = re.compile(rb'"touser": *"([^"]*)"')
TOKEN = b'{"access_token":"50_sink","expires_in":7200}'


@dataclass(frozen=True)
class Sink:
    """A sink that runs. ``pid`` is its process, to look up what it used."""

    url: str
    pid: int

    def counts(self) -> dict[str, int]:
        """``requests``: messages taken; ``doubles``: those whose body had come before; ``connections`` opened."""
        counts: dict[str, int] = requests.get(f"{self.url}/counts", timeout=10).json()
        return counts

    def diary(self) -> list[tuple[float, str]]:
        """When (``time.monotonic``) a message to whom came, in that order."""
        return [(moment, openid) for moment, openid in requests.get(f"{self.url}/diary", timeout=60).json()]


@contextmanager
def running(*, latency_ms: int = 0) -> Iterator[Sink]:
    """Run a sink on a free port of this machine until the block ends."""
    command = [sys.executable, "-m", "tests.bench.sink", str(latency_ms)]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        yield Sink(f"http://127.0.0.1:{int(child.stdout.readline())}", child.pid)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


class Server:
    """The sink itself. Half-read requests wait in ``_heard``, answers in ``_due``: the latency is the same for all."""

    def __init__(self, *, latency_seconds: float) -> None:
        self._latency = latency_seconds
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._open: dict[int, socket.socket] = {}
        self._heard: dict[int, bytes] = {}
        self._due: deque[tuple[float, socket.socket, bytes]] = deque()
        self._seen: set[int] = set()
        self._counts = {"requests": 0, "doubles": 0, "connections": 0}
        self._moments = array("d")
        self._openids: list[bytes] = []

    def serve(self) -> None:
        """Take and answer until the process is ended."""
        while True:
            patience = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            for number, _events in self._epoll.poll(patience):
                if number == self._listener.fileno():
                    self._accept()
                else:
                    self._hear(number)
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                _moment, link, answer = self._due.popleft()
                _send(link, answer)

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            while True:
                link, _address = self._listener.accept()
                # Answers are small: one that does not fit into the socket at once is waited for.
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open[link.fileno()] = link
                self._epoll.register(link, select.EPOLLIN)
                self._counts["connections"] += 1

    def _hear(self, number: int) -> None:
        link = self._open[number]
        try:
            piece = link.recv(RECEIVE_BYTES)
        except OSError:
            piece = b""
        if not piece:
            del self._open[number]
            self._heard.pop(number, None)
            link.close()
            return
        heard = self._heard.pop(number, b"") + piece
        while (end := heard.find(b"\r\n\r\n") + 4) > 3:
            head = heard[:end]
            length = LENGTH.search(head)
            whole = end + (int(length[1]) if length else 0)
            if len(heard) < whole:
                break
            self._take(link, head, heard[end:whole])
            heard = heard[whole:]
        if heard:
            self._heard[number] = heard

    def _take(self, link: socket.socket, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET /counts "):
            _send(link, _answer(json.dumps(self._counts).encode()))
        elif head.startswith(b"GET /diary "):
            _send(link, _answer(json.dumps(self._pages()).encode()))
        elif b"/cgi-bin/stable_token" in head[: head.index(b"\r\n")]:
            _send(link, _answer(TOKEN))
        else:
            self._counts["requests"] += 1
            self._moments.append(time.monotonic())
            whom = TO.search(body)
            self._openids.append(whom[1] if whom else b"")
            mark = hash(body)
            if mark in self._seen:
                self._counts["doubles"] += 1
            self._seen.add(mark)
            words = b'{"errcode":0,"errmsg":"ok","msgid":%d}' % (FIRST_MSGID + self._counts["requests"])
            if self._latency:
                self._due.append((time.monotonic() + self._latency, link, _answer(words)))
            else:
                _send(link, _answer(words))

    def _pages(self) -> list[tuple[float, str]]:
        return list(zip(self._moments, map(bytes.decode, self._openids), strict=True))


def _answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _send(link: socket.socket, answer: bytes) -> None:
    # Whoever has hung up meanwhile does not want it any more.
    with suppress(OSError):
        link.sendall(answer)


def main(latency_ms: int) -> None:
    """Print the port, then serve."""
    server = Server(latency_seconds=latency_ms / 1000)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    server.serve()


if __name__ == "__main__":
    main(int(sys.argv[1]))
