"""Every string of the source that a person may see, found without gettext's tools."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from django.utils.translation.template import templatize

ONE = frozenset({"_", "gettext", "gettext_lazy", "gettext_noop"})
TWO = frozenset({"ngettext", "ngettext_lazy"})
# What ``templatize`` makes of a tag: _('…'), gettext('…') or ngettext('…', '…', count); it escapes nothing else.
_QUOTED = r"u?('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
_IN_TEMPLATE = re.compile(rf"\b(?:_|n?gettext)\(\s*{_QUOTED}", re.DOTALL)


def of_module(text: str) -> Iterator[str]:
    """Yield the strings a Python module hands to gettext."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name in ONE | TWO:
            first = node.args[0]
            assert isinstance(first, ast.Constant), f"gettext of something that is no text: {ast.unparse(node)}"
            yield str(first.value)


def of_template(text: str) -> Iterator[str]:
    """Yield the strings a template translates."""
    for quoted in _IN_TEMPLATE.findall(templatize(text)):
        yield ast.literal_eval(quoted)


def of_tree(root: Path, *, leave_out: Iterable[str] = ()) -> set[str]:
    """Return the strings of every module and template below a folder."""
    found: set[str] = set()
    for path in sorted(root.rglob("*")):
        if set(path.relative_to(root).parts) & {*leave_out, "migrations", "locale", "node_modules"}:
            continue
        if path.suffix == ".py":
            found.update(of_module(path.read_text()))
        elif path.suffix == ".html":
            found.update(of_template(path.read_text()))
    return found - {""}
