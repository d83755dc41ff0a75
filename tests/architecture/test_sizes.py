"""Small enough to read: functions, files, and names that say what is inside."""

from __future__ import annotations

import ast

from tests.architecture.tree import Module, files, modules

LONG, LONGEST, LONGEST_FILE = 35, 60, 400
SHARE_OF_LONG = 0.05
# Drawers for whatever has no place: the room's verb module has a name an operator would use.
DRAWERS = frozenset({"services", "utils", "util", "helpers", "helper", "selectors", "common", "misc"})


def functions() -> list[tuple[int, str]]:
    """Lines of every function, without its decorators, and where it stands."""
    return [
        ((node.end_lineno or node.lineno) - node.lineno + 1, f"{module.path}:{node.lineno} {node.name}")
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def longer_than(limit: int) -> list[str]:
    return [f"{place}: {lines} lines" for lines, place in functions() if lines > limit]


def test_no_function_is_longer_than_a_screen() -> None:
    assert longer_than(LONGEST) == []


def test_nearly_every_function_is_short() -> None:
    assert len(longer_than(LONG)) <= SHARE_OF_LONG * len(functions()), "\n".join(longer_than(LONG))


def test_no_file_is_longer_than_a_walk() -> None:
    def lines(module: Module) -> int:
        return len(module.lines)

    assert [f"{each.path}: {lines(each)} lines" for each in modules() if lines(each) > LONGEST_FILE] == []


def test_no_file_is_a_drawer() -> None:
    stems = {path: path.rpartition("/")[2].removesuffix(".py") for path in files() if path.endswith(".py")}
    assert [path for path, stem in stems.items() if stem in DRAWERS] == []
