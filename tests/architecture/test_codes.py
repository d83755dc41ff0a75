"""WeChat's error codes stand in one table, ``wechat/outcomes.py``; everybody else speaks our words."""

from __future__ import annotations

import ast

from notify_platform.wechat.outcomes import CODES
from tests.architecture.tree import modules, where

TABLE = "notify_platform/wechat/outcomes.py"
# The popup on the phone has codes of its own; one number is in both lists.
POPUPS = "notify_platform/wechat/popups.py"
# WeChat's own side of the wire has to say the codes, and the demo tells it which.
WECHATS_SIDE = ("notify_platform/simulator/", "notify_platform/console/demo/story.py")
# 0, -1 and 404 are numbers with other lives.
TELLING = frozenset(code for code in CODES if code >= 10_000)


def mentions(node: ast.AST) -> bool:
    """Whether a node is one of the codes, as a number or as text."""
    if not isinstance(node, ast.Constant) or isinstance(node.value, bool):
        return False
    return node.value in TELLING or (isinstance(node.value, str) and node.value in map(str, TELLING))


def test_only_the_table_of_outcomes_knows_a_code() -> None:
    others = [each for each in modules() if not each.path.startswith((TABLE, POPUPS, *WECHATS_SIDE))]
    found = [where(module, node) for module in others for node in ast.walk(module.tree) if mentions(node)]
    assert found == [], "Ask for the outcome's word (notify_platform/wechat/outcomes.py) instead of comparing codes."
