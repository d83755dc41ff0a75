"""The environment is read in one file, and ``.env.example`` tells all of it."""

from __future__ import annotations

import ast
import re

from tests.architecture.tree import ROOT, calls, modules, where

SETTINGS = "notify_platform/settings.py"
# Who may look at the environment besides: each with its reason.
READERS = {
    "notify_platform/wsgi.py": "names the settings module",
    "notify_platform/console/demo/stage.py": "makes the environment of the demo's processes",
    "notify_platform/simulator/management/commands/simulator.py": "asks whether the demo started it",
}
VARIABLE = re.compile(r"#? ?([A-Z][A-Z_]*)=")


def read_by_the_settings() -> list[str]:
    tree = next(module.tree for module in modules() if module.path == SETTINGS)
    return sorted(
        call.args[0].value
        for call in calls(tree)
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "env"
        and isinstance(call.args[0], ast.Constant)
    )


def example() -> list[tuple[str, str]]:
    """The variables of .env.example, each with the line above it."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    return [
        (matched[1], above)
        for above, line in zip(["", *lines], lines, strict=False)
        if (matched := VARIABLE.match(line))
    ]


def test_the_example_names_exactly_what_the_settings_read() -> None:
    assert sorted(name for name, _above in example()) == read_by_the_settings()


def test_every_variable_of_the_example_is_explained() -> None:
    unexplained = [
        name
        for name, above in example()
        if not above.startswith("# ") or above.startswith("# ---") or VARIABLE.match(above)
    ]
    assert unexplained == []


def test_nobody_else_reads_the_environment() -> None:
    found = [
        where(module, node)
        for module in modules()
        if module.path not in {SETTINGS, *READERS}
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    ]
    assert found == [], "Read it in notify_platform/settings.py, and ask django.conf.settings."
