from __future__ import annotations

import pytest

from templates_app.fields import (
    CHARACTERS,
    DIGITS,
    FIELD_TYPES,
    count_characters,
    field_type,
    problem,
)

FAMILY = "👨‍👩‍👧‍👦"
KEYS = [f"{prefix}1" for prefix in FIELD_TYPES] + ["brand_new7"]


# --- the types -----------------------------------------------------------------------------------------------------


def test_the_table_holds_wechats_types() -> None:
    limits = {prefix: row.limit for prefix, row in FIELD_TYPES.items()}

    assert limits == {
        "thing": 20,
        "short_thing": 5,
        "number": 32,
        "letter": 32,
        "symbol": 5,
        "character_string": 32,
        "time": None,
        "date": None,
        "amount": 10,
        "phone_number": 17,
        "car_number": 8,
        "name": 20,
        "phrase": 5,
        "enum_string": None,
        "const": None,
        "site": None,
    }


def test_numbers_and_amounts_count_digits_and_all_others_characters() -> None:
    by_digits = {prefix for prefix, row in FIELD_TYPES.items() if row.counted is DIGITS}

    assert by_digits == {"number", "amount"}
    assert {row.counted for prefix, row in FIELD_TYPES.items() if prefix not in by_digits} == {CHARACTERS}


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        ("thing1", "thing"),
        ("thing10", "thing"),
        ("name01", "name"),
        ("character_string10", "character_string"),
        ("short_thing1", "short_thing"),
        ("enum_string2", "enum_string"),
        ("brand_new3", ""),
        ("", ""),
    ],
)
def test_a_key_is_its_prefix_and_a_number(key: str, prefix: str) -> None:
    assert field_type(key).prefix == prefix


def test_every_type_has_a_label_of_its_own() -> None:
    labels = {str(row.label) for row in FIELD_TYPES.values()}

    assert len(labels) == len(FIELD_TYPES)


@pytest.mark.parametrize(("text", "count"), [("", 0), ("abc", 3), ("汉字…", 3), ("😀", 2), (FAMILY, 11), ("𬭚", 2)])
def test_characters_beyond_the_basic_plane_count_twice(text: str, count: int) -> None:
    assert count_characters(text) == count


# --- what WeChat takes and refuses ---------------------------------------------------------------------------------

ACCEPTED = [
    ("thing1", "一二三四五六七八九十一二三四五六七八九十"),
    ("thing1", "a" * 19 + "…"),
    ("thing1", "汉字 123, mixed！"),
    ("thing1", "😀" * 10),
    ("short_thing1", "已生成完毕"),
    ("number1", "12"),
    ("number1", "12.50"),
    ("number1", "339208499"),
    ("number1", "9" * 32),
    ("number1", "9" * 30 + ".99"),
    ("letter1", "a" * 32),
    ("symbol1", "#@!_$"),
    ("symbol1", "。"),
    ("character_string1", "S11-001"),
    ("character_string1", "427578039669760"),
    ("character_string1", "x" * 32),
    ("time1", "15:01"),
    ("time1", "0:00"),
    ("time1", "23:59:59"),
    ("time1", "2024-07-24 08:00~12:00"),
    ("time1", "2019年10月1日 15:01"),
    ("time1", "2021年10月21日 12:00:00"),
    ("time1", "15:00~16:00"),
    ("date1", "2019-12-25 09:42"),
    ("date1", "2019年10月1日"),
    ("date1", "2019年10月1日 15:01"),
    ("date1", "2026-09-07~2026-09-20"),
    ("date1", "2026年11月23日 08:00~12:00"),
    ("date1", "2018-01-01"),
    ("date1", "2018/01/01"),
    ("date1", "2018.01.01"),
    ("date1", "2018-01"),
    ("date1", "01-01"),
    ("date1", "2019年10月"),
    ("date1", "10月1日"),
    ("date1", "02-29"),
    ("date1", "2028-02-29"),
    ("amount1", "¥100.00"),
    ("amount1", "￥100"),
    ("amount1", "100.5元"),
    ("amount1", "$12345678.90"),
    ("phone_number1", "13800138000"),
    ("phone_number1", "+86-0766-66888866"),
    ("car_number1", "粤A8Z888挂"),
    ("car_number1", "粤AD12345"),
    ("name1", "张三"),
    ("name1", "TomLee"),
    ("name1", "阿卜杜拉·买买提"),
    ("name1", "A" * 20),
    ("name1", "汉" * 10),
    ("name1", "Tom张"),
    ("phrase1", "待支付"),
    ("phrase1", "配送中"),
    ("enum_string1", "客厅"),
    ("const1", "任何文字"),
    ("site01", "TIT创意园"),
    ("brand_new7", "x" * 500),
]

REFUSED = [
    *((key, text) for key in KEYS for text in ("", "   ", "\u3000", "a\nb", "a\tb", "\u200b")),
    ("thing1", "一二三四五六七八九十一二三四五六七八九十一"),
    ("thing1", "a" * 21),
    ("thing1", "😀" * 10 + "a"),
    ("thing1", "broken \ud800"),
    ("short_thing1", "已生成完毕了"),
    ("number1", "1,000"),
    ("number1", "12元"),
    ("number1", "-1"),
    ("number1", "1."),
    ("number1", "٣"),
    ("number1", "9" * 33),
    ("number1", "9" * 31 + ".99"),
    ("letter1", "abc1"),
    ("letter1", "a b"),
    ("letter1", "a" * 33),
    ("symbol1", "#a"),
    ("symbol1", "# #"),
    ("symbol1", "######"),
    ("character_string1", "订单1"),
    ("character_string1", "S11 001"),
    ("character_string1", "x" * 33),
    ("time1", "08:00～12:00"),
    ("time1", "15:00-16:00"),
    ("time1", "2024-07-24 08~12"),
    ("time1", ":15:01"),
    ("time1", "1721793600"),
    ("time1", "Wed Jul 24 2024 08:00:00 GMT+0800"),
    ("time1", "2024-07-24T08:00:00Z"),
    ("time1", "24:00"),
    ("time1", "12:60"),
    ("time1", "12:00:60"),
    ("time1", "2024-07-24"),
    ("time1", "08:00~"),
    ("time1", "08:00~09:00~10:00"),
    ("time1", "2024-02-30 08:00~12:00"),
    ("time1", "08:00~25:00"),
    ("date1", "2026-02-30"),
    ("date1", "2026年2月30日"),
    ("date1", "2026-02-29"),
    ("date1", "02-30"),
    ("date1", "2026-13"),
    ("date1", "2026-00"),
    ("date1", "0000-01"),
    ("date1", "0000-01-01"),
    ("date1", "2026-01/02"),
    ("date1", "2026-09-07～2026-09-20"),
    ("date1", "2026-09-07~2026-09-31"),
    ("date1", "2026-09-31~2026-10-07"),
    ("date1", "2019-12-25T09:42"),
    ("date1", "2019-12-25 "),
    ("date1", "2019-12-25 9"),
    ("date1", "15:01"),
    ("date1", "2019年10月 15:01"),
    ("date1", "明天"),
    ("amount1", "1.2万元"),
    ("amount1", "¥1,000"),
    ("amount1", "¥1.234"),
    ("amount1", "¥¥1"),
    ("amount1", "12345678901"),
    ("amount1", "¥123456789.00"),
    ("amount1", "元"),
    ("phone_number1", "+86-0766-668888661"),
    ("phone_number1", "电话13800138000"),
    ("car_number1", "粤A8Z8888挂"),
    ("car_number1", "粤a8z888"),
    ("car_number1", "粤"),
    ("name1", "user25"),
    ("name1", "用户410774"),
    ("name1", "汉" * 11),
    ("name1", "TomTomTomT张"),
    ("name1", "A" * 21),
    ("name1", "张*"),
    ("phrase1", "待支付1"),
    ("phrase1", "待支付!"),
    ("phrase1", "ok"),
    ("phrase1", "一二三四五六"),
]


@pytest.mark.parametrize(("key", "text"), ACCEPTED)
def test_a_text_that_keeps_the_rule_has_no_problem(key: str, text: str) -> None:
    assert problem(key=key, text=text) is None


@pytest.mark.parametrize(("key", "text"), REFUSED)
def test_a_text_that_breaks_the_rule_has_a_problem(key: str, text: str) -> None:
    sentence = problem(key=key, text=text)

    assert isinstance(sentence, str)
    assert sentence.endswith((".", ")"))


@pytest.mark.parametrize(
    ("key", "text", "sentence"),
    [
        (
            "thing1",
            "a" * 23,
            "It has 23 characters and WeChat takes at most 20 (an emoji counts as two). Shorten it.",
        ),
        (
            "name1",
            "汉" * 11,
            "It has 11 characters and WeChat takes at most 10 (an emoji counts as two). Shorten it.",
        ),
        ("amount1", "¥12345678.901", "It has 11 digits and WeChat takes at most 10. Use a shorter number."),
        ("thing1", " ", "It is empty, and WeChat refuses a message with an empty field. Write something."),
        ("phrase1", "ok", "Only Chinese characters, without punctuation, digits or letters, e.g. 配送中."),
    ],
)
def test_the_sentence_tells_the_limit_the_count_and_what_to_do(key: str, text: str, sentence: str) -> None:
    assert problem(key=key, text=text) == sentence


def test_an_enumeration_takes_exactly_the_values_of_its_list() -> None:
    rooms = ("客厅", "餐厅", "设备故障，请查看")

    assert [problem(key="enum_string2", text=room, choices=rooms) for room in rooms] == [None, None, None]
    assert problem(key="enum_string2", text="厨房", choices=rooms) == (
        "It is not one of the values WeChat allows here. Choose one of: 客厅、餐厅、设备故障，请查看"
    )


def test_a_long_list_of_allowed_values_is_not_told_whole() -> None:
    sentence = problem(key="enum_string2", text="x", choices=[str(number) for number in range(23)])

    assert sentence == "It is not one of the values WeChat allows here. Choose one of: 0、1、2、3、4、5、6、7 …"
