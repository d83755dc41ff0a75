"""What is installed: every package pinned, hashed, used, and explained in docs/dependencies.md."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import lru_cache
from importlib.metadata import packages_distributions

import pytest

from tests.architecture.tree import ROOT, files

PINNED = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[^ ;]+)(?: ; [^\\]+)?(?: \\)?")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")
FILES = ["requirements.txt", "requirements-dev.txt", "requirements-fuzz.txt"]
COMMENT = re.compile(r" *#(?!.*://).*")


def canonical(requirement: str) -> str:
    """``psycopg[binary]>=3.3`` → ``psycopg``."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def declared() -> tuple[list[str], list[str]]:
    """What the platform needs to run, and what its tests need besides."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime, dev = project["dependencies"], project["optional-dependencies"]["dev"]
    return [canonical(each) for each in runtime], [canonical(each) for each in dev]


def declared_to_fuzz() -> list[str]:
    """What has an environment of its own."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    return [canonical(each) for each in groups["fuzz"]]


def pins(name: str) -> dict[str, str]:
    found = (PINNED.fullmatch(line) for line in (ROOT / name).read_text().splitlines())
    return {pin["name"]: pin["version"] for pin in found if pin}


@lru_cache(maxsize=1)
def imported(*, tests: bool) -> frozenset[str]:
    """The distributions that are imported anywhere in the platform, or in its tests."""
    paths = [path for path in files() if path.endswith(".py") and path.startswith("tests/") == tests]
    names: set[str] = set()
    for path in paths:
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    known = packages_distributions()
    return frozenset(canonical(distribution) for name in names for distribution in known.get(name, []))


def explained() -> dict[str, str]:
    """Package → what docs/dependencies.md says of it."""
    text = (ROOT / "docs" / "dependencies.md").read_text()
    entries = re.findall(r"^- \*\*(.+?)\*\*: (.+(?:\n  .+)*)", text, re.MULTILINE)
    return {name: " ".join(words.split()) for names, words in entries for name in names.split(", ")}


@pytest.mark.parametrize("name", FILES)
def test_every_line_is_a_pin_a_hash_or_a_comment(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    strange = [line for line in lines if line and not any(kind.fullmatch(line) for kind in (PINNED, HASH, COMMENT))]
    assert strange == []


@pytest.mark.parametrize("name", FILES)
def test_every_pin_has_a_hash(name: str) -> None:
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not COMMENT.fullmatch(line)]
    bare = [
        line
        for line, below in zip(lines, [*lines[1:], ""], strict=True)
        if PINNED.fullmatch(line) and not HASH.fullmatch(below)
    ]
    assert bare == []


def test_everything_declared_is_pinned() -> None:
    runtime, dev = declared()
    assert [name for name in runtime if name not in pins("requirements.txt")] == []
    assert [name for name in dev if name not in pins("requirements-dev.txt")] == []
    assert [name for name in declared_to_fuzz() if name not in pins("requirements-fuzz.txt")] == []


def test_tests_run_on_the_versions_that_are_shipped() -> None:
    shipped, tested = pins("requirements.txt"), pins("requirements-dev.txt")
    assert {name: tested.get(name) for name in shipped} == shipped
    fuzzed = {name: version for name, version in pins("requirements-fuzz.txt").items() if name in tested}
    assert {name: tested[name] for name in fuzzed} == fuzzed


def test_dependencies_md_explains_exactly_what_is_declared() -> None:
    runtime, dev = declared()
    assert sorted(explained()) == sorted(runtime + dev + declared_to_fuzz())


def test_what_nobody_imports_says_why_it_is_there() -> None:
    runtime, dev = declared()
    silent = {name for name, words in explained().items() if "Not imported:" in words}
    unused = {name for name in runtime if name not in imported(tests=False)}
    unused |= {name for name in dev if name not in imported(tests=True)}
    unused |= set(declared_to_fuzz())
    assert silent == unused, (
        "In docs/dependencies.md a package that no module imports has the words “Not imported:” and the reason; "
        "one that is imported does not."
    )
