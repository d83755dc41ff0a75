"""The cast of the delivery tests: one mini-program, one template, one running job."""

from __future__ import annotations

import pytest

from notify_platform.delivery import claims, fanout
from notify_platform.delivery.claims import Wordings
from notify_platform.delivery.models import Delivery
from tests import factories


@pytest.fixture
def mini_program(db):
    return factories.a_mini_program()


@pytest.fixture
def template(mini_program):
    return factories.a_template(mini_program)


@pytest.fixture
def people(template):
    persons = factories.subscribers(template.mini_program, count=3)
    factories.grants(template, to=persons)
    return persons


@pytest.fixture
def job(template, people):
    """A running job whose three people all have one consent in stock."""
    job = factories.a_running_job(template)
    while fanout.step(job):
        pass
    return job


@pytest.fixture
def take():
    def take(job, *, limit=100):
        return claims.claim(type(job).objects.get(pk=job.pk), limit=limit, wordings=Wordings())

    return take


@pytest.fixture
def armed(job, take):
    """The job's claim, armed: three messages about to leave."""
    claim = take(job)
    claims.arm(claim.token, delivery_ids=[message.delivery_id for message in claim.messages])
    return claim


@pytest.fixture
def states():
    def states(**which):
        from collections import Counter

        return dict(Counter(Delivery.objects.filter(**which).values_list("state", flat=True)))

    return states
