"""How SQLite finds the rows of a message on its way: never by going through all of a job, or all in a state.

It keeps no statistics unless told to, and would; on a job of a million that is a million rows for each message.
"""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notify_platform.delivery import fanout
from notify_platform.delivery.engine import Engine
from tests import factories, wechat_world

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL plans by statistics, which a test has not"),
]
# As SQLite names them: tables that grow with every message, and indexes of which nothing but the first column is used.
GROWING = r"(delivery_delivery|delivery_skip|subscriptions_grant|subscriptions_subscriber|t|U0)"
WHOLE = rf"SCAN {GROWING}\b|SEARCH {GROWING} .*\((job_id|state|template_id|mini_program_id)=\?\)$"
# Few are in flight at a time, and they may be looked at by that.
IN_FLIGHT = r"\"state\" IN \('(claimed|sending)', '(claimed|sending)'\)"


def walks(statements: list[str]) -> list[str]:
    """Return the steps of these statements that go through all there is, with the statement."""
    found = []
    with connection.cursor() as cursor:
        for sql in statements:
            if sql.startswith(("SELECT", "UPDATE", "INSERT", "WITH")) and not re.search(IN_FLIGHT, sql):
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
                found += [f"{row[3]} | {sql}" for row in cursor.fetchall() if re.search(WHOLE, row[3])]
    return found


@pytest.fixture
def freezing(template, people):
    """A job whose audience is frozen under the eyes of somebody who writes all statements down."""
    job = factories.a_running_job(template)
    with CaptureQueriesContext(connection) as captured:
        while fanout.step(job):
            pass
    return [query["sql"] for query in captured]


def test_freezing_an_audience(freezing):
    assert walks(freezing) == []


def test_claiming_arming_and_settling(freezing, wechat, mini_program, people):
    wechat_world.introduce(wechat, mini_program, people=people)
    engine = Engine(mini_program)
    with CaptureQueriesContext(connection) as captured:
        assert engine.run_slice(seconds=5.0, stopping=lambda: False) == 3
    engine.close()

    assert walks([query["sql"] for query in captured]) == []
