"""Telling the figures: on the terminal, and in the document, which is made of the raw files alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.databases import ROOT, VENDORS
from tests.bench.listed import ROWS
from tests.bench.rows import Raw, Row, Table

DOCUMENT = ROOT / "docs" / "benchmarks.md"
FOLDER = ROOT / "docs" / "benchmarks"
NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
# What "goes" into a layer that takes less than this is noise.
LEAST_MS = 0.0005


def keep(name: str, *, vendor: str, raw: Mapping[str, Any], folder: Path = FOLDER) -> None:
    """Write the raw figures down."""
    folder.mkdir(exist_ok=True)
    text = json.dumps(raw, indent=1, ensure_ascii=False)
    # One round a line: a diff shows figures, not brackets.
    text = re.sub(r"\{[^{}\[\]]*\}|\[[^{}\[\]]*\]", lambda found: " ".join(found[0].split()), text)
    (folder / f"{name}-{vendor}.json").write_text(text + "\n")


def tell(name: str, *, vendor: str, raw: Raw) -> str:
    """Return the lines for the terminal."""
    lines = [f"{ROWS[name].title}, {NAMES[vendor]} ({facts(raw)})"]
    for goal in ROWS[name].goals(raw):
        lines.append(f"  {'met    ' if goal.is_met else 'NOT MET'}  {goal.promise}: {goal.figure}")
    return "\n".join(lines)


def facts(raw: Raw) -> str:
    """Return the machine in one line."""
    told = raw["facts"]
    return (
        f"{told['cpu']}, {told['cores']} cores, Linux {told['kernel']}, Python {told['python']}, "
        f"Django {told['django']}, {told['database']}, load before {told['load']}"
    )


def rewrite() -> None:
    """Put the newest raw figures into the document."""
    text = DOCUMENT.read_text()
    for name, row in ROWS.items():
        raws = {vendor: json.loads(path.read_text()) for vendor in VENDORS if (path := _file(name, vendor)).exists()}
        before, after = f"<!-- figures of {name} -->\n", "\n<!-- end -->"
        head, _mark, rest = text.partition(before)
        tables = "\n\n".join([*_block(row, raws), *_charts(name, row, raws)]) if raws else "Not measured yet."
        text = f"{head}{before}\n{tables}\n{after}{rest.partition(after)[2]}"
    DOCUMENT.write_text(text)


def _file(name: str, vendor: str) -> Path:
    return FOLDER / f"{name}-{vendor}.json"


def _block(row: Row, raws: Mapping[str, Raw]) -> Iterable[str]:
    goals = [(vendor, goal) for vendor, raw in raws.items() for goal in row.goals(raw)]
    yield _markdown(
        ["goal", "database", "figure", ""],
        [[goal.promise, NAMES[vendor], goal.figure, "met" if goal.is_met else "**not met**"] for vendor, goal in goals],
    )
    figures: Table = {
        f"{line}, {NAMES[vendor]}": cells for vendor, raw in raws.items() for line, cells in row.table(raw).items()
    }
    headings = list(next(iter(figures.values())))
    yield _markdown(["", *headings], [[line, *cells.values()] for line, cells in figures.items()])
    if any(row.profiles(raw) for raw in raws.values()):
        yield "Where the time goes, in milliseconds:"
        yield _profile_table(row, raws)
    yield "\n".join(f"- {NAMES[vendor]}: {facts(raw)}." for vendor, raw in raws.items())


def _charts(name: str, row: Row, raws: Mapping[str, Raw]) -> Iterable[str]:
    """Draw the charts into files and name them."""
    for vendor, raw in raws.items():
        for chart, svg in row.charts(raw, NAMES[vendor]).items():
            path = FOLDER / f"{name}-{chart}-{vendor}.svg"
            path.write_text(svg)
            yield f"![{chart}, {NAMES[vendor]}]({FOLDER.name}/{path.name})"


def _profile_table(row: Row, raws: Mapping[str, Raw]) -> str:
    columns = {
        f"{watched}, {NAMES[vendor]}": layers
        for vendor, raw in raws.items()
        for watched, layers in row.profiles(raw).items()
    }
    names = dict.fromkeys(layer for layers in columns.values() for layer in layers)
    heaviest = sorted(names, key=lambda layer: -max(layers.get(layer, 0) for layers in columns.values()))
    lines = [[layer, *(_ms(layers.get(layer, 0)) for layers in columns.values())] for layer in heaviest]
    total = ["**together**", *(_ms(sum(layers.values())) for layers in columns.values())]
    return _markdown(["layer", *columns], [*lines, total])


def _ms(value: float) -> str:
    return f"{value:.3f}" if value >= LEAST_MS else ""


def _markdown(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [headings, ["---", *["---:"] * (len(headings) - 1)], *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
