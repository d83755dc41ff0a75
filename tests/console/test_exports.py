"""Exports: what stands in the files, who may have them, and the line in the audit trail."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import openpyxl
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation

from notify_platform.core import spreadsheets
from notify_platform.core.models import AuditEvent
from notify_platform.delivery.models import Delivery
from notify_platform.insights import exports
from notify_platform.insights.exports import SHEETS
from subscriptions.models import Audience, Subscriber
from tests.console.conftest import At, Colleague, a_row_of_everything

LISTS = [label for label in SHEETS if label != "subscriptions.audience"]
AT = datetime(2026, 11, 23, 6, 5, 9, tzinfo=UTC)


def export_url(label: str) -> str:
    return reverse(f"admin:{label.replace('.', '_')}_export_list")


LOG = export_url("delivery.delivery")


@pytest.fixture
def rows(db: None) -> dict[str, Any]:
    found = a_row_of_everything()
    Delivery.objects.update(created_at=AT, msgid="2418523456789012345", error_code=43101)
    return found


def body(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def table(answer: Any) -> list[list[str]]:
    content = body(answer).decode()
    assert content.startswith("\ufeff")
    return list(csv.reader(io.StringIO(content.removeprefix("\ufeff"))))


@pytest.mark.parametrize("label", LISTS)
@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_a_list_leaves_the_house_by_post_with_permission_and_a_line_in_the_trail(
    label: str, form: str, rows: dict[str, Any], colleague: Colleague, at_desk: At
) -> None:
    operator = colleague("operator")
    desk, url = at_desk(operator), export_url(label)
    assert desk.get(url).status_code == 405
    assert at_desk(colleague("viewer")).post(url, {"format": form}).status_code == 403
    assert AuditEvent.objects.filter(action="export_rows").count() == 0

    answer = desk.post(f"{url}?q=&period=all", {"format": form})

    assert answer.status_code == 200
    assert len(body(answer)) > 50
    line = AuditEvent.objects.get(action="export_rows")
    assert (line.actor_id, line.subject, line.detail) == (
        operator.pk,
        f"list {label}",
        {"rows": 1, "format": form, "filter": "period=all", "openids": "masked"},
    )


def test_without_a_token_nothing_is_exported(rows: dict[str, Any], colleague: Colleague) -> None:
    desk = Client(enforce_csrf_checks=True)
    desk.force_login(colleague("operator"))
    assert desk.post(LOG, {"format": "csv"}).status_code == 403
    assert AuditEvent.objects.filter(action="export_rows").count() == 0


def test_a_csv_speaks_chinese_and_keeps_numbers_as_text(
    rows: dict[str, Any], colleague: Colleague, at_desk: At, settings: Any
) -> None:
    settings.LANGUAGE_CODE = "zh-hans"
    with translation.override("zh-hans"):
        answer = at_desk(colleague("engineer")).post(LOG + "?period=all", {"format": "csv"})
        headings, line = table(answer)
    told = dict(zip(headings, line, strict=True))
    row = rows["delivery"]
    assert told["openid"] == row.subscriber.openid
    assert (told["状态"], told["代码"], told["微信消息 ID"]) == ("微信拒绝", "43101", "2418523456789012345")
    # 06:05 in London is 14:05 where the mini-program is.
    assert told["创建时间"] == "2026-11-23 14:05:09"


def test_the_file_is_named_in_chinese_with_its_minute(
    rows: dict[str, Any], colleague: Colleague, at_desk: At, time_machine: Any, settings: Any
) -> None:
    settings.LANGUAGE_CODE = "zh-hans"
    desk = at_desk(colleague("operator"))
    time_machine.move_to(AT, tick=False)
    with translation.override("zh-hans"):
        answer = desk.post(LOG, {"format": "csv"})
    assert answer["Content-Disposition"] == (
        "attachment; filename*=utf-8''%E5%8F%91%E9%80%81%E6%98%8E%E7%BB%86_20261123_1405.csv"
    )


@pytest.mark.parametrize(("role", "whole"), [("operator", False), ("engineer", True)])
def test_openids_are_whole_only_for_those_who_may_see_them(
    role: str, whole: bool, rows: dict[str, Any], colleague: Colleague, at_desk: At
) -> None:
    person = rows["person"]
    for label in LISTS:
        text = body(at_desk(colleague(role)).post(export_url(label) + "?period=all", {"format": "csv"})).decode()
        assert (person.openid in text, person.masked_openid in text) == (whole, not whole), label


def test_the_filters_of_the_list_are_those_of_the_file(rows: dict[str, Any], admin: Client) -> None:
    assert len(table(admin.post(LOG + "?state=failed&period=all", {"format": "csv"}))) == 2
    assert len(table(admin.post(LOG + "?state=delivered&period=all", {"format": "csv"}))) == 1
    assert len(table(admin.post(LOG + "?since=2026-11-24&until=2026-11-25", {"format": "csv"}))) == 1


def test_more_rows_than_allowed_are_refused_and_nothing_is_noted(
    rows: dict[str, Any], admin: Client, settings: Any
) -> None:
    settings.EXPORT_MAX_ROWS = 0
    answer = admin.post(LOG + "?period=all", {"format": "csv"}, follow=True)
    assert [str(each) for each in answer.context["messages"]] == [
        "A file holds at most 0 rows. Choose fewer days or a tab."
    ]
    assert AuditEvent.objects.filter(action="export_rows").count() == 0


def test_an_excel_holds_no_formula_and_text_stays_text(rows: dict[str, Any], admin: Client) -> None:
    Subscriber.objects.update(nickname='=HYPERLINK("http://x")\x07')
    book = openpyxl.load_workbook(io.BytesIO(body(admin.post(LOG + "?period=all", {"format": "xlsx"}))))
    headings, line = book.active.iter_rows()
    cells = {heading.value: cell for heading, cell in zip(headings, line, strict=True)}
    assert cells["nickname"].value == '\'=HYPERLINK("http://x")'
    assert {cell.data_type for cell in line if cell.value is not None} == {"s", "n"}
    assert (cells["WeChat's message id"].value, cells["WeChat's message id"].data_type) == ("2418523456789012345", "s")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\n=1", "＝1"])
def test_what_a_spreadsheet_would_run_is_only_shown(text: str) -> None:
    lines = b"".join(spreadsheets.csv_lines(["a"], [[text]])).decode().removeprefix("\ufeff")
    assert list(csv.reader(io.StringIO(lines, newline="")))[1] == ["'" + text]
    assert spreadsheets.harmless("o=1+1") == "o=1+1"


def test_rows_are_read_a_batch_at_a_time_in_the_same_few_statements_each(
    rows: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    person = rows["person"]
    Subscriber.objects.bulk_create(
        Subscriber(mini_program=person.mini_program, openid=f"oPerson{n:020d}") for n in range(25)
    )
    monkeypatch.setattr(exports, "BATCH", 10)
    reading = exports.Reading(zone=timezone.get_default_timezone(), shows_openids=True)
    sheet = exports.Sheet("x", (), (), exports.PEOPLE.columns)
    with CaptureQueriesContext(connection) as captured:
        cells = list(sheet.rows(Subscriber.objects.all(), reading, most=22))
    newest = Subscriber.objects.order_by("-pk").values_list("openid", flat=True)[:22]
    assert ([row[0] for row in cells], len(captured)) == (list(newest), 3)


def test_the_people_of_an_audience_are_exported_from_its_page(
    rows: dict[str, Any], colleague: Colleague, at_desk: At
) -> None:
    audience = Audience.objects.get(kind=Audience.Kind.LIST)
    url = reverse("admin:subscriptions_audience_export", args=[audience.pk])
    assert at_desk(colleague("viewer")).post(url).status_code == 403
    desk, unknown = at_desk(colleague("operator")), reverse("admin:subscriptions_audience_export", args=[0])
    assert (desk.get(url).status_code, desk.post(unknown).status_code) == (405, 404)
    page = desk.get(reverse("admin:subscriptions_audience_change", args=[audience.pk]))
    assert page.context["export_url"] == url
    assert [line[0] for line in table(desk.post(url, {"format": "csv"}))] == ["openid", rows["person"].masked_openid]
    assert AuditEvent.objects.get(action="export_rows").subject == f"audience {audience.pk}"
