"""What may be kept as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify_platform.core.documents import check_storable

TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=5)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
GOOD = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=8)
ODD = st.sampled_from(["\x00", "a\ud800", "\udfff", float("inf"), float("-inf"), float("nan")])


def around(inner: Any) -> Any:
    return st.lists(GOOD, max_size=2).map(lambda good: [*good, inner]) | TEXTS.map(lambda key: {key: inner})


@given(value=GOOD)
def test_every_document_in_utf_8_is_good(value: Any) -> None:
    check_storable(value)

    assert json.loads(json.dumps(value).encode()) == value


@given(data=st.data(), odd=ODD)
def test_one_odd_value_is_found_wherever_it_hides(data: st.DataObject, odd: Any) -> None:
    value = data.draw(around(odd))
    for _ in range(data.draw(st.integers(0, 3))):
        value = data.draw(around(value))

    with pytest.raises(ValueError, match="not a"):
        check_storable(value)


@pytest.mark.parametrize("key", ["\x00", "\ud83d"])
def test_keys_are_texts_too(key: str) -> None:
    with pytest.raises(ValueError, match="not a text"):
        check_storable({"a": {key: 1}})


@pytest.mark.parametrize(("levels", "good"), [(3, True), (4, False)])
def test_depth_is_bounded(levels: int, good: bool) -> None:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}

    if good:
        check_storable(value, depth=3)
    else:
        with pytest.raises(ValueError, match="too deep"):
            check_storable(value, depth=3)
