from __future__ import annotations

from templates_app.content import ParsedField, parse_content


def test_a_template_is_read_in_the_order_of_the_card() -> None:
    fields = parse_content(
        content="会议时间:{{date2.DATA}}\n会议地点:{{thing1.DATA}}\n",
        example="会议时间:2016年8月8日\n会议地点:TIT会议室\n",
        enums=[],
    )

    assert fields == [
        ParsedField(key="date2", label="会议时间", example="2016年8月8日"),
        ParsedField(key="thing1", label="会议地点", example="TIT会议室"),
    ]


def test_the_allowed_values_belong_to_the_key_without_data() -> None:
    fields = parse_content(
        content="完成时间:{{time1.DATA}}\n所在位置:{{enum_string2.DATA}}\n提示说明:{{enum_string3.DATA}}\n",
        example="完成时间:2021年10月21日 12:00:00\n所在位置:客厅\n提示说明:设备发生故障，导致工作异常，请及时查看\n",
        enums=[
            {"enumValueList": ["客厅", "餐厅", "厨房"], "keywordCode": "enum_string2.DATA"},
            {"enumValueList": ["设备发生故障，导致工作异常，请及时查看"], "keywordCode": "enum_string3.DATA"},
        ],
    )

    assert fields == [
        ParsedField(key="time1", label="完成时间", example="2021年10月21日 12:00:00"),
        ParsedField(key="enum_string2", label="所在位置", example="客厅", choices=("客厅", "餐厅", "厨房")),
        ParsedField(
            key="enum_string3",
            label="提示说明",
            example="设备发生故障，导致工作异常，请及时查看",
            choices=("设备发生故障，导致工作异常，请及时查看",),
        ),
    ]


def test_a_label_may_hold_colons_of_both_widths() -> None:
    fields = parse_content(
        content="时间:开始：{{time1.DATA}}\r\n说明：备注: {{thing2.DATA}}",
        example="时间:开始：15:01\r\n说明：备注: 见：附件",
        enums=[],
    )

    assert fields == [
        ParsedField(key="time1", label="时间:开始", example="15:01"),
        ParsedField(key="thing2", label="说明：备注", example="见：附件"),
    ]


def test_a_sample_under_another_label_is_read_after_its_first_colon() -> None:
    fields = parse_content(content="时间:{{time1.DATA}}", example="开始时间:15:01", enums=[])

    assert fields == [ParsedField(key="time1", label="时间", example="15:01")]


def test_missing_samples_and_blank_lines_do_no_harm() -> None:
    fields = parse_content(content="\n时间:{{time1.DATA}}\n\n地点:{{thing2.DATA}}", example="时间:15:01", enums=[])

    assert fields == [
        ParsedField(key="time1", label="时间", example="15:01"),
        ParsedField(key="thing2", label="地点", example=""),
    ]


def test_no_placeholder_is_lost_when_a_line_holds_two_or_has_no_label() -> None:
    fields = parse_content(
        content="金额:{{amount1.DATA}}元 余额:{{amount2.DATA}}\n{{thing3.DATA}}", example="", enums=[]
    )

    assert [(field.key, field.label) for field in fields] == [
        ("amount1", "金额"),
        ("amount2", "元 余额"),
        ("thing3", "thing3"),
    ]


def test_a_key_that_comes_twice_counts_once() -> None:
    fields = parse_content(content="甲:{{thing1.DATA}}\n乙:{{thing1.DATA}}", example="", enums=[])

    assert fields == [ParsedField(key="thing1", label="甲")]


def test_text_without_placeholders_has_no_fields() -> None:
    assert parse_content(content="", example="", enums=[]) == []
    assert parse_content(content="服务卡片\n{{thing1}}", example="服务卡片", enums=[]) == []


def test_a_malformed_list_of_values_is_no_list() -> None:
    fields = parse_content(
        content="甲:{{enum_string1.DATA}}\n乙:{{enum_string2.DATA}}",
        example="",
        enums=[
            {"keywordCode": "enum_string1.DATA", "enumValueList": "客厅"},
            {"keywordCode": None, "enumValueList": ["a"]},
            {"keywordCode": "enum_string2.DATA", "enumValueList": ["客厅", 3, None]},
            {},
        ],
    )

    assert [field.choices for field in fields] == [(), ("客厅",)]
