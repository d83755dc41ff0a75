"""A database that is full, read-only or away: the log says what to do, in one line."""

from __future__ import annotations

import sqlite3

import psycopg
import pytest
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from notify_platform.core import outages
from subscriptions.models import Audience
from tests import factories


class Refused(Exception):
    """What a driver raises."""

    sqlstate: str | None = None


def an_error(cause):
    """Django's error for a driver's."""
    try:
        raise OperationalError(str(cause)) from cause
    except OperationalError as error:
        return error


def a_state(code):
    refused = Refused("no")
    refused.sqlstate = code
    return refused


def of_sqlite(path, statement):
    """What SQLite says to a statement."""
    with sqlite3.connect(path, uri=True) as database:
        try:
            for each in statement:
                database.execute(each)
        except sqlite3.Error as error:
            return error
        finally:
            database.rollback()
    raise AssertionError("it was taken")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("53100", "make room"),
        ("53300", "max_connections"),
        ("25006", "read-only"),
        ("57P01", "see whether it runs"),
        ("57P03", "see whether it runs"),
        ("08006", "see whether it runs"),
    ],
)
def test_what_postgresql_refuses_has_a_next_step(code, words):
    assert words in outages.next_step(an_error(a_state(code)))


def test_a_postgresql_that_is_not_there_has_a_next_step():
    with pytest.raises(psycopg.OperationalError) as refused:
        psycopg.connect("postgres://postgres@127.0.0.1:9/none")
    assert "see whether it runs" in outages.next_step(an_error(refused.value))


def test_a_full_sqlite_has_a_next_step(tmp_path):
    path = tmp_path / "full.sqlite3"
    wide = ("CREATE TABLE wide (text)", "PRAGMA max_page_count = 3", "INSERT INTO wide VALUES (zeroblob(100000))")
    assert "make room" in outages.next_step(an_error(of_sqlite(f"file:{path}", wide)))


def test_a_read_only_sqlite_has_a_next_step(tmp_path):
    path = tmp_path / "read.sqlite3"
    sqlite3.connect(path).execute("CREATE TABLE some (text)").connection.close()
    write = ("INSERT INTO some VALUES (1)",)
    assert "may write" in outages.next_step(an_error(of_sqlite(f"file:{path}?mode=ro", write)))


def write_where_nothing_may_be_written():
    read_only = {"postgresql": "SET TRANSACTION READ ONLY", "sqlite": "PRAGMA query_only = 1"}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(read_only[connection.vendor])
        Audience.objects.create(mini_program=factories.a_mini_program(), name="Everybody")


@pytest.mark.django_db
def test_the_databases_own_refusal_to_write_is_an_outage():
    with pytest.raises(outages.AWAY) as refused:
        write_where_nothing_may_be_written()
    if connection.vendor == "sqlite":
        connection.cursor().execute("PRAGMA query_only = 0")

    assert "read-only" in outages.next_step(refused.value)


@pytest.mark.parametrize("error", [DatabaseError("no"), InterfaceError("cursor already closed"), ValueError("no")])
def test_any_other_error_is_named_and_needs_its_traceback(error):
    assert (outages.next_step(error), outages.unexplained(error)) == (type(error).__name__, error)


def test_an_outage_needs_no_traceback():
    assert outages.unexplained(an_error(a_state("53100"))) is None
