"""Who takes part in the measurements."""

from __future__ import annotations

from collections.abc import Iterator

from notify_platform.callbacks import inbox
from notify_platform.delivery import claims, fanout, settlement
from notify_platform.delivery.claims import Wordings
from notify_platform.wechat.gateway import SendResult
from notify_platform.wechat.outcomes import outcome_of_code
from subscriptions.models import Scene, SceneTemplate
from templates_app.models import MessageTemplate, MiniProgram
from tests import factories

CLAIM_LIMIT = 500
SCENE = "order-paid"


def a_shop() -> MiniProgram:
    """A mini-program with one template and one scene, whose phones are believed without end."""
    # Beyond the limit a yes writes no grant, and both sides have to write the same rows.
    mini_program = factories.a_mini_program(client_unconfirmed_limit=30_000, pace_per_second=2000)
    scene = Scene.objects.create(mini_program=mini_program, code=SCENE, name="支付成功页", words="餐好了就告诉您")
    SceneTemplate.objects.create(scene=scene, template=factories.a_template(mini_program))
    return mini_program


def accepted_messages(template: MessageTemplate, *, count: int) -> Iterator[tuple[str, str]]:
    """Send a job to so many people, as the engine does; yield openid and MsgID of each, as WeChat would name them."""
    people = factories.subscribers(template.mini_program, count=count)
    for start in range(0, count, CLAIM_LIMIT):
        factories.grants(template, to=people[start : start + CLAIM_LIMIT])
    job = factories.a_running_job(template)
    while fanout.step(job):
        pass
    wordings = Wordings()
    number = 0
    while (claim := claims.claim(job, limit=CLAIM_LIMIT, wordings=wordings)).looked_at:
        claims.arm(claim.token, delivery_ids=[message.delivery_id for message in claim.messages])
        landed = []
        for message in claim.messages:
            number += 1
            msgid = str(3_000_000_000_000_000_000 + number)
            result = SendResult(outcome=outcome_of_code(0), code=0, msgid=msgid)
            landed.append(settlement.Landed(message=message, result=result))
            yield message.openid, msgid
        settlement.settle(template.mini_program, token=claim.token, landed=landed)


def empty_inbox() -> None:
    """Handle whatever is due."""
    while inbox.handle_due():
        pass
