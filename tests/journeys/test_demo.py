"""The demo survives what people do to it: kill -9 in the middle of its campaign."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest
from django.utils import timezone

from notify_platform.delivery.models import Delivery
from notify_platform.insights import books
from notify_platform.jobs.models import SendJob
from tests.journeys.conftest import a_free_port
from tests.journeys.processes import children, command_of, descendants, is_alive
from tests.journeys.waiting import until

State = Delivery.State
PEOPLE, PACE = 300, 30
ARRIVALS = "阳光玫瑰到货提醒"

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("processes")]


@pytest.fixture
def demo(spawn):
    """The demo with its campaign under way."""
    wanted = {"--subscribers": PEOPLE, "--pace": PACE, "--port": a_free_port()}
    options = [str(part) for pair in wanted.items() for part in pair]
    child = spawn("manage.py", "demo", "--once", *options, LANGUAGE_CODE="en")
    until(lambda: accepted() > PACE or child.poll() is not None)
    assert child.poll() is None, child.communicate()[0]
    return child


def accepted():
    return Delivery.objects.filter(job__name=ARRIVALS, state__in=[State.ACCEPTED, State.DELIVERED]).count()


def worker_of(demo):
    return next(pid for pid in children(demo.pid) if command_of(pid)[-1:] == ["worker"])


def kill(victims):
    """Kill processes, wait until they and what dies with them are gone, and let what a minute would do happen."""
    family = {*victims, *(each for victim in victims for each in descendants(victim))}
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    until(lambda: not any(is_alive(pid) for pid in family))
    Delivery.objects.filter(state__in=Delivery.IN_FLIGHT).update(lease_until=timezone.now())


def ending_of(demo):
    """What the demo says until it ends, and its status."""
    try:
        said, _nothing = demo.communicate(timeout=150)
    except subprocess.TimeoutExpired:
        pytest.fail(f"the demo did not end: {SendJob.objects.get(name=ARRIVALS).state}")
    return said, demo.returncode


def line(said, label):
    """The number in front of a label of the reckoning."""
    return next(int(row.split()[0].replace(",", "")) for row in said.splitlines() if row.endswith(f"  {label}"))


def test_the_demo_starts_a_killed_worker_again_and_its_books_add_up(demo):
    kill([worker_of(demo)])
    assert Delivery.objects.filter(job__name=ARRIVALS, state=State.WAITING).exists(), "the kill came too late"

    said, status = ending_of(demo)

    assert said.count("worker has fallen; it is started again.") == 1
    assert "✓ The books add up, ours and WeChat's." in said
    assert (status, SendJob.objects.get(name=ARRIVALS).state) == (0, SendJob.State.FINISHED)
    assert line(said, "accepted by WeChat") == line(said, "counted at WeChat's side") == accepted()
    assert line(said, "counted twice at WeChat's side") == 0
    assert books.check() == []


def test_the_demo_survives_the_death_of_one_process_of_the_queue(demo):
    sentinel = children(children(worker_of(demo))[0])[0]
    kill(children(sentinel)[:1])

    said, status = ending_of(demo)

    assert "has fallen" not in said
    assert "✓ The books add up, ours and WeChat's." in said
    assert (status, SendJob.objects.get(name=ARRIVALS).state) == (0, SendJob.State.FINISHED)
    assert line(said, "accepted by WeChat") == line(said, "counted at WeChat's side") == accepted()
    assert books.check() == []


@pytest.fixture
def in_the_background():
    """As a shell starts a process behind an ampersand: with Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_demo_can_be_stopped_in_the_background_too_and_leaves_no_process(in_the_background, demo):
    family = descendants(demo.pid)

    demo.terminate()

    said, _status = demo.communicate(timeout=60)
    assert "Stopped." in said
    assert [pid for pid in family if is_alive(pid)] == []
