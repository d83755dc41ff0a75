"""What looks like a number and is none: it names nothing, and nothing breaks."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from notify_platform.console.desk.lists import number_of
from notify_platform.jobs.models import SendJob
from tests import factories
from tests.console.conftest import At, Colleague

NO_NUMBERS = ["²", "①", "9" * 30]


@pytest.fixture
def desk(db: None, colleague: Colleague, at_desk: At) -> Client:
    return at_desk(colleague("operator"))


@pytest.mark.parametrize("text", [*NO_NUMBERS, "٣", "", "-1", "1 ", "x", None])
def test_only_ascii_digits_are_a_number(text: str | None) -> None:
    assert (number_of(text), number_of("17")) == (None, 17)


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_an_address_with_no_number_names_nothing(desk: Client, text: str) -> None:
    assert desk.get(reverse("admin:jobs_sendjob_add"), {"template": text}).status_code == 200
    for log in ("delivery_delivery", "delivery_skip"):
        answer = desk.get(reverse(f"admin:{log}_changelist"), {"job": text})
        assert (answer.status_code, list(answer.context["cl"].result_list)) == (200, [])


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_a_post_with_no_number_names_nothing(desk: Client, text: str) -> None:
    template = factories.a_template(factories.a_mini_program())
    look = reverse("admin:jobs_sendjob_look")
    assert desk.post(look, {"template": template.pk, "job": text}).status_code == 404
    assert desk.post(look, {"template": template.pk, "reach": text}).status_code == 200
    job = factories.a_job(template)
    answer = desk.post(reverse("admin:jobs_sendjob_test", args=[job.pk]), {"do": "send", "to": [text]})
    assert (answer.status_code, SendJob.objects.count()) == (302, 1)
