"""The rules of Prometheus, the figures and the operations guide speak of the same things."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.architecture.tree import ROOT

GUIDES = ("docs/operations.md", "docs/operations.zh-CN.md")
RULES = [
    rule
    for group in yaml.safe_load((ROOT / "docs/prometheus/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
TOLD = set(re.findall(r'_(?:gauge|counter)\(\s*"(\w+)"', (ROOT / "notify_platform/console/figures.py").read_text()))


def headings(path: str) -> list[tuple[int, str]]:
    text = FENCE.sub("", (ROOT / path).read_text())
    return [(len(marks), words) for marks, words in re.findall(r"^(#+) (.+)$", text, re.MULTILINE)]


def test_every_figure_a_rule_asks_for_is_told() -> None:
    asked = {
        name for rule in RULES for name in re.findall(r"notify_(\w+)", rule["expr"].replace('"notify_platform"', ""))
    }
    assert {name.removesuffix("_total") for name in asked} <= TOLD
    assert len(TOLD) >= 30


@pytest.mark.parametrize("path", GUIDES)
def test_every_alert_has_its_section(path: str) -> None:
    sections = [words for _level, words in headings(path) if words.startswith("Notify")]
    assert sections == list(dict.fromkeys(sections))
    assert sorted(sections) == sorted(rule["alert"] for rule in RULES)
    assert [rule["annotations"]["section"] for rule in RULES] == [rule["alert"] for rule in RULES]


def test_both_guides_have_the_same_build() -> None:
    english, chinese = (headings(path) for path in GUIDES)
    assert [level for level, _words in english] == [level for level, _words in chinese]


@pytest.mark.parametrize(
    ("path", "sections"),
    list(zip(GUIDES, (["The books", "The database", "Restore"], ["账目", "数据库", "恢复"]), strict=True)),
)
def test_what_the_doctor_points_to_is_there(path: str, sections: list[str]) -> None:
    assert set(sections) <= {words for _level, words in headings(path)}
