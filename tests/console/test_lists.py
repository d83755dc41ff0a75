"""Long lists: pages by key, tabs, days and saved views."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from notify_platform.console.desk import lists
from notify_platform.console.models import SavedView
from notify_platform.core.models import AuditEvent
from notify_platform.delivery.models import Delivery, Reason, Skip
from notify_platform.jobs.models import SendJob
from subscriptions.models import Visit
from tests import factories
from tests.console.conftest import At, Colleague

VISITS = reverse("admin:subscriptions_visit_changelist")
LOG = reverse("admin:delivery_delivery_changelist")
SKIPS = reverse("admin:delivery_skip_changelist")
State = Delivery.State


def visit(number: int, *, days_ago: float = 0) -> None:
    (person,) = factories.subscribers(factories.a_mini_program(), count=1)
    at = timezone.now() - timedelta(days=days_ago)
    Visit.objects.bulk_create(Visit(subscriber=person, page=str(index), at=at) for index in range(number))


def a_job_with(states: dict[str, int]) -> SendJob:
    template = factories.a_template(factories.a_mini_program())
    job = factories.a_job(template)
    variant, rows = job.variants.get(), []
    for state, number in states.items():
        rows += [
            Delivery(
                mini_program=job.mini_program, job=job, variant=variant, template=template, subscriber=person,
                is_counted=False, state=state, due_at=timezone.now(),
            )
            for person in factories.subscribers(job.mini_program, count=number)
        ]  # fmt: skip
    Delivery.objects.bulk_create(rows)
    return job


def shown(desk: Client, url: str, **asked: Any) -> list[int]:
    return [row.pk for row in desk.get(url, asked).context["cl"].result_list]


def tabs(desk: Client, url: str, **asked: Any) -> dict[str, str]:
    return {str(tab.words): tab.count for tab in desk.get(url, asked).context["cl"].tabs}


# --- pages ---------------------------------------------------------------------------------------------------------


def test_every_row_is_met_once_on_the_way_to_the_oldest_and_back(admin: Client) -> None:
    visit(123)
    every = list(Visit.objects.order_by("-pk").values_list("pk", flat=True))
    cl = admin.get(VISITS).context["cl"]
    there = [[row.pk for row in cl.result_list]]
    while cl.pages.older:
        cl = admin.get(VISITS + cl.pages.older).context["cl"]
        there.append([row.pk for row in cl.result_list])
    back = [there[-1]]
    while cl.pages.newer:
        cl = admin.get(VISITS + cl.pages.newer).context["cl"]
        back.append([row.pk for row in cl.result_list])
    assert [key for page in there for key in page] == every
    assert back == there[::-1]


def test_the_oldest_rows_are_one_step_away(admin: Client) -> None:
    visit(123)
    newest = admin.get(VISITS).context["cl"]
    oldest = admin.get(VISITS + newest.pages.oldest).context["cl"]
    keys = list(Visit.objects.order_by("-pk").values_list("pk", flat=True))
    assert [row.pk for row in oldest.result_list] == keys[-50:]
    assert (oldest.pages.older, bool(oldest.pages.newer)) == ("", True)


@pytest.mark.parametrize("key", ["x", "-1", "²", "9" * 30, ""])
def test_a_key_that_is_none_shows_the_newest(admin: Client, key: str) -> None:
    visit(3)
    newest = shown(admin, VISITS)
    assert shown(admin, VISITS, older=key) == newest
    assert shown(admin, VISITS, newer=key) == newest


def test_a_page_takes_the_same_queries_for_three_rows_as_for_three_hundred(admin: Client) -> None:
    job = a_job_with({State.FAILED: 2, State.CANCELLED: 1})

    def queries(**asked: Any) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin.get(LOG, asked).status_code == 200
        return len(captured)

    asked = ({}, {"job": job.pk}, {"job": job.pk, "state": "left"}, {"state": "failed"}, {"older": 10**6})
    queries()
    few = [queries(**each) for each in asked]
    a_job_with({State.FAILED: 150, State.WAITING: 150})
    assert [queries(**each) for each in asked] == few


# --- tabs ----------------------------------------------------------------------------------------------------------


def test_tabs_count_the_states_that_there_are(admin: Client) -> None:
    job = a_job_with({State.FAILED: 3, State.WAITING: 2, State.CANCELLED: 1})
    a_job_with({State.FAILED: 1})
    assert tabs(admin, LOG, job=job.pk) == {
        "All": "6", "waiting": "2", "refused by WeChat": "3", "cancelled": "1",
    }  # fmt: skip
    assert tabs(admin, LOG)["refused by WeChat"] == "4"
    # A chosen tab stays, and so do the others.
    assert tabs(admin, LOG, job=job.pk, state="delivered") == {
        "All": "6", "waiting": "2", "delivered": "0", "refused by WeChat": "3", "cancelled": "1",
    }  # fmt: skip


def test_states_counted_together_are_shown_together_newest_first(admin: Client) -> None:
    job = a_job_with({State.WAITING: 30, State.FAILED: 3})
    more = a_job_with({State.WAITING: 40})
    left = Delivery.objects.filter(job=job, state=State.WAITING).order_by("-pk").values_list("pk", flat=True)
    assert shown(admin, LOG, job=job.pk, state="left") == list(left)
    assert tabs(admin, LOG, job=job.pk, state="left")["all that are left"] == "30"
    every = Delivery.objects.filter(state=State.WAITING).order_by("-pk").values_list("pk", flat=True)
    assert shown(admin, LOG, state="left") == list(every)[:50]
    assert shown(admin, LOG, job=more.pk) == [key for key in every if key not in set(left)]


def test_a_count_stops_at_the_cap(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "CAP", 3)
    a_job_with({State.FAILED: 4, State.WAITING: 3})
    assert tabs(admin, LOG) == {"All": "3+", "waiting": "3", "refused by WeChat": "3+"}


def test_the_reasons_of_one_job_are_tabs_and_those_of_all_jobs_are_not(admin: Client) -> None:
    job = a_job_with({})
    people = factories.subscribers(job.mini_program, count=3)
    reasons = (Reason.NO_CONSENT, Reason.NO_CONSENT, Reason.MUTED)
    Skip.objects.bulk_create(
        Skip(job=job, subscriber=person, reason=reason) for person, reason in zip(people, reasons, strict=True)
    )
    assert tabs(admin, SKIPS, job=job.pk) == {
        "All": "3", "no consent in stock": "2", "muted in the preference centre": "1",
    }  # fmt: skip
    assert tabs(admin, SKIPS) == {}
    # Links of older pages name the column with its comparison.
    assert len(shown(admin, SKIPS, job=job.pk, reason__exact="muted")) == 1


# --- days ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def old_and_new(db: None) -> None:
    """Visits of forty days ago, of last week, of yesterday and of today."""
    for days in (40, 10, 1, 0):
        visit(1, days_ago=days)


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        ({}, 2),
        ({"period": "today"}, 1),
        ({"period": "yesterday"}, 1),
        ({"period": "7"}, 2),
        ({"period": "30"}, 3),
        ({"period": "all"}, 4),
        ({"period": "of time"}, 4),
        ({"since": "2026-02-30", "until": "x"}, 4),
    ],
)
def test_a_log_shows_the_days_that_are_asked_for_and_the_last_seven_otherwise(
    admin: Client, old_and_new: None, asked: dict[str, str], rows: int
) -> None:
    assert len(shown(admin, VISITS, **asked)) == rows


def test_both_days_of_a_span_are_shown(admin: Client, old_and_new: None) -> None:
    day = timezone.localdate()
    ten, one = (str(day - timedelta(days=days)) for days in (10, 1))
    assert len(shown(admin, VISITS, since=ten, until=one)) == 2
    assert len(shown(admin, VISITS, until=ten)) == 2
    assert len(shown(admin, VISITS, since=ten, until=ten)) == 1


def test_what_is_looked_for_is_found_however_old_it_is(admin: Client, old_and_new: None) -> None:
    oldest = Visit.objects.order_by("pk")[0]
    assert shown(admin, VISITS, q=oldest.subscriber.openid) == [oldest.pk]
    assert shown(admin, VISITS, subscriber__exact=oldest.subscriber_id) == [oldest.pk]


def test_a_link_of_the_page_keeps_the_days(admin: Client, old_and_new: None) -> None:
    cl = admin.get(LOG).context["cl"]
    assert cl.get_query_string() == "?period=7"


# --- search --------------------------------------------------------------------------------------------------------


def test_a_message_is_found_by_its_number_and_by_wechats(admin: Client) -> None:
    a_job_with({State.FAILED: 3})
    first, second, _third = Delivery.objects.order_by("pk")
    Delivery.objects.filter(pk=second.pk).update(msgid="2418523456789012345")
    assert shown(admin, LOG, q=str(first.pk)) == [first.pk]
    assert shown(admin, LOG, q="2418523456789012345") == [second.pk]
    assert shown(admin, LOG, q=first.subscriber.openid) == [first.pk]
    assert shown(admin, LOG, q="9" * 40) == []


# --- saved views ---------------------------------------------------------------------------------------------------

KEEP = reverse("admin:delivery_delivery_keep_view")


def test_filters_are_saved_under_a_name_without_what_was_searched(colleague: Colleague, at_desk: At) -> None:
    vera = colleague("viewer")
    desk = at_desk(vera)
    asked = "state=failed&period=30&older=17&q=oABCDEFGH1234567"
    answer = desk.post(KEEP, {"name": " Refused  lately ", "query": asked})
    assert (answer.status_code, answer["Location"]) == (302, f"{LOG}?state=failed&period=30")
    view = SavedView.objects.get()
    assert (view.user, view.page, view.name, view.query) == (
        vera, "delivery.delivery", "Refused lately", "state=failed&period=30",
    )  # fmt: skip
    row = AuditEvent.objects.exclude(action="log_in").get()
    assert (row.action, row.subject, row.actor_id) == ("save_view", f"view {view.pk}", vera.pk)
    assert [each.name for each in desk.get(LOG).context["cl"].views] == ["Refused lately"]
    # The same name again replaces it; another list has none.
    desk.post(KEEP, {"name": "Refused lately", "query": "state=unknown"})
    assert SavedView.objects.get().query == "state=unknown"
    assert list(desk.get(VISITS).context["cl"].views) == []


@pytest.mark.parametrize("name", ["", "   ", "x" * 31])
def test_a_view_without_a_proper_name_is_refused(admin: Client, name: str) -> None:
    admin.post(KEEP, {"name": name, "query": ""})
    assert (SavedView.objects.count(), AuditEvent.objects.exclude(action="log_in").count()) == (0, 0)


def test_a_view_is_its_savers_alone(colleague: Colleague, at_desk: At) -> None:
    vera, victor = colleague("viewer"), colleague("viewer")
    at_desk(vera).post(KEEP, {"name": "Mine", "query": "state=failed"})
    view = SavedView.objects.get()
    drop = reverse("admin:delivery_delivery_drop_view", args=[view.pk])
    assert list(at_desk(victor).get(LOG).context["cl"].views) == []
    at_desk(victor).post(drop)
    assert SavedView.objects.count() == 1
    at_desk(vera).post(drop)
    assert SavedView.objects.count() == 0
    assert [row.action for row in AuditEvent.objects.exclude(action="log_in").order_by("pk")] == [
        "save_view",
        "drop_view",
    ]


def test_views_change_by_post_alone_and_only_for_those_who_may_see_the_list(colleague: Colleague, at_desk: At) -> None:
    assert at_desk(colleague("viewer")).get(KEEP).status_code == 405
    pushes = reverse("admin:callbacks_callbackevent_keep_view")
    assert at_desk(colleague("viewer")).post(pushes, {"name": "x", "query": ""}).status_code == 403
    assert SavedView.objects.count() == 0
