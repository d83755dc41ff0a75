"""Hosts whose clocks are an hour off, and jump: leases, slots and due times are the database's.

SQLite has one host and its clock.
"""

from __future__ import annotations

import signal

import pytest

from tests.chaos.campaign import a_campaign, stop
from tests.chaos.places import needs_postgresql

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("processes")]
HOUR = 3600


@needs_postgresql
def test_wrong_clocks(wechat, web, spawn, record):
    campaign = a_campaign(wechat, people=600, callback_url=web)
    workers = [spawn("-m", "tests.chaos.shifted", str(shift), "deliver") for shift in (HOUR, -HOUR)]
    campaign.reach(100)

    for worker in workers:
        worker.send_signal(signal.SIGUSR1)
    campaign.finish()
    stop(*workers)

    figures = campaign.figures()
    record(figures)
    assert figures["unknown"] == 0
