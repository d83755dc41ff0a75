"""WeChat's sent events late, lost, doubled, telling of failure, and without an id."""

from __future__ import annotations

import pytest

from notify_platform.delivery.models import Delivery
from notify_platform.insights import books, funnels
from notify_platform.wechat import gateway
from tests.chaos.campaign import a_campaign, stop
from tests.chaos.sizes import SIZE

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("processes")]
State = Delivery.State
TROUBLE = {
    "sent_delay_ms": 400.0,
    "sent_failure_rate": 0.1,
    "push_drop_rate": 0.1,
    "push_duplicate_rate": 0.3,
}


@pytest.mark.parametrize("with_msgid", [True, False], ids=["with msgid", "without msgid"])
def test_sent_events_in_disorder(with_msgid, wechat, web, spawn, record):
    people = 400 * SIZE.restarts
    campaign = a_campaign(wechat, people=people, callback_url=web)
    wechat.change_settings(sent_msgid=with_msgid, msgid=with_msgid, **TROUBLE)
    # Each of them is known by its event alone.
    wechat.set_faults([{"endpoint": gateway.SEND, "action": "reset_after", "rate": 0.1}])
    worker = spawn("manage.py", "deliver")
    campaign.finish()
    stop(worker)

    funnel, counts = funnels.of_job(campaign.job), wechat.counts()
    assert counts.doubles == 0
    assert counts.counted == people == funnel.accepted + funnel.count(State.UNKNOWN)
    assert set(funnel.by_state) <= {State.ACCEPTED, State.DELIVERED, State.UNDELIVERED, State.UNKNOWN}
    lost = counts.pushes.dropped
    assert counts.pushes.failed == 0
    assert funnel.count(State.ACCEPTED, State.UNKNOWN) == lost
    assert books.check() == []
    record({"people": people, "lost": lost, **{str(state): number for state, number in funnel.by_state.items()}})
