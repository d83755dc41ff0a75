"""Every index says which query it is there for."""

from __future__ import annotations

import ast

from tests.architecture.tree import Module, calls, modules, where


def asks_for_an_index(call: ast.Call) -> bool:
    if isinstance(call.func, ast.Attribute) and call.func.attr == "Index":
        return True
    return any(
        word.arg == "db_index" and isinstance(word.value, ast.Constant) and word.value.value for word in call.keywords
    )


def is_explained(module: Module, call: ast.Call) -> bool:
    """Whether the line above the call is a comment."""
    return call.lineno > 1 and module.lines[call.lineno - 2].strip().startswith("#")


def test_a_comment_above_every_index_names_its_query() -> None:
    nouns = [module for module in modules() if module.path.endswith("models.py")]
    indexes = [(module, call) for module in nouns for call in calls(module.tree) if asks_for_an_index(call)]
    assert len(indexes) > 10
    assert [where(module, call) for module, call in indexes if not is_explained(module, call)] == []
