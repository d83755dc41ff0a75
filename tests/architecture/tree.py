"""The tree as these tests read it: files that belong to us, and the syntax trees of the modules."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("notify_platform", "subscriptions", "templates_app")
# Packages that are no rooms: Django looks for them in these places.
DJANGOS_PLACES = frozenset({"migrations", "management", "commands", "formats", "__pycache__"})


@dataclass(frozen=True)
class Module:
    """One module of the platform, without tests and migrations. ``path`` is relative to the root, with slashes."""

    path: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


@lru_cache(maxsize=1)
def files() -> list[str]:
    """Every file of the project, relative to the root: all but what .gitignore leaves out."""
    ignored = [line.strip().rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line.strip()]

    def is_ours(name: str) -> bool:
        return name != ".git" and not any(fnmatch(name, pattern) for pattern in ignored)

    found: list[str] = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(filter(is_ours, folders))
        found += [(Path(folder) / name).relative_to(ROOT).as_posix() for name in sorted(names) if is_ours(name)]
    return found


@lru_cache(maxsize=1)
def modules() -> list[Module]:
    """Every module of the three packages but migrations."""
    paths = [path for path in files() if path.endswith(".py") and path.split("/")[0] in PACKAGES]
    read = [(path, (ROOT / path).read_text()) for path in paths if "/migrations/" not in path]
    return [Module(path, text, ast.parse(text)) for path, text in read]


def rooms(package: str) -> list[str]:
    """The names of the packages right below ``package``."""
    folder = ROOT / package
    return sorted(
        each.name for each in folder.iterdir() if (each / "__init__.py").exists() and each.name not in DJANGOS_PLACES
    )


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def where(module: Module, node: ast.expr | ast.stmt) -> str:
    return f"{module.path}:{node.lineno}"
