"""Requests that get past the door: where the generated request has any fit name, it gets one that is there.

Values that do not fit are left as they are: those requests are wrong on purpose. Runs inside schemathesis.
"""

from __future__ import annotations

import os
import re
from typing import Any

import schemathesis

# Name of an input → what a fit value looks like, and one that exists.
THERE = {
    "app_id": (re.compile(r".{0,32}", re.DOTALL), os.environ["FUZZ_APP_ID"]),
    "nk": (re.compile(r".{0,64}", re.DOTALL), os.environ["FUZZ_NK"]),
    "prompt_id": (re.compile(r".{0,1024}", re.DOTALL), os.environ["FUZZ_PROMPT_ID"]),
    "scene": (re.compile(r"[A-Za-z0-9_-]{1,40}"), os.environ["FUZZ_SCENE"]),
    "template_id": (re.compile(r".{0,64}", re.DOTALL), os.environ["FUZZ_TEMPLATE_ID"]),
    "muted": (re.compile(r"[A-Za-z0-9_-]{1,64}"), os.environ["FUZZ_TEMPLATE_ID"]),
}


def named(value: Any, *, name: str = "") -> Any:
    """Return the value with names that exist."""
    if isinstance(value, dict):
        return {key: named(below, name=key) for key, below in value.items()}
    if isinstance(value, list):
        return [named(below, name=name) for below in value]
    shape, there = THERE.get(name, (None, None))
    return there if shape and isinstance(value, str) and shape.fullmatch(value) else value


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    # One of both, or the request is refused before anything is looked at.
    if isinstance(body, dict) and {"prompt_id", "scene"} <= body.keys():
        body = {key: value for key, value in body.items() if key != "prompt_id"}
    return named(body)


@schemathesis.hook
def map_query(context: Any, query: Any) -> Any:
    return named(query)


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    return named(path_parameters)
