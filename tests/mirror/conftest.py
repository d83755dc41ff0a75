"""A simulated WeChat with one mini-program and three templates; ours knows none of them yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from notify_platform.simulator.control import SimulatorControl
from templates_app.models import MiniProgram
from tests import factories, wechat_world

PICKUP = {
    "priTmplId": "PICKUP_0000000000000000000000000000000000_A",
    "title": "取餐提醒",
    "content": "取餐码:{{character_string1.DATA}}\n门店:{{thing2.DATA}}\n",
    "example": "取餐码:A127\n门店:南山一店\n",
    "type": 2,
}
RETURN = {
    "priTmplId": "RETURN_0000000000000000000000000000000000_B",
    "title": "还书提醒",
    "content": "书名:{{thing1.DATA}}\n",
    "example": "书名:红楼梦\n",
    "type": 2,
}
CHECKUP = {
    "priTmplId": "CHECKUP_000000000000000000000000000000000_C",
    "title": "复诊提醒",
    "content": "日期:{{date1.DATA}}\n",
    "example": "日期:2026-12-01\n",
    "type": 3,
}


@pytest.fixture
def mini_program(db: None) -> MiniProgram:
    return factories.a_mini_program(name="Shop", app_id="wxba5fad812f8e6fb9")


@pytest.fixture
def wechat_lists(wechat: SimulatorControl, mini_program: MiniProgram) -> Callable[..., None]:
    """Let WeChat list these templates, and no others, for the mini-program."""

    def list_templates(*rows: dict[str, Any], of: MiniProgram = mini_program) -> None:
        wechat_world.introduce(wechat, of, templates=list(rows))

    list_templates(PICKUP, RETURN, CHECKUP)
    return list_templates
