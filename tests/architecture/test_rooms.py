"""The house: imports only go down, and every room has its floor."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.tree import PACKAGES, ROOT, files, rooms

# Who may use the module that a contract forbids to all others. A new room is listed in the contract, or here.
MAY_KNOW = {
    "django_q": {"notify_platform.core", "notify_platform.console"},
    "requests": {"notify_platform.wechat", "notify_platform.alerts", "notify_platform.simulator"},
    "rest_framework": {"notify_platform.api"},
}


def contracts() -> list[dict[str, Any]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return list(settings["tool"]["importlinter"]["contracts"])


def layers(*, container: str = "") -> list[str]:
    found = [
        contract
        for contract in contracts()
        if contract["type"] == "layers" and contract.get("containers", [""]) == [container]
    ]
    assert len(found) == 1
    return [name.strip() for layer in found[0]["layers"] for name in layer.split("|")]


def all_rooms() -> list[str]:
    upper = [f"notify_platform.{room}" for room in rooms("notify_platform")]
    return sorted([*upper, *(package for package in PACKAGES if package != "notify_platform")])


def test_import_linter_keeps_every_contract() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    linted = subprocess.run([command, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout


def test_every_room_has_its_floor() -> None:
    placed = sorted(layers())
    assert all_rooms() == placed, (
        "Each package below notify_platform/ and each top-level package stands in exactly one layer of the contract "
        f"“Floors” in pyproject.toml. Without a floor: {set(all_rooms()) - set(placed)}; "
        f"gone: {set(placed) - set(all_rooms())}."
    )


def test_every_room_of_subscriptions_has_its_floor() -> None:
    assert rooms("subscriptions") == sorted(layers(container="subscriptions")), (
        "Each package below subscriptions/ stands in the contract “Rooms inside subscriptions” in pyproject.toml."
    )


@pytest.mark.parametrize("library", sorted(MAY_KNOW))
def test_every_room_is_told_whether_it_may_use(library: str) -> None:
    forbidding = [contract for contract in contracts() if library in contract.get("forbidden_modules", [])]
    assert len(forbidding) == 1
    told = set(forbidding[0]["source_modules"]) | MAY_KNOW[library]
    assert set(all_rooms()) == told, (
        f"Say of each room whether it may import {library}: in the contract “{forbidding[0]['name']}” of "
        f"pyproject.toml if not, in MAY_KNOW here if so."
    )


def test_there_is_no_other_top_level_package() -> None:
    inside = {path.split("/")[0] for path in files() if path.endswith(".py") and "/" in path}
    beside = {path for path in files() if path.endswith(".py") and "/" not in path}
    assert inside == {*PACKAGES, "tests"}
    assert beside == {"manage.py"}


def test_a_folder_with_code_is_a_package() -> None:
    folders = {path.rpartition("/")[0] for path in files() if path.endswith(".py") and "/" in path}
    assert [folder for folder in sorted(folders) if f"{folder}/__init__.py" not in files()] == []
