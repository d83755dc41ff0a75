"""What processes have used, from Linux's /proc: CPU time and memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from django.db import connection

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """CPU time of a process until now, its own and the kernel's for it."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS


def family_cpu_seconds(pid: int) -> float:
    """The same of a process, of all below it, and of those below it that have ended."""
    return sum(_with_ended_children(one) for one in (pid, *below(pid)))


def below(pid: int) -> Iterator[int]:
    """Go through the living children of a process, and theirs."""
    try:
        threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
        children = [
            int(child)
            for thread in threads
            for child in Path(f"/proc/{pid}/task/{thread}/children").read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in children:
        yield child
        yield from below(child)


def peak_mb(pid: int) -> float:
    """The most memory a process has ever held (VmHWM), in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def database_pid() -> int:
    """The process behind this connection to a PostgreSQL of this machine."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def server_cpu_seconds() -> float:
    """CPU time of the whole PostgreSQL server until now; SQLite has no process of its own: 0."""
    if connection.vendor == "sqlite":
        return 0.0
    postmaster = int(_stat(database_pid())[1])
    return family_cpu_seconds(postmaster)


def _with_ended_children(pid: int) -> float:
    try:
        return sum(int(field) for field in _stat(pid)[11:15]) / TICKS
    except (FileNotFoundError, ProcessLookupError):
        # It ended just now; its parent has its time.
        return 0.0


def _stat(pid: int) -> list[str]:
    """The fields of proc(5)'s stat behind the name in brackets: [0] is the state, [1] the parent."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
