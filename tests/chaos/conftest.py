"""What the drills share: where their figures go."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.chaos.sizes import FULL, SIZE
from tests.conftest import ROOT
from tests.journeys.conftest import web

__all__ = ["web"]

FOLDER = ROOT / "docs" / "chaos"


@pytest.fixture
def record(request) -> Callable[[dict[str, Any]], None]:
    """Keep a drill's figures: those of the full size in docs/chaos, others nowhere."""

    def keep(figures: dict[str, Any]) -> None:
        if SIZE is FULL:
            FOLDER.mkdir(exist_ok=True)
            name = re.sub(r"\W+", "-", request.node.name.removeprefix("test_")).strip("-")
            facts = {"database": connection.vendor, "cores": os.cpu_count(), "python": platform.python_version()}
            text = json.dumps(facts | figures, indent=1, ensure_ascii=False)
            Path(FOLDER / f"{name}-{connection.vendor}.json").write_text(text + "\n")

    return keep
