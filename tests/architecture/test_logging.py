"""Every line the platform logs, with the worst that could stand in it."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterator

import pytest

from notify_platform.core import logs
from tests.architecture.tree import Module, calls, modules, where
from tests.core.test_logs import HOSTILE, NEVER

LEVELS = frozenset({"debug", "info", "warning", "error", "exception", "critical"})
PLACE = re.compile(r"%(?:\.\d+)?([sdrf])")


def lines() -> Iterator[tuple[str, ast.Call, str]]:
    """Where each line is logged, its call, and its words."""
    for module in modules():
        for call in calls(module.tree):
            if words := _words(module, call):
                yield where(module, call), call, words


def _words(module: Module, call: ast.Call) -> str:
    if not isinstance(call.func, ast.Attribute) or ast.unparse(call.func.value) != "logger":
        return ""
    number = 1 if call.func.attr == "log" else 0
    assert call.func.attr in {*LEVELS, "log"}, where(module, call)
    words = call.args[number]
    assert isinstance(words, ast.Constant), f"{where(module, call)}: its words are not made of values"
    return str(words.value)


ALL = list(lines())


def test_there_are_lines_to_look_at() -> None:
    assert len(ALL) > 15


@pytest.mark.parametrize(("place", "call", "words"), ALL, ids=[place for place, _call, _words in ALL])
def test_no_line_lets_a_secret_through(place: str, call: ast.Call, words: str) -> None:
    for hostile in HOSTILE.values():
        values = tuple(7 if kind in "df" else hostile for kind in PLACE.findall(words))
        record = logging.LogRecord("notify_platform", logging.ERROR, place, 1, words, values, None)
        for formatter in (logs.TextFormatter(), logs.JsonFormatter()):
            assert [secret for secret in NEVER if secret in formatter.format(record)] == []


@pytest.mark.parametrize(("place", "call", "words"), ALL, ids=[place for place, _call, _words in ALL])
def test_the_fields_of_a_line_are_known_ones(place: str, call: ast.Call, words: str) -> None:
    for extra in (word.value for word in call.keywords if word.arg == "extra"):
        if isinstance(extra, ast.Dict):
            assert {key.value for key in extra.keys if isinstance(key, ast.Constant)} <= set(logs.FIELDS)


def test_everybody_logs_by_that_name() -> None:
    strange = [
        where(module, call)
        for module in modules()
        for call in calls(module.tree)
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in LEVELS
        and ast.unparse(call.func.value) in {"logging", "log", "_logger", "LOGGER"}
    ]
    assert strange == []
