"""Several workers count the same day at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections
from django.utils import timezone

from notify_platform.insights import asking, days
from subscriptions.models import AskingTally, PromptReport, Scene
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


def count_again(_worker):
    try:
        return asking.tally_lately()
    finally:
        connections.close_all()


def test_workers_that_count_the_same_day_write_every_tally_once():
    template = factories.a_template(factories.a_mini_program())
    people = factories.subscribers(template.mini_program, count=3)
    now = timezone.now()
    for number in range(5):
        scene = Scene.objects.create(mini_program=template.mini_program, code=f"s{number}", name="Paid")
        for person in people:
            PromptReport.objects.create(
                subscriber=person, scene=scene, planned=[template.pk], request_key=str(number), answered_at=now
            )

    with ThreadPoolExecutor(max_workers=4) as workers:
        written = list(workers.map(count_again, range(4)))

    today = days.day_of(now, zone=days.zones()[template.mini_program_id])
    assert sorted(written) == [0, 0, 0, 5]
    assert set(AskingTally.objects.values_list("template", "day", "word", "times")) == {
        (template.pk, today, "planned", 3)
    }
    assert AskingTally.objects.count() == 5
