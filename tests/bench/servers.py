"""A gunicorn of its own: one worker, four threads, as README starts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import processes

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60
STOP_SECONDS = 20


@dataclass(frozen=True)
class Server:
    """A server that answers. ``worker`` is the process that does the work."""

    port: int
    worker: int

    def cpu_seconds(self) -> float:
        """CPU time of the worker until now, its own and the kernel's for it."""
        return processes.cpu_seconds(self.worker)


@contextmanager
def serving(*, settings: str) -> Iterator[Server]:
    """Serve a Django project on a free port of this machine until the block ends."""
    port = _free_port()
    command = [sys.executable, "-m", "gunicorn", "django.core.wsgi:get_wsgi_application()", "--log-level", "warning"]
    command += ["--bind", f"127.0.0.1:{port}", "--workers", "1", "--threads", "4"]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": settings}
    child = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        yield Server(port, _worker_of(child, port=port))
    finally:
        child.terminate()
        try:
            child.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _worker_of(child: subprocess.Popen[bytes], *, port: int) -> int:
    """Wait for the server; return its one worker process."""
    children = Path(f"/proc/{child.pid}/task/{child.pid}/children")
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while child.poll() is None and time.monotonic() < ends_at:
        below = children.read_text().split()
        if below and _listens(port):
            return int(below[0])
        time.sleep(0.05)
    raise RuntimeError("the web server did not start")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
