"""A database of its own for each measurement, gone afterwards."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parents[2]
# On the disk an installation would use: a database in memory would commit for nothing.
FOLDER = ROOT / "var" / "bench"
LOCAL_SERVER = "postgres://postgres@127.0.0.1:5432/postgres"
VENDORS = ("sqlite", "postgresql")


@contextmanager
def fresh(vendor: str, *, server: str = "") -> Iterator[str | None]:
    """Make an empty database and yield its DATABASE_URL; None when there is no PostgreSQL to be reached.

    ``server``: any database of the PostgreSQL to use; without one that of this machine is tried.
    """
    name = f"bench_{secrets.token_hex(4)}"
    at = server if server.startswith("postgres") else LOCAL_SERVER
    with _sqlite(name) if vendor == "sqlite" else _postgresql(name, server=at) as url:
        yield url


@contextmanager
def _sqlite(name: str) -> Iterator[str]:
    folder = FOLDER / name
    folder.mkdir(parents=True)
    try:
        yield f"sqlite:///{folder / 'bench.sqlite3'}"
    finally:
        shutil.rmtree(folder)


@contextmanager
def _postgresql(name: str, *, server: str) -> Iterator[str | None]:
    try:
        connection = psycopg.connect(server, connect_timeout=5, autocommit=True)
    except psycopg.OperationalError:
        yield None
        return
    with connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield _named(server, name)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _named(url: str, name: str) -> str:
    """Return the address of another database of the same server."""
    before, mark, options = url.partition("?")
    return before.rpartition("/")[0] + "/" + name + mark + options
