"""Reading changes nothing: every address of the desk is asked with GET, and the whole database stays as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from notify_platform.console.desk.jobs.deeds import DEEDS
from notify_platform.console.desk.jobs.series import DEEDS as SERIES_DEEDS
from notify_platform.delivery.models import Delivery
from notify_platform.jobs.models import SendJob, Series
from tests import factories
from tests.console.conftest import a_delivery, a_row_of_everything

# Leaving is what these are for.
LEAVING = {"logout"}
FIRST = {"series_id": "1"}


def patterns(resolver: URLResolver) -> Iterator[URLPattern]:
    for each in resolver.url_patterns:
        if isinstance(each, URLResolver):
            yield from patterns(each)
        else:
            yield each


def desk_patterns() -> list[URLPattern]:
    (desk,) = (each for each in get_resolver().url_patterns if getattr(each, "namespace", "") == "admin")
    return [each for each in patterns(desk) if each.name not in LEAVING]


def values_of(name: str) -> list[str]:
    """What may stand at a place of an address, besides a number."""
    if name == "name":
        return [*DEEDS, *SERIES_DEEDS, "nonsense"]
    if name in {"app_label", "content_type_id"}:
        return ["jobs", "1"]
    return []


def addresses() -> list[str]:
    """Every address of the desk, with every row there is."""
    numbers = sorted({str(row.pk) for model in admin.site._registry for row in model._default_manager.all()})
    found = set()
    for pattern in desk_patterns():
        names = list(pattern.pattern.converters) or [str(number) for number in pattern.pattern.regex.groupindex]
        wanted: list[dict[str, str]] = [{}]
        for name in names:
            choices = values_of(name) or numbers
            wanted = [{**one, name: choice} for one in wanted for choice in choices]
        for one in wanted:
            try:
                found.add(reverse(f"admin:{pattern.name}", kwargs=one) if pattern.name else "")
            except NoReverseMatch:
                continue
    return sorted(found - {""})


def everything() -> dict[str, list[Any]]:
    """Every row of every table; who is logged in is no fact."""
    models = [model for model in apps.get_models(include_auto_created=True) if model is not Session]
    return {model._meta.label: list(model._base_manager.order_by("pk").values()) for model in models}


@pytest.mark.django_db
def test_no_address_of_the_desk_changes_anything_when_it_is_read(admin: Client) -> None:
    rows = a_row_of_everything()
    job = factories.a_running_job(rows["template"])
    factories.grants(rows["template"], to=[rows["person"]])
    a_delivery(job, person=rows["person"], state=Delivery.State.UNKNOWN, armed_at=timezone.now())
    SendJob.objects.filter(pk=job.pk).update(fanned_out_at=timezone.now())
    factories.a_job(rows["template"], series=Series.objects.get())
    urls = addresses()
    assert len(urls) > 200
    assert len(urls) > len(desk_patterns())
    before = everything()
    answered = {url: admin.get(url).status_code for url in urls}
    assert {url: status for url, status in answered.items() if status >= 500} == {}
    after = everything()
    assert {label for label, found in after.items() if found != before[label]} == set()
