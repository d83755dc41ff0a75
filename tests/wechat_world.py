"""A simulated WeChat that knows our test rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from notify_platform.simulator.control import SimulatorControl
from subscriptions.models import Subscriber
from templates_app.models import MessageTemplate, MiniProgram

TYPES = {MessageTemplate.Kind.ONE_TIME: 2, MessageTemplate.Kind.LONG_TERM: 3}


def row_of(template: MessageTemplate) -> dict[str, Any]:
    """What gettemplate says of a template."""
    fields = template.fields.all()
    return {
        "priTmplId": template.wechat_id,
        "title": template.title,
        "content": "".join(f"{field.label}:{{{{{field.key}.DATA}}}}\n" for field in fields),
        "example": "",
        "type": TYPES[MessageTemplate.Kind(template.kind)],
    }


def introduce(
    control: SimulatorControl,
    mini_program: MiniProgram,
    *,
    people: Iterable[Subscriber] = (),
    units: int = 1,
    callback_url: str = "",
    settings: dict[str, Any] | None = None,
    **app: Any,
) -> None:
    """Tell the simulator about a mini-program, its templates, and people who agreed ``units`` times to each."""
    templates: Sequence[MessageTemplate] = list(mini_program.templates.prefetch_related("fields"))
    values = {
        "app_id": mini_program.app_id,
        "secret": mini_program.app_secret,
        "original_id": mini_program.original_id,
        "templates": [row_of(template) for template in templates],
    }
    if callback_url:
        values |= {
            "callback_url": callback_url,
            "callback_token": mini_program.callback_token,
            "aes_key": mini_program.callback_aes_key,
            "mode": "safe",
        }
    control.setup(apps=[values | app], settings=settings or {})
    balances = {template.wechat_id: units for template in templates}
    control.add_users(mini_program.app_id, [{"openid": person.openid, "balances": balances} for person in people])
