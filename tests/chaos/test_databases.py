"""The database goes away, is full, or may not be written to, and comes back: everything goes on by itself."""

from __future__ import annotations

import contextlib
import random

import pytest
from django.db import Error, connection

from notify_platform.delivery.models import Delivery
from tests.chaos.campaign import PATIENCE_SECONDS, a_campaign, stop
from tests.chaos.places import fill, needs_postgresql, own_cluster, own_file
from tests.chaos.sizes import SIZE
from tests.chaos.test_kills import moments
from tests.journeys.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("processes")]
State = Delivery.State


def a_look_fails() -> bool:
    """Whether the database answers nobody now."""
    try:
        Delivery.objects.exists()
    except Error:
        connection.close()
        return True
    return False


def writing_fails() -> bool:
    """Whether the database keeps nothing now, even where a little room is left in a page."""
    try:
        Delivery.objects.update(reason="")
    except Error:
        connection.close()
        return True
    return False


@needs_postgresql
def test_restarts_of_postgresql(wechat, spawn, record):
    """Two groups of processes, the commands of several hosts, on one server that loses its power."""
    dice = random.Random(1129)
    people = 600 * SIZE.restarts
    with own_cluster() as (cluster, _folder):
        campaign = a_campaign(wechat, people=people)
        workers = [spawn("manage.py", command) for command in ("deliver", "worker")]
        for moment in moments(dice, people=people, count=SIZE.restarts):
            campaign.reach(moment)
            cluster.restart()
            connection.close()
        campaign.finish()
        stop(*workers)
        record({"restarts": SIZE.restarts} | campaign.figures())


def test_full_disk(wechat, spawn, record):
    with contextlib.ExitStack() as stack:
        cluster = None
        if connection.vendor == "sqlite":
            folder = stack.enter_context(own_file(disk_mb=64))
        else:
            cluster, folder = stack.enter_context(own_cluster(disk_mb=256))
        campaign = a_campaign(wechat, people=600)
        worker = spawn("manage.py", "deliver")
        campaign.reach(100)

        ballast = fill(folder)
        until(writing_fails, seconds=PATIENCE_SECONDS)
        assert campaign.counted < len(campaign.people)
        ballast.unlink()
        if cluster:
            # A server whose log is full ends; whoever made room starts it again.
            cluster.start()
            until(lambda: not a_look_fails())

        campaign.finish()
        assert worker.poll() is None
        stop(worker)
        record(campaign.figures())


@needs_postgresql
def test_read_only_database(wechat, spawn, record):
    with own_cluster() as (_cluster, _folder):
        campaign = a_campaign(wechat, people=600)
        worker = spawn("manage.py", "deliver")
        campaign.reach(100)

        read_only(to="on")
        until(lambda: not Delivery.objects.filter(state=State.SENDING).exists() or writing_fails())
        stood_still_at = campaign.counted
        until(lambda: wechat.health()["in_flight"] == 0)
        read_only(to="off")

        campaign.reach(stood_still_at + 1)
        campaign.finish()
        stop(worker)
        record(campaign.figures())


def read_only(*, to: str) -> None:
    """What a failover does to those who still talk to the old server."""
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = off")
        cursor.execute(f"ALTER SYSTEM SET default_transaction_read_only = {to}")
        cursor.execute("SELECT pg_reload_conf()")
    connection.close()
