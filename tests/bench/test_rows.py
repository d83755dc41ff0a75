"""That the benchmark runs; what it measures is for people to read."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from django.db import connection

from tests.bench.databases import ROOT
from tests.bench.intake import BARE_DOORS, PLATFORM_DOORS
from tests.bench.listed import ROWS
from tests.bench.plans import DOORS as PLAN_DOORS
from tests.bench.sent_events import SETTLE_DOORS, STORE_DOORS
from tests.bench.stopwatches import Stopwatches, watching

# Only the row's own processes talk to a database.
pytestmark = pytest.mark.xdist_group("processes")


@pytest.fixture(scope="module", params=sorted(ROWS))
def measured(request, tmp_path_factory):
    """A row's name and its raw figures, measured at the smallest scale."""
    out = tmp_path_factory.mktemp("figures")
    command = [sys.executable, "-m", "tests.bench", request.param, "--on", connection.vendor, "--scale", "tiny"]
    done = subprocess.run([*command, "--out", str(out)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return request.param, done.stdout, json.loads((out / f"{request.param}-{connection.vendor}.json").read_text())


def test_a_row_tells_every_goal_and_whether_it_is_met(measured):
    name, said, raw = measured
    goals = ROWS[name].goals(raw)
    assert [line.strip().startswith(("met", "NOT MET")) for line in said.splitlines()] == [
        False,
        *[True for _ in goals],
    ]


def test_a_row_has_something_in_every_line_of_its_tables(measured):
    name, _said, raw = measured
    headings = {tuple(cells) for cells in ROWS[name].table(raw).values()}
    assert len(headings) == 1
    assert [watched for watched, layers in ROWS[name].profiles(raw).items() if not layers] == []


@pytest.mark.parametrize("doors", [PLATFORM_DOORS, BARE_DOORS, PLAN_DOORS, STORE_DOORS, SETTLE_DOORS])
def test_every_door_is_there_and_left_as_it_was(doors):
    with watching(doors) as first:
        pass
    with watching(doors) as second:
        pass
    assert [first.per_call_ms(1), second.per_call_ms(1)] == [{}, {}]


def test_every_moment_belongs_to_the_innermost_layer():
    watches = Stopwatches(iter([0.0, 1.0, 3.0, 6.0, 10.0]).__next__)
    watches.enter("outer")
    watches.enter("inner")
    watches.leave()
    watches.leave()
    assert watches.per_call_ms(1) == {"outer": 6000.0, "inner": 3000.0}
