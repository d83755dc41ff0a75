"""No page of the desk shows a whole openid to those who may not change people."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin as django_admin
from django.urls import reverse

from notify_platform.core.models import audit
from notify_platform.jobs.models import Event
from tests.console.conftest import At, Colleague, a_row_of_everything

MODELS: list[Any] = sorted(django_admin.site._registry, key=lambda model: model._meta.label)


@pytest.fixture
def openid(db: None) -> str:
    """The openid of a person of whom there is a row of every kind, quoted wherever a caller could put it."""
    rows = a_row_of_everything()
    found: str = rows["person"].openid
    Event.objects.update(data={"openid": found, "order": {"touser": found}})
    audit(None, action="import", subject="file", openid=found, rows=[{"OpenID": found}])
    return found


@pytest.mark.parametrize("role", ["viewer", "operator", "approver"])
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_no_list_and_no_page_shows_a_whole_openid(
    model: Any, role: str, openid: str, colleague: Colleague, at_desk: At
) -> None:
    desk = at_desk(colleague(role))
    name = model._meta.label_lower.replace(".", "_")
    urls = [reverse(f"admin:{name}_changelist")]
    urls += [reverse(f"admin:{name}_change", args=[row.pk]) for row in model.objects.order_by("-pk")[:5]]

    answers = [desk.get(url) for url in urls]

    assert len({answer.status_code for answer in answers} - {200, 403}) == 0
    assert [url for url, answer in zip(urls, answers, strict=True) if openid in answer.content.decode()] == []


def test_raw_pushes_and_the_trail_are_masked_even_for_engineers(openid: str, colleague: Colleague, at_desk: At) -> None:
    desk = at_desk(colleague("engineer"))
    for name, model in (("callbacks_callbackevent", "CallbackEvent"), ("core_auditevent", "AuditEvent")):
        (kind,) = (each for each in MODELS if each.__name__ == model)
        for row in kind.objects.all():
            assert openid not in desk.get(reverse(f"admin:{name}_change", args=[row.pk])).content.decode()


@pytest.mark.parametrize("lookup", ["openid__startswith", "openid__regex", "openid"])
def test_a_mask_cannot_be_lifted_letter_by_letter(lookup: str, openid: str, colleague: Colleague, at_desk: At) -> None:
    desk = at_desk(colleague("viewer"))

    answer = desk.get(reverse("admin:subscriptions_subscriber_changelist"), {lookup: openid[:9]})

    assert answer.status_code == 400


@pytest.mark.parametrize("value", ["²", "9" * 30, "-1", "x"])
def test_an_odd_mini_program_in_the_address_filters_nothing(
    value: str, openid: str, colleague: Colleague, at_desk: At
) -> None:
    a_row_of_everything()

    answer = at_desk(colleague("viewer")).get(reverse("admin:jobs_sendjob_changelist"), {"mini_program": value})

    assert answer.status_code == 200
