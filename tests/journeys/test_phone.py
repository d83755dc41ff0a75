"""The whole way in a real browser: a tap on the phone page, a card, a tap on the card; nothing in between is faked."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.db import connections

from notify_platform.delivery.models import Delivery, Open
from notify_platform.insights import books
from subscriptions.models import Answer, Grant, Scene, SceneTemplate, Source
from tests import factories, wechat_world
from tests.browser.conftest import ARGUMENTS, CHROMIUM, WHY_SKIPPED
from tests.journeys.waiting import until

if WHY_SKIPPED:
    pytest.skip(WHY_SKIPPED, allow_module_level=True)

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("processes")]


@pytest.fixture
def page(monkeypatch):
    # The browser's driver keeps an event loop in this thread; the test still talks to its database from here.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    with import_module("playwright.sync_api").sync_playwright() as running:
        browser = running.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        opened = browser.new_page(viewport={"width": 390, "height": 844}, locale="zh-CN")
        opened.set_default_timeout(30_000)
        yield opened
        browser.close()
        # What this thread asked the database while the loop ran went over connections of its own.
        connections.close_all()


def test_my_own_tap_makes_me_reachable_and_my_own_job_reaches_me(wechat, web, spawn, page):
    mini_program = factories.a_mini_program()
    template = factories.a_template(mini_program, title="取餐提醒")
    scene = Scene.objects.create(mini_program=mini_program, code="paid", name="支付成功页", words="餐好了就告诉您")
    SceneTemplate.objects.create(scene=scene, template=template)
    openid = factories.an_openid()
    wechat_world.introduce(
        wechat,
        mini_program,
        callback_url=f"{web}/wechat/callback/{mini_program.app_id}",
        name="鲜果到家",
        api_url=web,
        scenes=[{"code": "paid", "name": "支付成功页"}],
    )
    wechat.add_users(mini_program.app_id, [{"openid": openid}])
    spawn("manage.py", "worker")

    page.goto(f"{wechat.url}/phone?app_id={mini_program.app_id}&openid={openid}#/mini")
    page.click("#scene-paid")
    page.get_by_role("heading", name="餐好了就告诉您").wait_for()
    page.click("#ask")
    page.click(".popup-allow")
    until(lambda: Answer.objects.filter(source=Source.CALLBACK).exists() and Answer.objects.count() == 2)
    assert Grant.objects.count() == 1

    factories.a_running_job(template)
    page.locator(".banner-card", has_text="取餐提醒").click()
    page.get_by_role("button", name="进入小程序查看").click()
    until(lambda: Open.objects.exists())

    assert Open.objects.get().delivery == Delivery.objects.get()
    until(lambda: Delivery.objects.get().state == Delivery.State.DELIVERED)
    assert books.check() == []
