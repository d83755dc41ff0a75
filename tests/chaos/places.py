"""Places for the test's database that can be broken: a PostgreSQL of our own, and a small disk."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from django.db import connection

from tests.conftest import database_url_of_the_test
from tests.elsewhere import elsewhere
from tests.journeys.conftest import a_free_port

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
IS_ROOT = os.geteuid() == 0


class Cluster:
    """A PostgreSQL of its own in a folder, under the account of the system's one (it refuses to run as root)."""

    def __init__(self, folder: Path) -> None:
        self.data, self.log, self.port = folder / "data", folder / "log", a_free_port()
        if IS_ROOT:
            shutil.chown(folder, "postgres")
        self._run("initdb", "--username=postgres", "--auth=trust", "--no-sync", "--pgdata", str(self.data))
        with_options = f"-p {self.port} -k {folder} -c max_wal_size=48MB -c min_wal_size=32MB -c max_connections=60"
        self.options = ("-D", str(self.data), "-w", "-l", str(self.log), "-o", with_options)
        self.start()

    def start(self) -> None:
        """Start it unless it runs."""
        if not self.is_up():
            self._run("pg_ctl", "start", *self.options)

    def restart(self) -> None:
        """Restart it as after a power cut."""
        self._run("pg_ctl", "restart", "-m", "immediate", *self.options)

    def stop(self) -> None:
        """End it."""
        self._run("pg_ctl", "stop", "-m", "immediate", "-D", str(self.data), check=False)

    def is_up(self) -> bool:
        """Whether a server answers."""
        return self._run("pg_ctl", "status", "-D", str(self.data), check=False) == 0

    @property
    def url(self) -> str:
        """The address of its database."""
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def take_over(self) -> None:
        """Copy the test's database into it."""
        dump = subprocess.run(
            [BINARIES[-1] / "pg_dump", database_url_of_the_test()], stdout=subprocess.PIPE, check=True
        ).stdout
        command = [BINARIES[-1] / "psql", "--quiet", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", self.url]
        subprocess.run(command, input=dump, stdout=subprocess.DEVNULL, check=True)

    def _run(self, program: str, *arguments: str, check: bool = True) -> int:
        command = [str(BINARIES[-1] / program), *arguments]
        if IS_ROOT:
            command = ["runuser", "-u", "postgres", "--", *command]
        return subprocess.run(command, cwd="/", stdout=subprocess.DEVNULL, check=check).returncode


@contextmanager
def own_cluster(*, disk_mb: int = 0) -> Iterator[tuple[Cluster, Path]]:
    """Move the test's database into a PostgreSQL of its own; with ``disk_mb`` on a disk of that size."""
    with _a_folder(disk_mb=disk_mb) as folder:
        cluster = Cluster(folder)
        try:
            cluster.take_over()
            with elsewhere(cluster.url):
                yield cluster, folder
        finally:
            cluster.stop()


@contextmanager
def own_file(*, disk_mb: int) -> Iterator[Path]:
    """Move the test's database, a file of SQLite, to a disk of that size."""
    with _a_folder(disk_mb=disk_mb) as folder:
        path = folder / "moved.sqlite3"
        connection.close()
        with (
            closing(sqlite3.connect(str(connection.settings_dict["NAME"]))) as old,
            closing(sqlite3.connect(path)) as new,
        ):
            old.backup(new)
        with elsewhere(f"sqlite:///{path}"):
            yield folder


@contextmanager
def _a_folder(*, disk_mb: int) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    if disk_mb:
        command = ["mount", "-t", "tmpfs", "-o", f"size={disk_mb}m", "tmpfs", folder]
        if subprocess.run(command, check=False).returncode:
            folder.rmdir()
            pytest.skip("only root may make a disk to fill, and not in every container")
    try:
        yield folder
    finally:
        if disk_mb:
            subprocess.run(["umount", "--lazy", folder], check=True)
        shutil.rmtree(folder)


def fill(folder: Path) -> Path:
    """Use up the disk a folder is on; the file that did is to be deleted."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        while True:
            try:
                if file.write(b"\0" * 65536) < 65536:
                    return ballast
            except OSError:
                return ballast


needs_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql" or not BINARIES, reason="it is about several hosts, and their PostgreSQL"
)
