"""What a colleague sees where there is nothing: an empty list, a page that is not there, not theirs, or broken."""

from __future__ import annotations

from typing import Any

import pytest
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse
from django.utils import translation

from notify_platform.delivery.models import Delivery
from notify_platform.jobs.models import SendJob
from tests import factories
from tests.console.conftest import At, Colleague

LOG = reverse("admin:delivery_delivery_changelist")
JOBS = reverse("admin:jobs_sendjob_changelist")
WRITE = reverse("admin:jobs_sendjob_add")


def seen(desk: Client, url: str, **asked: Any) -> str:
    return desk.get(url, asked).content.decode()


def part(text: str) -> str:
    """The part of a list's page that stands in place of its rows."""
    return text[text.index('class="desk-empty"') :].partition("</div>\n")[0]


def test_an_empty_log_says_how_it_fills_where_to_begin_and_where_older_rows_are(admin: Client) -> None:
    text = part(seen(admin, LOG))
    assert [each in text for each in ("Nothing in the last 7 days", "?period=all", f'href="{WRITE}"')] == [True] * 3
    text = part(seen(admin, LOG, period="all"))
    assert ("Nothing here yet" in text, "?period=all" in text, f'href="{WRITE}"' in text) == (True, False, True)


def test_no_alert_is_good_news(admin: Client) -> None:
    assert "All is well." in part(seen(admin, reverse("admin:alerts_alert_changelist")))


def test_who_may_not_write_a_job_is_not_sent_to_write_one(colleague: Colleague, at_desk: At) -> None:
    assert f'href="{WRITE}"' not in part(seen(at_desk(colleague("viewer")), LOG))


@pytest.mark.parametrize("asked", [{"state": Delivery.State.FAILED}, {"q": "nobody"}, {"since": "2026-01-01"}])
def test_a_filter_that_nothing_fits_can_be_taken_off(admin: Client, asked: dict[str, str]) -> None:
    text = part(seen(admin, LOG, **asked))
    assert ("Nothing fits these filters" in text, 'href="?"' in text, "Nothing here yet" in text) == (True, True, False)


def test_an_empty_list_that_can_be_added_to_offers_it(admin: Client) -> None:
    text = part(seen(admin, JOBS))
    assert ("Nothing here yet" in text, f'href="{WRITE}"' in text) == (True, True)
    assert "Nothing fits these filters" in part(seen(admin, JOBS, state__exact=SendJob.State.RUNNING))


def test_jobs_have_a_tab_for_each_state_that_counts_what_the_other_filters_leave(admin: Client) -> None:
    template = factories.a_template(factories.a_mini_program())
    factories.a_job(template, name="Grapes")
    factories.a_job(template, name="Pears")
    factories.a_job(template, name="Late grapes", state=SendJob.State.FINISHED)

    def tabs(**asked: str) -> list[tuple[str, str, bool]]:
        cl = admin.get(JOBS, asked).context["cl"]
        return [(str(tab.words), tab.count, tab.is_chosen) for tab in cl.tabs]

    assert tabs() == [("All", "3", True), ("draft", "2", False), ("finished", "1", False)]
    assert tabs(state__exact="finished") == [("All", "3", False), ("draft", "2", False), ("finished", "1", True)]
    assert tabs(q="grapes", state__exact="draft") == [
        ("All", "2", False),
        ("draft", "1", True),
        ("finished", "1", False),
    ]
    finished = admin.get(JOBS, {"p": "1"}).context["cl"].tabs[-1].url
    assert [row.name for row in admin.get(JOBS + finished).context["cl"].result_list] == ["Late grapes"]


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("403", "您的角色不能使用这个功能"),
        ("403_csrf", "页面打开太久，已经失效"),
        ("404", "没有这个页面"),
        ("500", "系统出错了"),
    ],
)
def test_what_went_wrong_is_said_in_the_colleagues_language(name: str, head: str) -> None:
    with translation.override("zh-hans"):
        text = render_to_string(f"{name}.html")
    assert (f"<h1>{head}</h1>" in text, 'href="/admin/"' in text) == (True, True)


def test_a_page_that_is_not_there_or_not_ones_own_leads_home(colleague: Colleague, at_desk: At) -> None:
    desk = at_desk(colleague("viewer"))
    gone, closed = desk.get("/admin/nothing/here/"), desk.get(WRITE)
    assert (gone.status_code, "There is no such page" in gone.content.decode()) == (404, True)
    assert (closed.status_code, "This is not for your role" in closed.content.decode()) == (403, True)
    strict = Client(enforce_csrf_checks=True)
    expired = strict.post(reverse("admin:login"), {"username": "a", "password": "b"})
    assert (expired.status_code, "open for too long" in expired.content.decode()) == (403, True)
