"""Time zones as they stand in the data, the first that exists; and WeChat's day."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from notify_platform.core.clock import beijing_midnight, zone_of

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


@pytest.mark.parametrize(
    ("moment", "began"),
    [
        (datetime(2026, 11, 24, 15, 59, 59, tzinfo=UTC), datetime(2026, 11, 23, 16, tzinfo=UTC)),
        (datetime(2026, 11, 24, 16, 0, 0, tzinfo=UTC), datetime(2026, 11, 24, 16, tzinfo=UTC)),
        (datetime(2026, 11, 24, 16, 0, 0, tzinfo=TOKYO), datetime(2026, 11, 23, 16, tzinfo=UTC)),
    ],
)
def test_wechats_day_begins_at_midnight_in_beijing(moment: datetime, began: datetime) -> None:
    assert beijing_midnight(moment) == began
