"""Wilson's interval."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify_platform.insights.intervals import share


@pytest.mark.parametrize(
    ("part", "of", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_the_interval_is_the_one_in_the_tables(part: int, of: int, low: float, high: float) -> None:
    found = share(part, of=of)
    assert found is not None
    assert (found.value, found.of) == (part / of, of)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_of_nothing_there_is_no_share() -> None:
    assert share(0, of=0) is None


@given(st.integers(min_value=1, max_value=10_000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_a_share_lies_in_its_interval_and_the_interval_between_none_and_all(pair: tuple[int, int]) -> None:
    found = share(pair[0], of=pair[1])
    assert found is not None
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1
