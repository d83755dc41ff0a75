"""The processes of the demo, and the environment they live in."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from cryptography.fernet import Fernet

MARK = "NOTIFY_PLATFORM_DEMO"
HOST = "127.0.0.1"
STOP_SECONDS = 15
# It holds WeChat's side of the books in memory.
IRREPLACEABLE = frozenset({"simulator"})


def is_prepared() -> bool:
    """Whether this process already lives in the demo's environment."""
    return os.environ.get(MARK) == "1"


def environment(base: Path, *, port: int) -> dict[str, str]:
    """Return the environment of a demo: a database, keys and a WeChat of its own; nothing real is within reach."""
    web = port if _is_free(port) else _free_port()
    return {
        **os.environ,
        MARK: "1",
        "DEBUG": "False",
        "SECRET_KEY": secrets.token_urlsafe(32),
        "CREDENTIALS_KEYS": Fernet.generate_key().decode("ascii"),
        "ALLOWED_HOSTS": f"{HOST},localhost",
        "PUBLIC_URL": f"http://{HOST}:{web}",
        "WECHAT_API_BASE_URL": f"http://{HOST}:{_free_port()}",
        "DATABASE_URL": _own_database(base) or _fresh_sqlite(base),
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING"),
    }


def _own_database(base: Path) -> str:
    """Return the DATABASE_URL somebody set for this run; the one of an installation's .env is never the demo's."""
    dotenv = base / ".env"
    in_file = dotenv.exists() and any(line.startswith("DATABASE_URL=") for line in dotenv.read_text().splitlines())
    return "" if in_file else os.environ.get("DATABASE_URL", "")


def _fresh_sqlite(base: Path) -> str:
    folder = base / "var" / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return f"sqlite:///{folder / 'demo.sqlite3'}"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class Stage:
    """The child processes; leaving the block stops them all."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.commands: dict[str, list[str]] = {}
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for child in self.children.values():
            child.terminate()
        for child in self.children.values():
            try:
                child.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()

    def manage(self, name: str, *arguments: str) -> None:
        """Start ``manage.py name …`` as a child."""
        self._start(name, [sys.executable, str(self.base / "manage.py"), name, *arguments])

    def web(self, *, port: int) -> None:
        """Start the web server as a child."""
        command = [sys.executable, "-m", "gunicorn", "notify_platform.wsgi", "--bind", f"{HOST}:{port}"]
        self._start("web", [*command, "--threads", "8", "--log-level", "warning", "--chdir", str(self.base)])

    def _start(self, name: str, command: list[str]) -> None:
        self.commands[name] = command
        # Not a shell: a fixed command of our own.
        self.children[name] = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=self.base)  # noqa: S603

    def look_after(self) -> list[str]:
        """Start again whoever has fallen and return their names; raise ``RuntimeError`` for one we cannot replace."""
        fallen = [name for name, child in self.children.items() if child.poll() is not None]
        for name in fallen:
            if name in IRREPLACEABLE:
                raise RuntimeError(f"{name} ended with status {self.children[name].returncode}")
            self._start(name, self.commands[name])
        return fallen


def listens(url: str) -> bool:
    """Whether somebody listens at an address of this machine."""
    address = urlsplit(url)
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address.hostname, address.port)) == 0
