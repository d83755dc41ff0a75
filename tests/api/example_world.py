"""The world in which every example of the contract is true: its app, its templates, its person, its message."""

from __future__ import annotations

from dataclasses import dataclass

from notify_platform.api import keys, prompt_ids, sessions
from notify_platform.api.back_end_examples import DELIVERY, OPENID
from notify_platform.api.examples import APP, ON_SALE, SHIPPED
from notify_platform.api.models import ApiKey
from notify_platform.delivery import keys as card_keys
from notify_platform.delivery.models import Delivery
from subscriptions.models import Scene, SceneTemplate, Subscriber
from subscriptions.prompts import planner
from templates_app.models import MessageTemplate, MiniProgram
from tests import factories


@dataclass(frozen=True)
class ExampleWorld:
    """Who is there, and what they hold; ``prompt_id`` and ``nk`` are signed, so the contract shows none that works."""

    mini_program: MiniProgram
    person: Subscriber
    token: str
    api_key: str
    prompt_id: str
    nk: str


def build() -> ExampleWorld:
    mini_program = factories.a_mini_program(app_id=APP)
    shipped = factories.a_template(mini_program, wechat_id=SHIPPED, title="订单发货通知")
    on_sale = factories.a_template(mini_program, wechat_id=ON_SALE, title="降价提醒")
    scene = Scene.objects.create(mini_program=mini_program, code="order-paid", name="Paid")
    for position, template in enumerate([shipped, on_sale], start=1):
        SceneTemplate.objects.create(scene=scene, template=template, position=position)
    (person,) = factories.subscribers(mini_program, count=1, openid=OPENID)
    plan = planner.plan(person, scene=scene)
    scopes = ApiKey.Scope.values
    return ExampleWorld(
        mini_program=mini_program,
        person=person,
        token=sessions.begin(mini_program, openid=OPENID).token,
        api_key=keys.issue(mini_program, name="Shop", scopes=scopes, by=None).plaintext,
        prompt_id=prompt_ids.make(scene, plan=plan),
        nk=card_keys.make(a_message(shipped, to=person).pk),
    )


def a_message(template: MessageTemplate, *, to: Subscriber) -> Delivery:
    """The message whose id the contract shows."""
    job = factories.a_running_job(template)
    return Delivery.objects.create(
        pk=DELIVERY,
        mini_program=template.mini_program,
        job=job,
        variant=job.variants.get(),
        template=template,
        subscriber=to,
        is_counted=True,
        due_at=job.started_at,
    )
