"""Eight processes after the same rows and the same consents: nothing is taken twice, nothing is left."""

from __future__ import annotations

import subprocess
from collections import Counter

import pytest

from notify_platform.delivery import fanout
from notify_platform.delivery.models import Delivery
from notify_platform.insights import books
from subscriptions.models import Grant
from tests import factories

PROCESSES = 8
PEOPLE = 400
State = Delivery.State

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("processes")]


@pytest.fixture
def race(spawn):
    """Let eight claimers loose on some jobs at the same moment; return every delivery id any of them sent."""

    def race(*jobs):
        arguments = ["-m", "tests.races.claimer", *(str(job.pk) for job in jobs)]
        runners = [spawn(*arguments, stdin=subprocess.PIPE) for _ in range(PROCESSES)]
        for runner in runners:
            assert runner.stdout.readline() == "ready\n"
        for runner in runners:
            runner.stdin.write("go\n")
            runner.stdin.close()
        sent = [int(line) for runner in runners for line in runner.stdout]
        assert [runner.wait() for runner in runners] == [0] * PROCESSES
        return sent

    return race


def a_frozen_job(template):
    job = factories.a_running_job(template)
    while fanout.step(job):
        pass
    return job


def test_no_row_is_sent_twice_and_none_is_left(race):
    template = factories.a_template(factories.a_mini_program())
    factories.grants(template, to=factories.subscribers(template.mini_program, count=PEOPLE))
    job = a_frozen_job(template)

    sent = race(job)

    assert sorted(sent) == sorted(Delivery.objects.values_list("pk", flat=True))
    assert Counter(Delivery.objects.values_list("state", flat=True)) == {State.ACCEPTED: PEOPLE}
    assert Counter(Grant.objects.values_list("state", flat=True)) == {Grant.State.SPENT: PEOPLE}
    assert books.check() == []


def test_two_jobs_after_the_same_single_consents_spend_each_of_them_once(race):
    template = factories.a_template(factories.a_mini_program())
    factories.grants(template, to=factories.subscribers(template.mini_program, count=PEOPLE))
    first, second = a_frozen_job(template), a_frozen_job(template)

    sent = race(first, second)

    assert len(sent) == len(set(sent)) == PEOPLE
    assert Counter(Delivery.objects.values_list("state", "reason")) == {
        (State.ACCEPTED, ""): PEOPLE,
        (State.SKIPPED, "no_consent"): PEOPLE,
    }
    assert Counter(Grant.objects.values_list("state", flat=True)) == {Grant.State.SPENT: PEOPLE}
    assert books.check() == []
