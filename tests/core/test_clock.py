"""Time zones as they stand in the data: the first that exists."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from notify_platform.core.clock import zone_of

TOKYO, SHANGHAI = ZoneInfo("Asia/Tokyo"), ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("names", "zone"),
    [
        (("Asia/Tokyo", "Europe/Paris"), TOKYO),
        (("", "Asia/Tokyo"), TOKYO),
        (("Mars/Olympus", "Asia/Tokyo"), TOKYO),
        (("../secrets", "/etc/passwd", "Asia", "a" * 300), SHANGHAI),
        (("Mars/Olympus",), SHANGHAI),
        ((), SHANGHAI),
    ],
)
def test_the_first_zone_that_exists_is_taken_and_else_the_houses(names: tuple[str, ...], zone: ZoneInfo) -> None:
    assert zone_of(*names) == zone
