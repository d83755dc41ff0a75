"""The key a card carries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify_platform.delivery import keys


@given(st.integers(min_value=1, max_value=2**63 - 1))
def test_a_key_names_its_delivery(number):
    assert keys.read(keys.make(number)) == number


@given(st.text(max_size=40))
def test_a_key_we_did_not_make_names_nothing(text):
    assert keys.read(text) is None


@pytest.mark.parametrize(
    "number",
    [
        "A", "01", "+a", "-a", " a", "a ", "1_0", "0xa", "", "0", "ａ", "١", "a\n",
        "f" * 4000, "8" + "0" * 15, "1" + "0" * 16,
    ],
)  # fmt: skip
def test_a_number_spelled_as_make_never_does_names_nothing(number):
    for value in (0, 1, 10, 16, 2**63, 2**64):
        assert keys.read(f"{number}.{keys.make(value).partition('.')[2]}") is None


@pytest.mark.parametrize("key", ["1.\ud800", "\ud800.\udfff", "1\0", "1", ".", "1.", "1.é", "1." + "x" * 100_000])
def test_no_text_makes_reading_raise(key):
    assert keys.read(key) is None


def test_a_key_with_something_behind_it_names_nothing():
    for tail in ("=", "\n", ".", "A"):
        assert keys.read(keys.make(7) + tail) is None


def test_a_key_cannot_be_moved_to_another_delivery():
    tag = keys.make(1).partition(".")[2]

    assert keys.read(f"2.{tag}") is None


@pytest.mark.parametrize(("page", "start"), [("pages/a", "pages/a?nk="), ("pages/a?id=1", "pages/a?id=1&nk=")])
def test_the_key_joins_the_page(page, start):
    assert keys.add_to(page, delivery_id=7) == start + keys.make(7)


def test_a_card_that_opens_nothing_carries_no_key():
    assert keys.add_to("", delivery_id=7) == ""
