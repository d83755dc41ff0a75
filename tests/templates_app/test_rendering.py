from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from templates_app.fields import FIELD_TYPES, normalise, problem
from templates_app.models import MessageTemplate
from templates_app.rendering import (
    FieldSpec,
    Rendered,
    Wording,
    WordingError,
)

THING = FieldSpec(key="thing1", label="说明")
AMOUNT = FieldSpec(key="amount2", label="金额")
LENIENT_PHRASE = FieldSpec(key="phrase3", label="状态", strict=False)


def wording(text: str, *, key: str = "thing1", fitted: bool = False, strict: bool = True) -> Wording:
    spec = FieldSpec(key=key, label="说明", strict=strict)
    return Wording.compile(fields=[spec], texts={key: text}, fit={key} if fitted else ())


def refusal(text: str) -> str:
    with pytest.raises(WordingError) as caught:
        wording(text)
    assert caught.value.code == "wording"
    assert list(caught.value.fields) == ["thing1"]
    return caught.value.fields["thing1"]


# --- compiling -----------------------------------------------------------------------------------------------------


def test_a_wording_names_its_placeholders() -> None:
    compiled = Wording.compile(
        fields=[THING, AMOUNT],
        texts={"thing1": "{{ nickname | 朋友 }}，{{ order.no }}", "amount2": "¥{{amount}}"},
    )

    assert compiled.placeholders == frozenset({"nickname", "order.no", "amount"})


def test_every_field_needs_a_text_and_every_text_a_field() -> None:
    with pytest.raises(WordingError) as caught:
        Wording.compile(fields=[THING, AMOUNT], texts={"thing1": "好", "thing9": "x"})

    assert caught.value.fields == {
        "amount2": "Nothing is written for “金额”. Write its text.",
        "thing9": "The template has no such field.",
    }


def test_a_fixed_text_that_breaks_its_rule_is_refused() -> None:
    assert refusal("a" * 21) == problem(key="thing1", text="a" * 21)
    assert refusal(" \n ") == problem(key="thing1", text="")


def test_a_fixed_text_outside_the_allowed_values_is_refused() -> None:
    spec = FieldSpec(key="enum_string2", label="位置", choices=("客厅",))

    with pytest.raises(WordingError) as caught:
        Wording.compile(fields=[spec], texts={"enum_string2": "厨房"})

    assert caught.value.fields == {"enum_string2": problem(key="enum_string2", text="厨房", choices=("客厅",))}


def test_a_fixed_text_of_a_lenient_field_only_warns_but_may_not_be_empty() -> None:
    compiled = Wording.compile(fields=[LENIENT_PHRASE], texts={"phrase3": "OK"})

    sentence = problem(key="phrase3", text="OK")
    assert sentence is not None
    assert compiled.render({}) == Rendered(data={"phrase3": "OK"}, problems={}, warnings={"phrase3": sentence})
    with pytest.raises(WordingError):
        Wording.compile(fields=[LENIENT_PHRASE], texts={"phrase3": " "})


def test_a_fixed_text_is_fitted_where_asked() -> None:
    assert wording("a" * 30, fitted=True).render({}).data == {"thing1": "a" * 19 + "…"}


@pytest.mark.parametrize(
    "text",
    [
        "{{ nickname",
        "nickname }}",
        "{{ nickname }",
        "{{}}",
        "{{ }}",
        "{{ Nickname }}",
        "{{ 昵称 }}",
        "{{ _secret }}",
        "{{ 1st }}",
        "{{ order. }}",
        "{{ order..no }}",
        "{{ order.__class__ }}",
        "{{ items[0] }}",
        "{{ name() }}",
        "{{ nickname | }}",
        "{{ nickname | \u200b }}",
        "{{ nickname | a | b }}",
        "{{ nickname ｜ 朋友 }}",
        '{{ nickname|default:"朋友" }}',
        "{{ nickname | default : 朋友 }}",
        "{{{ nickname }}}",
        "{{ nickname }}}",
        "{{ a {{ b }} }}",
        "{% if a %}",
        "50%}",
        "｛｛ nickname ｝｝",
    ],
)
def test_unknown_syntax_is_refused_in_words(text: str) -> None:
    assert "placeholder" in refusal(text)


@pytest.mark.parametrize("text", ["{单括号}", "100% {", "a | b", "# % }"])
def test_single_braces_are_only_text(text: str) -> None:
    compiled = wording(text)

    assert compiled.placeholders == frozenset()
    assert compiled.render({}).data == {"thing1": text}


# --- rendering -----------------------------------------------------------------------------------------------------


def test_each_field_is_written_in_the_order_of_the_card() -> None:
    compiled = Wording.compile(
        fields=[AMOUNT, THING, LENIENT_PHRASE],
        texts={"phrase3": "配送中", "thing1": "{{ nickname }}，你好", "amount2": "¥{{ amount }}"},
    )

    rendered = compiled.render({"nickname": " 小\n明 ", "amount": Decimal("12.50")})

    assert rendered == Rendered(
        data={"amount2": "¥12.50", "thing1": "小 明 ，你好", "phrase3": "配送中"}, problems={}, warnings={}
    )
    assert list(rendered.data) == ["amount2", "thing1", "phrase3"]


@pytest.mark.parametrize("values", [{}, {"nickname": None}, {"nickname": ""}, {"nickname": " \u200b\u3164"}])
def test_a_missing_value_is_replaced_by_the_other_words(values: dict[str, object]) -> None:
    assert wording("{{ nickname |  亲爱的 朋友  }}你好").render(values).data == {"thing1": "亲爱的 朋友你好"}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("values", [{}, {"nickname": None}, {"nickname": "\n"}])
def test_a_missing_value_without_other_words_is_a_problem(values: dict[str, object], strict: bool) -> None:
    rendered = wording("{{ nickname }}你好", strict=strict).render(values)

    assert rendered == Rendered(
        data={"thing1": "你好"},
        problems={
            "thing1": "There is no “nickname” for this person. Give the placeholder other words: {{ nickname | … }}."
        },
        warnings={},
    )


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("number1", 0, "0"),
        ("number1", 12, "12"),
        ("number1", 0.65, "0.65"),
        ("number1", 1e21, "1" + "0" * 21),
        ("number1", Decimal("1E+3"), "1000"),
        ("number1", Decimal("12.50"), "12.50"),
        ("date1", datetime(2026, 11, 23, 6, 5, 9, tzinfo=UTC), "2026年11月23日 14:05"),
        ("date1", date(2026, 1, 2), "2026年1月2日"),
        ("time1", "2021年10月21日 12:00:00", "2021年10月21日 12:00"),
        ("thing1", MessageTemplate.State.LIVE, "live"),
    ],
)
def test_a_value_is_written_as_its_field_wants_it(key: str, value: object, text: str) -> None:
    assert wording("{{ value }}", key=key).render({"value": value}) == Rendered(
        data={key: text}, problems={}, warnings={}
    )


@pytest.mark.parametrize(
    "value",
    [
        True,
        ["a"],
        {"no": "1"},
        b"bytes",
        float("nan"),
        float("inf"),
        Decimal("1E+999999"),
        10**5000,
        datetime(2026, 1, 1),
        object(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_is_no_text_is_a_problem_even_beside_other_words(value: object) -> None:
    rendered = wording("{{ value | 朋友 }}你好").render({"value": value})

    assert rendered == Rendered(
        data={"thing1": "你好"},
        problems={
            "thing1": "“value” is neither a text, a number, a date nor a moment with a time zone, "
            "so it cannot be written."
        },
        warnings={},
    )


def test_rendering_reaches_nothing_of_a_value() -> None:
    class Trap:
        def __str__(self) -> str:
            raise AssertionError("the value was asked for its text")

        __repr__ = __str__

        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"{name} was reached")

    rendered = wording("{{ order }}{{ order.no }}").render({"order": Trap()})

    assert list(rendered.problems) == ["thing1"]


def test_a_dotted_name_is_one_key_and_not_a_way_into_a_value() -> None:
    compiled = wording("{{ order.no | 无 }}")

    assert compiled.render({"order.no": "A1", "order": {"no": "B2"}}).data == {"thing1": "A1"}
    assert compiled.render({"order": {"no": "B2"}}).data == {"thing1": "无"}


def test_a_placeholder_inside_a_value_is_only_text() -> None:
    rendered = wording("{{ nickname }}").render({"nickname": "{{ secret }}", "secret": "42"})

    assert rendered.data == {"thing1": "{{ secret }}"}


def test_a_text_that_got_too_long_is_a_problem_or_is_fitted() -> None:
    values = {"nickname": "很" * 30}

    too_long = wording("{{ nickname }}").render(values)
    fitted = wording("{{ nickname }}", fitted=True).render(values)

    assert too_long.problems == {"thing1": problem(key="thing1", text="很" * 30)}
    assert fitted == Rendered(data={"thing1": "很" * 19 + "…"}, problems={}, warnings={})


def test_a_broken_rule_of_a_lenient_field_is_a_warning() -> None:
    sentence = problem(key="phrase1", text="OK")
    assert sentence is not None

    rendered = wording("{{ state }}", key="phrase1", strict=False).render({"state": "OK"})

    assert rendered == Rendered(data={"phrase1": "OK"}, problems={}, warnings={"phrase1": sentence})


def test_one_rendering_does_not_colour_the_next() -> None:
    compiled = wording("{{ nickname }}，你好")

    first = compiled.render({"nickname": "甲"})
    first.problems["x"] = first.warnings["x"] = first.data["x"] = "changed"
    second = compiled.render({})

    assert first.data == {"thing1": "甲，你好", "x": "changed"}
    assert second.data == {"thing1": "，你好"}
    assert (list(second.problems), second.warnings) == (["thing1"], {})


any_value = st.one_of(
    st.text(max_size=30),
    st.text(st.sampled_from("{}%| \n\u200d👨👩0123456789:年月日~～元¥"), max_size=30),
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.dates(),
    st.datetimes(timezones=st.sampled_from([UTC]), min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)),
    st.lists(st.text(), max_size=2),
)


@given(
    prefix=st.sampled_from([*FIELD_TYPES, "brand_new"]),
    text=st.sampled_from(["{{ a }}", "{{ a | 好 }}{{ b }}", "¥{{ a }}", "你好{{ a }}\n{{ b | 1 }}", "{{ a }}~{{ b }}"]),
    a=any_value,
    b=any_value,
    fitted=st.booleans(),
)
def test_a_field_rendered_without_a_problem_keeps_its_rule(
    *, prefix: str, text: str, a: object, b: object, fitted: bool
) -> None:
    key = f"{prefix}1"

    rendered = wording(text, key=key, fitted=fitted).render({"a": a, "b": b})

    assert list(rendered.data) == [key]
    assert type(rendered.data[key]) is str
    assert normalise(key=key, text=rendered.data[key]) == rendered.data[key]
    if key not in rendered.problems:
        assert problem(key=key, text=rendered.data[key]) is None


@given(values=st.dictionaries(st.sampled_from(["a", "b", "c.d"]), st.text(max_size=5).filter(lambda s: "{" not in s)))
def test_no_placeholder_survives(values: dict[str, str]) -> None:
    rendered = wording("{{a}}{{ b | x }}-{{ c.d }}").render(values)

    assert "{{" not in rendered.data["thing1"]


names = st.text(st.sampled_from("abz"), min_size=1, max_size=3)
plain = st.text(st.characters(categories=["Ll", "Lo"]), min_size=1, max_size=4)


@given(parts=st.lists(st.tuples(plain, names, plain), min_size=1, max_size=3), values=st.dictionaries(names, plain))
def test_every_placeholder_becomes_its_value_or_its_other_words(
    parts: list[tuple[str, str, str]], values: dict[str, str]
) -> None:
    text = "".join(f"{before}{{{{ {name} | {other} }}}}" for before, name, other in parts)

    compiled = wording(text, key="brand_new1")

    assert compiled.placeholders == {name for _before, name, _other in parts}
    expected = "".join(before + values.get(name, other) for before, name, other in parts)
    assert compiled.render(values).data == {"brand_new1": normalise(key="brand_new1", text=expected)}
