"""The documents tell the truth about the tree, in both languages, and name nothing of anybody's machine."""

from __future__ import annotations

import re

import pytest

from tests.architecture.tree import PACKAGES, ROOT, files, rooms

READMES = ("README.md", "README.zh-CN.md")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(#+) ", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
# In halves, so that this file is not found by its own search.
DOWNLOADS = ("pythonhosted" + ".org", "//pyp" + "i.org", "registry" + ".npmjs", "deb.debian" + ".org")
OF_A_MACHINE = re.compile(r"(?<![\w/.$~-])/(?:root|home|work)/[\w.]")


def text_of(path: str) -> str:
    return (ROOT / path).read_text(errors="ignore")


def every_room() -> list[str]:
    upper = [f"notify_platform/{room}" for room in rooms("notify_platform")]
    lower = [f"subscriptions/{room}" for room in rooms("subscriptions")]
    return [*upper, *lower, *(package for package in PACKAGES if package != "notify_platform")]


def headings(path: str) -> list[int]:
    """The levels of a document's headings, in order."""
    return [len(marks) for marks in HEADING.findall(FENCE.sub("", text_of(path)))]


@pytest.mark.parametrize("path", READMES)
def test_the_map_of_the_house_names_every_room(path: str) -> None:
    rows = [line for line in text_of(path).splitlines() if line.startswith("|")]
    missing = [room for room in every_room() if not any(f"`{room}/`" in row for row in rows)]
    assert missing == [], f"Give each of them a row in the map of {path}."


@pytest.mark.parametrize("path", READMES)
def test_every_path_a_readme_names_exists(path: str) -> None:
    named = re.findall(r"`((?:notify_platform|subscriptions|templates_app|tests|docs)/[\w./-]+)`", text_of(path))
    assert named
    assert [each for each in named if not (ROOT / each).exists()] == []


def test_both_readmes_have_the_same_build() -> None:
    english, chinese = READMES
    assert headings(english) == headings(chinese)


def test_every_relative_link_leads_somewhere() -> None:
    broken = []
    for path in files():
        if not path.endswith(".md"):
            continue
        for target in LINK.findall(FENCE.sub("", text_of(path))):
            if re.match(r"[a-z]+:|#", target):
                continue
            if not (ROOT / path).parent.joinpath(target.partition("#")[0]).exists():
                broken.append(f"{path}: {target}")
    assert broken == []


def test_no_file_names_a_download_host_or_a_place_on_somebodys_machine() -> None:
    found = []
    for path in files():
        for number, line in enumerate(text_of(path).splitlines(), start=1):
            if any(host in line for host in DOWNLOADS) or OF_A_MACHINE.search(line):
                found.append(f"{path}:{number}: {line.strip()[:100]}")
    assert found == []
