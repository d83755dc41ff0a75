"""Looking at other processes of this machine."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    return [int(one) for one in found]


def descendants(pid: int) -> list[int]:
    """Every process below a process, those next to it first."""
    found: list[int] = []
    look_at = [pid]
    while look_at:
        look_at = [child for parent in look_at for child in children(parent)]
        found += look_at
    return found


def group_of(leader: int) -> list[int]:
    """The processes of a group."""
    found = subprocess.run(["pgrep", "-g", str(leader)], capture_output=True, text=True, check=False).stdout.split()
    return [int(one) for one in found]


def is_stopped(pid: int) -> bool:
    """Whether a process that was sent SIGSTOP stands still with all its threads, or is gone."""
    states = []
    for task in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            states.append(task.read_text().rsplit(")", 1)[1].split()[0])
    return set(states) <= {"T", "Z", "X"}


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def command_of(pid: int) -> list[str]:
    """The command line of a process; empty when it is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    return []
