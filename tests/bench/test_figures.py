"""How figures are reckoned and drawn."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from django.db import connection

from tests.bench import broadcast, pace
from tests.bench.broadcast import PLATFORM, Q2, Cell
from tests.bench.charts import Bar, draw
from tests.bench.rows import SCALES

# Whether a message on the very edge of a window is within it is for the last bit to say.
ONE = 1.01 / (pace.PACE * pace.WINDOW_SECONDS)


def evenly(*, seconds: int) -> list[float]:
    return [number / pace.PACE for number in range(seconds * pace.PACE)]


def test_an_even_pace_is_nothing_off():
    told = pace.figures(evenly(seconds=30))
    assert (told["fullest_second"], told["off_most"]) == (pytest.approx(pace.PACE, abs=1), pytest.approx(0, abs=ONE))


def test_a_burst_is_found_wherever_it_begins():
    burst = [12.345 + number / 10_000 for number in range(100)]
    assert pace.figures(sorted([*evenly(seconds=30), *burst]))["fullest_second"] == pytest.approx(
        pace.PACE + 100, abs=1
    )


def test_a_gap_shows_in_the_long_windows():
    told = pace.figures([moment for moment in evenly(seconds=40) if not 20 <= moment < 21])
    assert (told["off_most"], told["off_median"]) == (pytest.approx(0.1, abs=ONE), pytest.approx(0, abs=ONE))


def test_messages_and_connections_are_dealt_out_without_rest():
    orders = broadcast.orders(Cell(PLATFORM, 0, 4, 10, 1))
    assert [(order.first, order.messages, order.concurrency) for order in orders] == [
        (1, 3, 13),
        (4, 3, 13),
        (7, 2, 12),
        (9, 2, 12),
    ]


def test_django_q2_starts_its_workers_itself():
    [order] = broadcast.orders(Cell(Q2, 0, 2, 10, 1))
    assert (order.messages, order.concurrency) == (10, 50)


def test_the_full_run_has_every_cell_of_the_matrix():
    ours = [cell for cell in broadcast.cells(SCALES["full"]) if cell.contender == PLATFORM]
    assert sorted((cell.latency, cell.workers) for cell in ours) == [
        (latency, workers)
        for latency in (0, 30, 100)
        for workers in ((1, 2, 4) if connection.vendor == "postgresql" else (1,))
    ]


def test_a_chart_names_every_bar_and_its_figure():
    svg = draw("Speed", note="of all", groups={"0 ms": [Bar("ours & others", [1.0, 2.0], "3")]}, parts=["a", "b"])
    words = [text.text for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314
    assert words == ["Speed", "of all", "a", "b", "0 ms", "ours & others", "3"]


@pytest.mark.parametrize("parts", [[3.0, 1.0], [0.0, 0.0]])
def test_the_longest_bar_fills_the_width(parts):
    svg = ElementTree.fromstring(draw("T", note="", groups={"": [Bar("x", parts, "")]}))  # noqa: S314
    bars = [rect for rect in svg.iter("{http://www.w3.org/2000/svg}rect") if rect.get("class") != "ground"]
    assert sum(float(bar.get("width", "0")) for bar in bars) == (420 if any(parts) else 0)
