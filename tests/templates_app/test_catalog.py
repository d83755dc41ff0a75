from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from typing import Any

import pytest

from templates_app.catalog import SkippedRow, SnapshotReport, apply_snapshot, mark_banned, mark_missing
from templates_app.models import MessageTemplate, MiniProgram, TemplateField

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
TUESDAY = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)

RESULT = {
    "priTmplId": "9Aw5ZV1j9xdWTFEkqCpZ7mIBbSC34khK55OtzUPl0rU",
    "title": "报名结果通知",
    "content": "会议时间:{{date2.DATA}}\n会议地点:{{thing1.DATA}}\n",
    "example": "会议时间:2016年8月8日\n会议地点:TIT会议室\n",
    "type": 2,
}
FAULT = {
    "priTmplId": "cy_DfOZL7lypxHh3ja3DyAUbn1GYQRGwezuy5LBTFME",
    "title": "洗衣机故障提醒",
    "content": "完成时间:{{time1.DATA}}\n所在位置:{{enum_string2.DATA}}\n",
    "example": "完成时间:2021年10月21日 12:00:00\n所在位置:客厅\n",
    "keywordEnumValueList": [{"enumValueList": ["客厅", "餐厅"], "keywordCode": "enum_string2.DATA"}],
    "type": 3,
}


@pytest.fixture
def shop() -> MiniProgram:
    return MiniProgram.objects.create(name="店", app_id="wx0123456789abcdef")


def sync(shop: MiniProgram, *rows: Any, at: datetime = MONDAY) -> SnapshotReport:
    return apply_snapshot(shop, rows=rows, at=at)


def counts(report: SnapshotReport) -> tuple[int, int, int, int]:
    assert report.skipped == ()
    return report.added, report.changed, report.unchanged, report.missing


def template(row: Mapping[str, object]) -> MessageTemplate:
    return MessageTemplate.objects.get(wechat_id=row["priTmplId"])


def fields(row: Mapping[str, object]) -> Sequence[tuple[object, ...]]:
    listed = template(row).fields.values_list("position", "key", "label", "example", "choices", "strict")
    return list(listed)


def test_new_templates_are_added_with_their_fields(shop: MiniProgram) -> None:
    report = sync(shop, RESULT, FAULT)

    assert counts(report) == (2, 0, 0, 0)
    result, fault = template(RESULT), template(FAULT)
    assert (result.mini_program, result.title, result.kind, result.state, result.synced_at, result.validity_days) == (
        shop,
        "报名结果通知",
        "one_time",
        "live",
        MONDAY,
        7,
    )
    assert (result.content, result.example) == (RESULT["content"], RESULT["example"])
    assert (fault.kind, fault.state) == ("long_term", "live")
    assert fields(RESULT) == [
        (1, "date2", "会议时间", "2016年8月8日", [], True),
        (2, "thing1", "会议地点", "TIT会议室", [], True),
    ]
    assert fields(FAULT) == [
        (1, "time1", "完成时间", "2021年10月21日 12:00:00", [], True),
        (2, "enum_string2", "所在位置", "客厅", ["客厅", "餐厅"], True),
    ]


def test_the_same_list_again_changes_only_when_it_was_seen(shop: MiniProgram) -> None:
    sync(shop, RESULT, FAULT)
    before = list(TemplateField.objects.order_by("pk").values())

    assert counts(sync(shop, FAULT, RESULT, at=TUESDAY)) == (0, 0, 2, 0)

    assert template(RESULT).synced_at == TUESDAY
    assert list(TemplateField.objects.order_by("pk").values()) == before


def test_a_template_gone_at_wechat_is_missing_and_never_deleted(shop: MiniProgram) -> None:
    sync(shop, RESULT, FAULT)

    assert counts(sync(shop, FAULT, at=TUESDAY)) == (0, 0, 1, 1)
    assert counts(sync(shop, FAULT, at=TUESDAY)) == (0, 0, 1, 0)

    assert (template(RESULT).state, template(RESULT).synced_at) == ("missing", MONDAY)
    assert len(fields(RESULT)) == 2


def test_an_empty_list_is_an_answer_too(shop: MiniProgram) -> None:
    sync(shop, RESULT, FAULT)

    assert counts(sync(shop)) == (0, 0, 0, 2)


def test_a_template_that_comes_back_is_in_use_again(shop: MiniProgram) -> None:
    sync(shop, RESULT)
    sync(shop)

    assert counts(sync(shop, RESULT)) == (0, 1, 0, 0)

    assert template(RESULT).state == "live"


def test_a_banned_template_stays_banned_listed_or_not(shop: MiniProgram) -> None:
    sync(shop, RESULT)
    mark_banned(template(RESULT))

    assert counts(sync(shop, RESULT)) == (0, 0, 1, 0)
    assert template(RESULT).state == "banned"
    assert counts(sync(shop)) == (0, 0, 0, 0)
    assert template(RESULT).state == "banned"


def test_another_mini_programs_templates_are_left_alone(shop: MiniProgram) -> None:
    other = MiniProgram.objects.create(name="二店", app_id="wxfedcba9876543210")
    sync(other, RESULT)

    assert counts(sync(shop, FAULT)) == (1, 0, 0, 0)

    assert template(RESULT).state == "live"


def test_changed_words_and_fields_are_taken_over(shop: MiniProgram) -> None:
    sync(shop, RESULT)
    template(RESULT).fields.filter(key="thing1").update(strict=False)
    renamed = RESULT | {
        "title": "报名通知",
        "content": "地点:{{thing1.DATA}}\n备注:{{thing3.DATA}}\n",
        "example": "地点:会议室\n备注:无\n",
    }

    assert counts(sync(shop, renamed)) == (0, 1, 0, 0)

    assert template(RESULT).title == "报名通知"
    assert fields(RESULT) == [(1, "thing1", "地点", "会议室", [], False), (2, "thing3", "备注", "无", [], True)]


def test_a_changed_list_of_values_alone_is_a_change(shop: MiniProgram) -> None:
    sync(shop, FAULT)
    fewer = FAULT | {"keywordEnumValueList": [{"enumValueList": ["餐厅"], "keywordCode": "enum_string2.DATA"}]}

    assert counts(sync(shop, fewer)) == (0, 1, 0, 0)

    assert [row[4] for row in fields(FAULT)] == [[], ["餐厅"]]


def test_a_field_wechat_does_not_list_is_removed(shop: MiniProgram) -> None:
    sync(shop, RESULT)
    TemplateField.objects.create(template=template(RESULT), position=3, key="thing9", label="多余")

    assert counts(sync(shop, RESULT)) == (0, 1, 0, 0)

    assert [row[1] for row in fields(RESULT)] == ["date2", "thing1"]


def test_what_operators_decided_survives(shop: MiniProgram) -> None:
    sync(shop, RESULT, FAULT)
    decided = {"validity_days": None, "urgent": True, "quiet_from": time(22), "quiet_until": time(8)}
    MessageTemplate.objects.update(**decided)
    MessageTemplate.objects.filter(wechat_id=FAULT["priTmplId"]).update(kind="long_term_capped")

    assert counts(sync(shop, RESULT | {"title": "新"}, FAULT)) == (0, 1, 1, 0)

    assert list(MessageTemplate.objects.values(*decided)) == [decided, decided]
    assert template(FAULT).kind == "long_term_capped"


def test_a_template_without_keywords_is_a_service_card(shop: MiniProgram) -> None:
    assert counts(sync(shop, {"priTmplId": "card", "title": "外卖进度", "type": 2})) == (1, 0, 0, 0)

    card = MessageTemplate.objects.get(wechat_id="card")
    assert (card.kind, card.content, card.fields.count()) == ("service_card", "", 0)


def test_ids_are_stripped_of_spaces(shop: MiniProgram) -> None:
    sync(shop, RESULT)

    assert counts(sync(shop, RESULT | {"priTmplId": f" {RESULT['priTmplId']}\n"})) == (0, 0, 1, 0)


def test_a_type_written_as_text_is_understood(shop: MiniProgram) -> None:
    sync(shop, FAULT | {"type": "3"})

    assert template(FAULT).kind == "long_term"


@pytest.mark.parametrize(
    ("row", "wechat_id", "reason"),
    [
        ("text", "", "The row is not an object."),
        ({}, "", "The row has no template id (priTmplId)."),
        (RESULT | {"priTmplId": None}, "", "The row has no template id (priTmplId)."),
        (RESULT | {"priTmplId": "  "}, "", "The row has no template id (priTmplId)."),
        (RESULT | {"priTmplId": "x" * 65}, "x" * 65, "The template id is too long to be one."),
        (RESULT | {"type": 9}, RESULT["priTmplId"], "Its type 9 is neither 2 (one-time) nor 3 (long-term)."),
        (RESULT | {"type": None}, RESULT["priTmplId"], "Its type None is neither 2 (one-time) nor 3 (long-term)."),
        (RESULT | {"type": [2]}, RESULT["priTmplId"], "Its type [2] is neither 2 (one-time) nor 3 (long-term)."),
        (
            RESULT | {"content": "a:{{" + "x" * 41 + ".DATA}}"},
            RESULT["priTmplId"],
            "A field's key is too long to be one.",
        ),
    ],
)
def test_a_row_that_cannot_be_read_is_told_and_changes_nothing(
    shop: MiniProgram, row: Any, wechat_id: str, reason: str
) -> None:
    report = sync(shop, row, FAULT)

    assert report == SnapshotReport(1, 0, 0, 0, skipped=(SkippedRow(wechat_id=wechat_id, reason=reason),))
    assert list(MessageTemplate.objects.values_list("wechat_id", flat=True)) == [FAULT["priTmplId"]]


def test_a_template_whose_row_cannot_be_read_is_not_missing(shop: MiniProgram) -> None:
    sync(shop, RESULT)

    report = sync(shop, RESULT | {"type": 9})

    assert (report.missing, len(report.skipped)) == (0, 1)
    assert template(RESULT).state == "live"


def test_nothing_is_declared_missing_while_a_row_has_no_id(shop: MiniProgram) -> None:
    sync(shop, RESULT, FAULT)

    report = sync(shop, FAULT, {"title": "谁？"})

    assert (report.unchanged, report.missing, len(report.skipped)) == (1, 0, 1)
    assert template(RESULT).state == "live"


def test_a_template_listed_twice_counts_once(shop: MiniProgram) -> None:
    report = sync(shop, RESULT, RESULT | {"title": "另一个"})

    assert (report.added, [row.wechat_id for row in report.skipped]) == (1, [RESULT["priTmplId"]])
    assert template(RESULT).title == "报名结果通知"


def test_text_the_database_cannot_hold_is_made_to_fit(shop: MiniProgram) -> None:
    odd = {
        "priTmplId": "odd",
        "title": "\0" + "题" * 70,
        "content": "长" * 70 + ":{{thing1.DATA}}\n值:{{enum_string2.DATA}}",
        "example": "\ud800" + "长" * 70 + ":" + "例" * 300,
        "keywordEnumValueList": [{"keywordCode": "enum_string2.DATA", "enumValueList": ["a\0"]}, "nonsense"],
        "type": 2,
    }

    assert counts(sync(shop, odd)) == (1, 0, 0, 0)
    assert counts(sync(shop, odd)) == (0, 0, 1, 0)

    assert MessageTemplate.objects.get(wechat_id="odd").title == "题" * 60
    assert fields(odd) == [
        (1, "thing1", "长" * 60, "例" * 200, [], True),
        (2, "enum_string2", "值", "", ["a"], True),
    ]


def test_a_template_is_marked_missing_only_from_use(shop: MiniProgram) -> None:
    sync(shop, RESULT, FAULT)
    mark_banned(template(FAULT))

    assert mark_missing(template(RESULT)) is True
    assert mark_missing(template(RESULT)) is False
    assert mark_missing(template(FAULT)) is False
    assert (template(RESULT).state, template(FAULT).state) == ("missing", "banned")


def test_a_template_is_banned_once_whether_in_use_or_missing(shop: MiniProgram) -> None:
    sync(shop, RESULT, FAULT)
    stale = template(RESULT)
    mark_missing(template(FAULT))

    assert mark_banned(stale) is True
    assert mark_banned(stale) is False
    assert mark_banned(template(FAULT)) is True
    assert (template(RESULT).state, template(FAULT).state) == ("banned", "banned")
