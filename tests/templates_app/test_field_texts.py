from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from templates_app.fields import (
    FIELD_TYPES,
    count_characters,
    field_type,
    fit,
    format_moment,
    is_blank,
    normalise,
    problem,
)

FAMILY = "👨‍👩‍👧‍👦"
SCOTLAND = "🏴󠁧󠁢󠁳󠁣󠁴󠁿"
KEYS = [f"{prefix}1" for prefix in FIELD_TYPES] + ["brand_new7"]
FITTED_KEYS = ["thing1", "short_thing1", "name1", "phrase1"]

any_key = st.sampled_from(KEYS)
# Any code point, with the interesting ones often enough to stand beside each other.
any_text = st.text(
    st.one_of(
        st.characters(exclude_categories=()),
        st.sampled_from(
            "🏴👨👩👧🏻️⃣é़́कمᠠ〜～：０９５￥年月日~-/.: \t\n\r\x00\x1c\x85"
            "\u2028\u3000\u180e\u200b\u200c\u200d\ufe0f\u00ad\U000e0067\U000e007f"
        ),
        st.sampled_from("0123456789"),
    ),
    max_size=40,
)


# --- normalising ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "text", "tidy"),
    [
        ("thing1", "  你好  ", "你好"),
        ("thing1", "一\r\n\t二", "一 二"),
        ("thing1", "一 \n 二", "一 二"),
        ("thing1", "一  二\u3000三", "一  二\u3000三"),
        ("thing1", "a\x00b\x07c\x7f", "abc"),
        ("thing1", "\ufeff你\u200b好\u202e\u00ad", "你好"),
        ("thing1", "a\u200db", "ab"),
        ("thing1", "broken \ud800", "broken"),
        ("thing1", f"{FAMILY}❤️‍🔥🏳️‍🌈👩🏽‍⚕️{SCOTLAND}", f"{FAMILY}❤️‍🔥🏳️‍🌈👩🏽‍⚕️{SCOTLAND}"),
        ("thing1", "🏴\U000e0067\U000e0062", "🏴"),
        ("thing1", "می\u200cخواهم", "می\u200cخواهم"),
        ("thing1", "10：00～12：00", "10：00～12：00"),
        ("time1", "08:00～12:00", "08:00~12:00"),
        ("time1", "08:00 ～ 12:00", "08:00~12:00"),
        ("time1", "０８：００〜１２：００", "08:00~12:00"),
        ("time1", "12:00:59", "12:00"),
        ("time1", "12:00:59~13:00:01", "12:00~13:00"),
        ("time1", "12:00:60", "12:00:60"),
        ("time1", "12:00:00:00", "12:00:00:00"),
        ("date1", "2020-01-18 16:18:49.0", "2020-01-18 16:18"),
        ("date1", "2026年11月23日\u300014：05：59", "2026年11月23日 14:05"),
        ("date1", "２０２６／１１／２３", "2026/11/23"),
        ("number1", "１２．５", "12.5"),
        ("amount1", "￥１００", "￥100"),
        ("phone_number1", "＋８６－１３８", "+86-138"),
        ("character_string1", "Ｓ１１", "Ｓ１１"),
    ],
)
def test_a_text_is_normalised(key: str, text: str, tidy: str) -> None:
    assert normalise(key=key, text=text) == tidy


@given(key=any_key, text=any_text)
def test_normalising_twice_changes_nothing_more(key: str, text: str) -> None:
    once = normalise(key=key, text=text)

    assert normalise(key=key, text=once) == once


@given(key=any_key, text=any_text)
def test_a_normalised_text_can_be_sent_and_holds_nothing_invisible(key: str, text: str) -> None:
    tidy = normalise(key=key, text=text)

    assert tidy.encode().decode() == tidy
    assert tidy == tidy.strip()
    assert regex.findall(r"[\p{Cc}\p{Cs}\u2028\u2029\u200B\uFEFF\u00AD\u202A-\u202E]", tidy) == []


@given(key=any_key, text=any_text)
def test_normalising_leaves_no_control_character_to_complain_about(key: str, text: str) -> None:
    sentence = problem(key=key, text=normalise(key=key, text=text))

    assert sentence != "It holds a line break or another control character. Write it in one line."


@pytest.mark.parametrize(
    ("text", "blank"),
    [
        ("", True),
        (" \n\u3000", True),
        ("\u200b\u2060", True),
        ("\u3164", True),
        ("⠀", True),
        (".", False),
        ("🏴", False),
    ],
)
def test_a_text_nobody_can_see_is_blank(text: str, blank: bool) -> None:
    assert is_blank(text) is blank


# --- moments -------------------------------------------------------------------------------------------------------


def test_a_moment_is_written_in_shanghai_time_without_seconds() -> None:
    moment = datetime(2026, 11, 23, 6, 5, 59, 999, tzinfo=UTC)

    assert format_moment(key="time1", moment=moment) == "2026年11月23日 14:05"
    assert format_moment(key="date1", moment=moment) == "2026年11月23日 14:05"
    assert format_moment(key="thing1", moment=moment) == "2026年11月23日 14:05"
    assert format_moment(key="character_string1", moment=moment) == "2026-11-23T14:05"


def test_a_moment_may_fall_on_another_day_in_another_zone() -> None:
    moment = datetime(2026, 1, 2, 17, 0, tzinfo=UTC)

    assert format_moment(key="date1", moment=moment) == "2026年1月3日 01:00"
    assert format_moment(key="date1", moment=moment, zone=ZoneInfo("America/New_York")) == "2026年1月2日 12:00"


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a time zone"):
        format_moment(key="date1", moment=datetime(2026, 1, 1))


@given(
    key=st.sampled_from(["time1", "date1", "thing1", "character_string1"]),
    moment=st.datetimes(min_value=datetime(1000, 1, 2), max_value=datetime(9999, 12, 30)),
)
def test_every_moment_is_taken_as_it_is_written(key: str, moment: datetime) -> None:
    text = format_moment(key=key, moment=moment.replace(tzinfo=UTC))

    assert normalise(key=key, text=text) == text
    assert problem(key=key, text=text) is None


# --- fitting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "text", "fitted"),
    [
        ("thing1", "a" * 20, "a" * 20),
        ("thing1", "a" * 21, "a" * 19 + "…"),
        ("thing1", "一二三四五六七八九十 一二三四五六七八九十", "一二三四五六七八九十 一二三四五六七八…"),
        ("thing1", "a" * 18 + " bcd", "a" * 18 + "…"),
        ("thing1", "a" * 10 + FAMILY, "a" * 10 + "…"),
        ("thing1", "a" * 8 + FAMILY + "bc", "a" * 8 + FAMILY + "…"),
        ("thing1", "e\u0301" * 11, "e\u0301" * 9 + "…"),
        ("short_thing1", "已经生成完毕", "已经生成…"),
        ("short_thing1", FAMILY, "…"),
        ("name1", "汉" * 11, "汉" * 10),
        ("name1", "A" * 22, "A" * 20),
        ("phrase1", "等待卖家发货", "等待卖家发"),
        ("character_string1", "x" * 40, "x" * 40),
        ("number1", "9" * 40, "9" * 40),
        ("amount1", "9" * 40, "9" * 40),
        ("enum_string1", "x" * 99, "x" * 99),
        ("brand_new1", "x" * 99, "x" * 99),
    ],
)
def test_a_text_is_cut_to_its_limit(key: str, text: str, fitted: str) -> None:
    assert fit(key=key, text=text) == fitted


@given(key=st.sampled_from(FITTED_KEYS), text=st.text(max_size=40) | any_text)
def test_a_fitted_text_is_within_the_limit_and_begins_as_the_text_does(key: str, text: str) -> None:
    fitted = fit(key=key, text=text)

    limit = field_type(key).limit_for(fitted)
    assert limit is not None
    assert count_characters(fitted) <= limit
    if fitted != text:
        kept = regex.findall(r"\X", fitted.removesuffix("…"))
        assert kept == regex.findall(r"\X", text)[: len(kept)]


@given(key=any_key, text=any_text)
def test_fitting_leaves_a_text_without_a_problem_alone(key: str, text: str) -> None:
    tidy = normalise(key=key, text=text)

    if problem(key=key, text=tidy) is None:
        assert fit(key=key, text=tidy) == tidy


@given(key=any_key, text=any_text)
def test_fitting_twice_changes_nothing_more_and_keeps_the_text_tidy(key: str, text: str) -> None:
    fitted = fit(key=key, text=normalise(key=key, text=text))

    assert fit(key=key, text=fitted) == fitted
    assert normalise(key=key, text=fitted) == fitted
