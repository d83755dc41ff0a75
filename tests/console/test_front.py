"""The front page."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from notify_platform.console.desk import front
from notify_platform.delivery import fanout
from notify_platform.delivery.models import Delivery
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob
from templates_app.models import MiniProgram
from tests import factories
from tests.console.conftest import a_delivery

FRONT = reverse("admin:index")


def a_busy_mini_program() -> MiniProgram:
    """Four people, three with consent of which one result is unknown, a job running and one waiting."""
    program = factories.a_mini_program(approval_threshold=0)
    template = factories.a_template(program)
    people = factories.subscribers(program, count=4)
    factories.grants(template, to=people[:3])
    running = factories.a_running_job(template)
    while fanout.step(running):
        running.refresh_from_db()
    Delivery.objects.filter(job=running).delete()
    a_delivery(running, person=people[0], state=Delivery.State.UNKNOWN)
    a_delivery(running, person=people[1], state=Delivery.State.WAITING)
    jobs.submit(factories.a_job(template, created_by=factories.a_user()), by=None)
    return program


def test_a_mini_program_is_summed_up(admin: Client) -> None:
    program = a_busy_mini_program()
    factories.a_job(factories.a_template(program))
    (board,) = admin.get(FRONT).context["boards"]
    assert (board.name, board.people, board.stock, board.unknown) == (program.name, "4", "2", "1")
    assert [(line.job.state, line.percent) for line in board.moving] == [("running", 75)]
    assert [line.job.state for line in board.waiting] == [SendJob.State.SUBMITTED]


def test_each_mini_program_has_its_own_numbers(admin: Client) -> None:
    a_busy_mini_program()
    factories.a_mini_program(name="Zero")
    assert [
        (board.name == "Zero", board.people, len(board.moving)) for board in front.boards(MiniProgram.objects.all())
    ] == [
        (False, "4", 1),
        (True, "0", 0),
    ]


def test_a_consent_past_its_end_is_not_in_stock(admin: Client) -> None:
    template = factories.a_template(factories.a_mini_program())
    factories.grants(template, to=factories.subscribers(template.mini_program, count=1), age=timedelta(days=8))
    assert [board.stock for board in front.boards(MiniProgram.objects.all())] == ["0"]


def test_the_front_page_takes_the_same_queries_for_one_mini_program_as_for_three(admin: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin.get(FRONT).status_code == 200
        return len(captured)

    a_busy_mini_program()
    queries()
    one = queries()
    a_busy_mini_program()
    a_busy_mini_program()
    assert queries() == one


def test_an_empty_installation_says_where_to_begin(admin: Client) -> None:
    assert reverse("admin:templates_app_miniprogram_add") in admin.get(FRONT).content.decode()


def test_the_sidebar_counts_the_jobs_that_wait_for_a_second_person(admin: Client) -> None:
    def badges() -> list[str]:
        groups = admin.get(FRONT).context["sidebar_navigation"]
        return [str(item["badge_callback"]) for group in groups for item in group["items"] if "badge_callback" in item]

    assert badges() == []
    a_busy_mini_program()
    assert badges() == ["1"]
