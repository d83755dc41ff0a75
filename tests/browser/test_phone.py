"""The phone page in a real browser: a user agrees, refuses, receives, opens, turns off."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.browser.conftest import DESK, PHONE, WHY_SKIPPED, OpenPhone, Watch, World
from tests.browser.hands import ask, tab_to, toast
from tests.simulator.platform_api import Refusal
from tests.simulator.stage import APP, BEN, PICKUP, RETURN

if WHY_SKIPPED:
    pytest.skip(WHY_SKIPPED, allow_module_level=True)

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

AUTHORIZATIONS, OPENS, VISITS = "POST /api/v1/authorizations", "POST /api/v1/opens", "POST /api/v1/visits"
CARD_PAGE = "pages/order/detail?id=88&nk=2a.Kx9qLwTag"
RETURN_TEXTS = {"thing1": {"value": "百年孤独"}}


def told(body: Mapping[str, Any]) -> dict[str, Any]:
    """A report without what differs each time, which is checked."""
    report = dict(body)
    assert re.fullmatch(r"[A-Za-z0-9_-]{8,64}", report.pop("client_request_id"))
    ago = report.pop("answered_ago_ms")
    assert isinstance(ago, int)
    assert 0 <= ago < 60_000
    return report


@pytest.mark.parametrize("size", [PHONE, DESK])
def test_a_user_is_chosen_reads_the_words_and_allows(
    open_phone: OpenPhone, world: World, size: tuple[int, int]
) -> None:
    page = open_phone("/phone", size=size)
    page.fill("#search", "oBen")
    page.get_by_text("1 位用户").wait_for()
    page.click(f"#user-{BEN}")

    ask(page)
    assert page.locator(".popup h2").inner_text() == "发送一次以下消息"
    assert page.locator(".popup-title").all_inner_texts() == ["取餐提醒", "还书提醒"]
    page.click(".popup-allow")

    bodies = world.platform.wait_for(AUTHORIZATIONS)
    assert [told(body) for body in bodies] == [
        {"prompt_id": "prompt:paid", "results": {PICKUP: "accept", RETURN: "accept"}}
    ]
    toast(page, "已同意 2 项提醒")
    assert page.locator(".ask-list b").all_inner_texts() == ["剩余 1 次", "剩余 1 次"]
    assert world.balances() == {PICKUP: 1, RETURN: 1}
    assert world.platform.heard(VISITS) == [{"page": "pages/index"}]


def test_each_template_is_allowed_or_refused_by_itself(open_phone: OpenPhone, world: World) -> None:
    page = open_phone()
    ask(page)
    for title in ("取餐提醒", "还书提醒"):
        page.get_by_label(title, exact=True).uncheck(force=True)
    assert page.locator(".popup-allow").is_disabled()

    page.get_by_label("还书提醒", exact=True).check(force=True)
    page.click(".popup-allow")

    bodies = world.platform.wait_for(AUTHORIZATIONS)
    assert told(bodies[0])["results"] == {PICKUP: "reject", RETURN: "accept"}
    assert world.balances() == {PICKUP: 0, RETURN: 1}


@pytest.mark.parametrize("way", [".popup-refuse", "Escape", "back"])
def test_cancelling_refuses_everything(open_phone: OpenPhone, world: World, way: str) -> None:
    page = open_phone()
    ask(page)
    page.locator(".popup").wait_for()

    if way == "Escape":
        page.keyboard.press(way)
    elif way == "back":
        page.go_back()
    else:
        page.click(way)

    bodies = world.platform.wait_for(AUTHORIZATIONS)
    assert told(bodies[0])["results"] == {PICKUP: "reject", RETURN: "reject"}
    toast(page, "好的，这次不提醒")
    assert (world.balances(), page.locator(".popup").count()) == ({PICKUP: 0, RETURN: 0}, 0)


def test_always_keep_makes_the_second_tap_silent(open_phone: OpenPhone, world: World) -> None:
    page = open_phone()
    ask(page)
    page.get_by_label("总是保持以上选择，不再询问").check(force=True)
    page.click(".popup-allow")
    toast(page, "已同意 2 项提醒")

    page.click("#ask")

    bodies = world.platform.wait_for(AUTHORIZATIONS, times=2)
    assert told(bodies[1]) == told(bodies[0])
    assert bodies[0]["client_request_id"] != bodies[1]["client_request_id"]
    page.get_by_text("剩余 2 次").first.wait_for()
    assert world.balances() == {PICKUP: 2, RETURN: 2}


def test_a_silent_top_up_needs_no_words(open_phone: OpenPhone, world: World) -> None:
    world.platform.silent.add("borrowed")
    world.control.popup(APP, BEN, {RETURN: "accept"})
    page = open_phone()
    ask(page, "paid")
    page.get_by_label("总是保持以上选择，不再询问").check(force=True)
    page.click(".popup-allow")
    toast(page, "已同意")
    page.click("#back")

    page.click("#scene-borrowed")

    bodies = world.platform.wait_for(AUTHORIZATIONS, times=2)
    assert told(bodies[1]) == {"prompt_id": "prompt:borrowed", "results": {RETURN: "accept"}}
    assert (page.locator(".popup").count(), page.locator("#ask").count()) == (0, 0)


def test_a_kept_refusal_tells_where_it_can_be_changed(open_phone: OpenPhone, world: World) -> None:
    page = open_phone()
    ask(page)
    page.get_by_label("总是保持以上选择，不再询问").check(force=True)
    page.click(".popup-refuse")
    world.platform.wait_for(AUTHORIZATIONS)

    page.click("#ask")

    bodies = world.platform.wait_for(AUTHORIZATIONS, times=2)
    assert told(bodies[1])["results"] == {PICKUP: "reject", RETURN: "reject"}
    toast(page, "你选择了不再接收，可在设置中更改")


def test_the_tap_waits_for_nothing_before_wechat_is_asked(open_phone: OpenPhone, watch: Watch) -> None:
    page = open_phone()
    page.click("#scene-paid")
    page.locator("#ask").wait_for()
    page.wait_for_load_state("networkidle")
    watch.requests.clear()

    page.click("#ask")
    page.locator(".popup").wait_for()

    asked = [url for url in watch.requests if "/phone/wx/inbox" not in url]  # looked at every two seconds
    assert asked[0].endswith("/phone/wx/requestSubscribeMessage")


def test_outside_a_tap_wechat_does_not_ask(open_phone: OpenPhone, watch: Watch) -> None:
    page = open_phone()
    page.locator("#scene-paid").wait_for()
    watch.requests.clear()

    outside = page.evaluate(
        "import('/phone/wx.js').then((wx) => wx.requestSubscribeMessage({tmplIds: ['x']}).catch((error) => error))"
    )

    assert outside == {"errMsg": "requestSubscribeMessage:fail can only be invoked by user TAP gesture."}
    assert not any(url.endswith("requestSubscribeMessage") for url in watch.requests)


@pytest.mark.parametrize("size", [PHONE, DESK])
def test_a_card_arrives_is_tapped_and_its_open_is_reported(
    open_phone: OpenPhone, world: World, size: tuple[int, int]
) -> None:
    world.control.popup(APP, BEN, {PICKUP: "accept", RETURN: "accept"})
    page = open_phone(f"/phone?openid={BEN}", size=size)
    page.click("#to-notices")
    page.get_by_role("heading", name="还没有收到提醒").wait_for()
    page.click("#back")
    world.api.log_in()
    world.api.send(touser=BEN, page=CARD_PAGE)
    world.api.send(touser=BEN, template_id=RETURN, data=RETURN_TEXTS)

    page.locator("#to-notices .badge", has_text="2").wait_for()
    page.click("#to-notices")
    assert page.locator(".card h2").all_inner_texts() == ["取餐提醒", "还书提醒"]
    assert page.locator(".card dl").first.inner_text().split() == ["取餐码", "A127", "门店", "南山一店"]
    page.get_by_role("button", name="进入小程序查看").click()

    page.get_by_text("打开已上报").wait_for()
    assert world.platform.heard(OPENS) == [{"nk": "2a.Kx9qLwTag"}]
    assert world.platform.heard(VISITS) == [{"page": "pages/order/detail"}]
    assert page.locator(".facts dd").all_inner_texts() == ["pages/order/detail", "88", "2a.Kx9qLwTag"]
    page.click("#capsule-leave")
    page.locator("#to-notices").wait_for()
    assert page.locator("#to-notices .badge").count() == 0


def test_a_card_is_announced_at_the_top(open_phone: OpenPhone, world: World) -> None:
    world.control.popup(APP, BEN, {PICKUP: "accept"})
    page = open_phone()
    page.locator("#scene-paid").wait_for()
    page.wait_for_load_state("networkidle")
    world.api.log_in()
    world.api.send(touser=BEN)

    page.locator(".banner-card", has_text="取餐提醒").click()

    page.locator(".card h2").wait_for()


def test_the_main_switch_is_reported_and_leads_to_the_settings(open_phone: OpenPhone, world: World) -> None:
    page = open_phone()
    page.locator("#scene-paid").wait_for()
    page.click("#capsule-menu")
    page.get_by_role("button", name="设置", exact=True).click()
    page.get_by_label("接收订阅消息").uncheck(force=True)
    toast(page, "已关闭")
    page.click("#back")

    ask(page)

    bodies = world.platform.wait_for(AUTHORIZATIONS)
    assert told(bodies[0]) == {"prompt_id": "prompt:paid", "results": {}, "err_code": 20004}
    page.get_by_role("button", name="去设置").click()
    page.get_by_label("接收订阅消息").check(force=True)
    toast(page, "已打开")
    page.click("#back")
    ask(page)
    page.locator(".popup").wait_for()


def test_a_template_is_turned_off_and_allowed_again(open_phone: OpenPhone, world: World) -> None:
    world.control.popup(APP, BEN, {PICKUP: "accept"})
    page = open_phone(f"/phone?openid={BEN}#/settings")
    switch = page.locator(f"#switch-{PICKUP}")
    switch.uncheck(force=True)
    page.get_by_role("button", name="取消").click()
    page.locator(f"#switch-{PICKUP}:checked").wait_for(state="attached")
    assert world.balances() == {PICKUP: 1}

    switch.uncheck(force=True)
    page.get_by_role("button", name="关闭", exact=True).click()
    toast(page, "已关闭")
    assert (world.balances(), switch.is_checked()) == ({PICKUP: 0}, False)

    switch.check(force=True)

    toast(page, "已允许，下次会再询问")
    assert (world.balances(), switch.is_checked()) == ({PICKUP: 0}, True)


def test_nothing_to_ask_says_why(open_phone: OpenPhone) -> None:
    page = open_phone()

    page.click("#scene-member")

    page.get_by_role("heading", name="现在不需要询问").wait_for()
    assert page.locator(".reasons li").all_inner_texts() == ["取餐提醒\n用户已静音"]


def test_a_platform_that_is_down_is_told_with_its_address_and_can_be_tried_again(
    open_phone: OpenPhone, world: World, watch: Watch
) -> None:
    watch.allowed.append("502")
    world.configure(api_url="http://127.0.0.1:9")
    page = open_phone()
    page.get_by_role("heading", name="连不上平台").wait_for()
    page.get_by_text("平台地址 http://127.0.0.1:9 没有应答").wait_for()
    world.configure()

    page.click("#retry")

    page.locator("#scene-paid").wait_for()


def test_an_answer_the_platform_could_not_hear_is_told_again_with_its_id(
    open_phone: OpenPhone, world: World, watch: Watch
) -> None:
    watch.allowed.append("503")
    world.platform.trouble[AUTHORIZATIONS] = Refusal(503, "busy", "稍后再试")
    page = open_phone()
    ask(page)
    page.click(".popup-allow")
    page.get_by_text("有 1 次回答还没有报给平台").wait_for()
    world.platform.trouble.clear()

    page.click("#flush")

    first, second = world.platform.wait_for(AUTHORIZATIONS, times=2)
    assert (first["client_request_id"], first["results"]) == (second["client_request_id"], second["results"])
    page.locator(".unsent").wait_for(state="detached")
    assert page.locator(".ask-list b").all_inner_texts() == ["剩余 1 次", "剩余 1 次"]


def test_a_session_that_ended_is_begun_anew(open_phone: OpenPhone, world: World, watch: Watch) -> None:
    watch.allowed.append("401")
    page = open_phone()
    page.click("#scene-paid")
    page.locator("#ask").wait_for()
    page.wait_for_load_state("networkidle")
    world.platform.sessions.clear()

    page.click("#ask")
    page.click(".popup-allow")

    toast(page, "已同意 2 项提醒")
    assert len(world.platform.heard("POST /api/v1/sessions")) == 2


def test_everything_can_be_done_with_the_keyboard(open_phone: OpenPhone, world: World) -> None:
    page = open_phone()
    page.locator("#scene-paid").wait_for()

    for target in ("#scene-paid", "#ask", ".popup-keep input", ".popup-allow"):
        page.locator(target).wait_for(state="attached")
        tab_to(page, target)
        page.keyboard.press("Space" if target.endswith("input") else "Enter")

    world.platform.wait_for(AUTHORIZATIONS)
    assert world.balances() == {PICKUP: 1, RETURN: 1}
    toast(page, "已同意")
    tab_to(page, "#ask")


def test_a_new_user_starts_at_the_scenes_and_is_remembered(open_phone: OpenPhone, world: World) -> None:
    page = open_phone("/phone")

    page.click("#new-user")
    page.locator("#scene-paid").wait_for()

    page.goto(page.url.partition("#")[0])
    page.click("#tab-me")
    openid = page.locator(".self .openid").inner_text()
    assert list(world.platform.sessions.values()) == [openid]


def test_a_simulator_that_knows_no_app_says_what_to_do(open_phone: OpenPhone, world: World) -> None:
    world.control.reset()
    page = open_phone("/phone")
    page.get_by_role("heading", name="还没有小程序").wait_for()
    world.configure()

    page.click("#retry")

    page.locator("#new-user").wait_for()


def test_a_reset_of_the_simulator_is_noticed(open_phone: OpenPhone, world: World, watch: Watch) -> None:
    watch.allowed.append("404")
    page = open_phone()
    ask(page)
    page.locator(".popup").wait_for()

    world.control.reset()

    page.get_by_role("heading", name="还没有小程序").wait_for()
    assert page.locator(".popup").count() == 0


def test_a_scene_the_platform_does_not_know_is_told(open_phone: OpenPhone, world: World, watch: Watch) -> None:
    watch.allowed.append("404")
    del world.platform.plans["borrowed"]
    page = open_phone()

    page.click("#scene-borrowed")

    page.get_by_text("没有这个场景（unknown_scene）请在后台检查编码为「borrowed」的场景").wait_for()


def test_texts_stay_texts(open_phone: OpenPhone, world: World) -> None:
    evil = "<img src=//evil.example/x onerror=alert(1)>"
    world.configure(name=evil, scenes=[{"code": "paid", "name": evil}])

    page = open_phone()

    page.locator(".scene-name", has_text=evil).wait_for()
    assert page.locator("img").count() == 0


def test_no_width_makes_the_page_scroll_sideways(open_phone: OpenPhone) -> None:
    page = open_phone()
    ask(page)
    page.locator(".popup").wait_for()
    sides = "[document.documentElement, ...document.querySelectorAll('.body, .sheet')]"

    for width in (320, 390, 768, 1180, 1440):
        page.set_viewport_size({"width": width, "height": 700})
        assert page.evaluate(f"{sides}.every((each) => each.scrollWidth <= each.clientWidth)"), width
