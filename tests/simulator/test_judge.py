"""The simulator's own reading of the field rules: what WeChat takes, what it refuses."""

from __future__ import annotations

import pytest

from notify_platform.simulator.judge import allows, complaint

TAKEN = {
    "thing1": ["中", "二" * 20, "a b,c", "😀" * 10, "12345678901234567890"],
    "short_thing1": ["五个字以内", "ab12!"],
    "number1": ["339208499", "12.50", "1" * 32, "0"],
    "letter1": ["abcXYZ", "a" * 32],
    "symbol1": ["+-*/", "！", "￥$€"],
    "character_string10": ["S11-001", "427578039669760", "a" * 32, "~!@#"],
    "time1": [
        "15:01",
        "8:05",
        "23:59:59",
        "2019年10月1日 15:01",
        "2021年10月21日 12:00:00",
        "2024-07-24 08:00~12:00",
        "08:00~12:00",
        "2024/07/24 08:00~2024/07/25 09:00",
    ],
    "date2": [
        "2019年10月1日",
        "2019年10月",
        "10月1日",
        "2019年10月1日 15:01",
        "2019-12-25 09:42",
        "2018-01-01",
        "2018/01/01",
        "2018.1.1",
        "2018-01",
        "01-01",
        "02-29",
        "2024-02-29",
        "2026-09-07~2026-09-20",
        "2026-09-07 08:00~2026-09-20 09:00",
    ],
    "amount1": ["¥100.00", "￥100", "100.5元", "0.01", "$9999999999"],
    "phone_number1": ["13800138000", "+86-0766-66888866"],
    "car_number1": ["粤A8Z888挂", "粤B12345"],
    "name1": ["张三", "TomLee", "Tom Lee", "二三四五六七八九十十", "a" * 20, "王Tom"],
    "phrase1": ["待支付", "一二三四五"],
    "brand_new12": ["whatever it is, of any length at all"],
}
REFUSED = {
    "thing1": ["二" * 21, "a\nb", "a\tb", "😀" * 10 + "a", "\ud800", "\x7f"],
    "short_thing1": ["六个字不可以"],
    "number1": ["1,000", "12元", "-5", "1.2.3", "1" * 33, "٣", "1."],
    "letter1": ["abc1", "a b", "é", "a" * 33],
    "symbol1": ["a+", "+ ", "++++++", "中"],
    "character_string10": ["中文", "a b", "a" * 33],
    "time1": [
        "24:00",
        "8:5",
        ":30",
        "15:00-16:00",
        "08:00～12:00",
        "2024-07-24 08~12",
        "2024-07-24T08:00:00Z",
        "2024-07-24",
        "1700000000",
        "2024-13-01 08:00",
        "08:00~",
        "~08:00",
        "08:00~09:00~10:00",
        "2024-07-24  08:00",
    ],
    "date2": [
        "15:01",
        "2023-02-29",
        "2018-01/01",
        "2018-1",
        "1-1",
        "2019-12-25T09:42",
        "2026-09-07～2026-09-20",
        "2026-09-07~12:00",
        "20260907",
        "0000-01-01",
        "2026年13月",
        "2026-09-07 25:00",
        "２０２６-09-07",
    ],
    "amount1": ["1.2万元", "¥", "¥1.234", "-1", "1,000", "12345678901", "￥123456789.99", "100 元"],
    "phone_number1": ["1" * 18, "电话", "call me"],
    "car_number1": ["粤A8Z8888挂", "A", "粤a12345"],
    "name1": ["user25", "用户410774", "二三四五六七八九十十一", "a" * 21, "Tom李二三四五六七八九"],
    "phrase1": ["一二三四五六", "ok", "好!", "1"],
    "brand_new12": ["line\nbreak"],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in TAKEN.items() for value in values])
def test_wechat_takes(key: str, value: str) -> None:
    assert allows(key, value) is True


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in REFUSED.items() for value in values])
def test_wechat_refuses(key: str, value: str) -> None:
    assert allows(key, value) is False


def test_an_enumeration_takes_its_exact_values() -> None:
    choices = frozenset({"客厅", "设备发生故障，导致工作异常，请及时查看"})

    assert [allows("enum_string2", value, choices=choices) for value in ("客厅", "客厅 ", "书房")] == [
        True,
        False,
        False,
    ]


def test_the_first_bad_field_in_the_order_of_the_card_is_named() -> None:
    data = {"thing2": {"value": ""}, "date1": {"value": "soon"}}

    assert complaint(data, fields=("date1", "thing2")) == "data.date1.value invalid"
    assert complaint(data, fields=("thing2", "date1")) == "data.thing2.value is empty"


def test_good_data_has_no_complaint() -> None:
    assert complaint({"thing1": {"value": "好"}}, fields=("thing1",)) is None
