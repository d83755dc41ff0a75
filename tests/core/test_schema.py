"""The database holds what the models promise."""

from __future__ import annotations

import pytest
from django.db import connection

from notify_platform.core import schema
from notify_platform.delivery.models import Delivery

pytestmark = pytest.mark.django_db


def test_the_migrations_make_every_constraint_and_index_of_the_models():
    assert list(schema.missing()) == []


@pytest.mark.parametrize("name", ["delivery_one_in_flight_per_person", "delivery_progress"])
def test_one_that_is_gone_is_missed(name):
    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX {name}")

    assert list(schema.missing()) == [("delivery_delivery", name)]
    assert name not in schema.kept(Delivery)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has nothing that is not in force")
def test_one_that_is_not_in_force_is_missed():
    with connection.cursor() as cursor:
        cursor.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'delivery_progress'::regclass")
        cursor.execute("ALTER TABLE jobs_sendjob DROP CONSTRAINT job_window_has_both_ends")
        cursor.execute("ALTER TABLE jobs_sendjob ADD CONSTRAINT job_window_has_both_ends CHECK (true) NOT VALID")

    assert list(schema.missing()) == [
        ("jobs_sendjob", "job_window_has_both_ends"),
        ("delivery_delivery", "delivery_progress"),
    ]
