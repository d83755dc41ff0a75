"""From a tap on the phone to an opened card, over HTTP, with real processes."""

from __future__ import annotations

import pytest

from notify_platform.delivery.models import Delivery, Open
from notify_platform.insights import books
from notify_platform.jobs.models import SendJob
from notify_platform.simulator.crowd import Asked, Phone
from subscriptions.models import Answer, Grant, Scene, SceneTemplate, Source
from tests import factories, wechat_world
from tests.journeys.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("processes")]


def test_a_persons_yes_becomes_a_card_and_their_tap_an_open(wechat, web, spawn):
    mini_program = factories.a_mini_program()
    template = factories.a_template(mini_program)
    scene = Scene.objects.create(mini_program=mini_program, code="order-paid", name="Paid", words="We tell you.")
    SceneTemplate.objects.create(scene=scene, template=template)
    wechat_world.introduce(wechat, mini_program, callback_url=f"{web}/wechat/callback/{mini_program.app_id}")
    spawn("manage.py", "worker")

    with Phone(wechat, api_url=web, app_id=mini_program.app_id, openid=factories.an_openid()) as anna:
        assert anna.be_asked("order-paid", answer=lambda _template: "accept") == Asked(1, 1, 1)
        until(lambda: Answer.objects.filter(source=Source.CALLBACK).exists())
        assert Grant.objects.count() == 1

        factories.a_running_job(template)
        until(lambda: Delivery.objects.filter(state=Delivery.State.DELIVERED).exists())
        card = wechat.inbox(mini_program.app_id, anna.openid)[0]
        assert card["data"]["thing1"] == "新鲜水果"
        assert anna.open_card(card["page"])

    assert Open.objects.get().delivery == Delivery.objects.get()
    until(lambda: SendJob.objects.get().state == SendJob.State.FINISHED)
    assert books.check() == []


def test_a_persons_no_is_kept_and_nothing_is_sent(wechat, web, spawn):
    mini_program = factories.a_mini_program()
    template = factories.a_template(mini_program)
    scene = Scene.objects.create(mini_program=mini_program, code="order-paid", name="Paid")
    SceneTemplate.objects.create(scene=scene, template=template)
    wechat_world.introduce(wechat, mini_program, callback_url=f"{web}/wechat/callback/{mini_program.app_id}")
    spawn("manage.py", "worker")

    with Phone(wechat, api_url=web, app_id=mini_program.app_id, openid=factories.an_openid()) as ben:
        assert ben.be_asked("order-paid", answer=lambda _template: "reject") == Asked(1, 1, 0)
        until(lambda: Answer.objects.filter(source=Source.CALLBACK).exists())
        factories.a_running_job(template)
        until(lambda: SendJob.objects.get().state == SendJob.State.FINISHED)
        assert ben.be_asked("order-paid", answer=lambda _template: "accept") == Asked(0, 0, 0)

    assert wechat.counts().requests == 0
    assert Grant.objects.count() == 0
