"""Whom a measured broadcast reaches: so many people, each with one consent, as popups would have left them."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from notify_platform.delivery import fanout
from notify_platform.jobs.models import SendJob
from templates_app.models import AccessToken, MessageTemplate
from tests import factories
from tests.bench import tables

# SMALLINT's end, nearly: a pace that never binds.
UNPACED = 32_000
FIELDS = (("thing1", "商品"), ("character_string2", "订单号"), ("thing3", "取餐地点"), ("thing4", "温馨提示"))
PLACEHOLDER = "{{ nickname | 朋友 }}"
TEXTS = {
    "thing1": "现磨拿铁咖啡",
    "character_string2": "CN20261125001",
    "thing3": "深圳市南山区科技园店",
    "thing4": f"{PLACEHOLDER}，您的咖啡好了",
}
PAGE = "pages/order/detail?from=card"
NICKNAME = "小明"
# As long as WeChat's are.
ACCESS_TOKEN = "99_" + "x" * 133
DAYS_LEFT = 6
# Far from those the factories give.
FIRST_OPENID = 900_000_000

_JOBS = ("delivery.Throughput", "delivery.Skip", "delivery.Delivery", "jobs.Variant", "jobs.SendJob")
_BOOKS = ("subscriptions.Grant", "subscriptions.Answer", "subscriptions.Subscription", "subscriptions.Subscriber")


def a_template(*, pace: int = UNPACED) -> MessageTemplate:
    """A mini-program whose access token is known, and its template."""
    program = factories.a_mini_program(pace_per_second=pace)
    later = timezone.now() + timedelta(hours=2)
    AccessToken.objects.create(mini_program=program, token=ACCESS_TOKEN, expires_at=later, fetched_at=timezone.now())
    return factories.a_template(program, fields=FIELDS)


def gather(template: MessageTemplate, *, count: int) -> None:
    """Make the whole crowd anew; nothing is left of what was sent before."""
    tables.empty([*_JOBS, *_BOOKS])
    for label, columns in _columns(template).items():
        tables.fill(label, columns, first=1, last=count)
    tables.settle(_BOOKS)


def a_broadcast(template: MessageTemplate) -> SendJob:
    """A job to everybody that has just started; its audience is not frozen yet."""
    return factories.a_running_job(template, texts=TEXTS, page=PAGE)


def freeze(job: SendJob) -> None:
    """Make its audience into messages, as the platform does once a job has started."""
    while fanout.step(job):
        pass


def _columns(template: MessageTemplate) -> dict[str, tables.Columns]:
    yesterday, later = tables.moment("-86400"), tables.moment(f"{DAYS_LEFT * 86400}")
    openid = tables.openid(f"({FIRST_OPENID} + n)")
    of = {"id": "n", "subscriber_id": "n", "template_id": str(template.pk)}
    return {
        "subscriptions.Subscriber": {
            "id": "n", "mini_program_id": str(template.mini_program_id), "openid": openid,
            "nickname": f"'{NICKNAME}'", "region": "'广东'", "city": "'深圳'", "time_zone": "''", "tags": "'[]'",
            "interests": "'[]'", "session_version": "1", "created_at": yesterday, "last_visit_at": yesterday,
        },
        "subscriptions.Subscription": {
            **of, "state": "'on'", "always_keep": "''", "decided_at": yesterday, "changed_at": yesterday,
        },
        "subscriptions.Answer": {
            **of, "answer": "'accept'", "source": "'client'", "units": "1", "is_silent": tables.false(),
            "request_key": tables.text(), "answered_at": yesterday, "received_at": yesterday,
        },
        "subscriptions.Grant": {
            **of, "answer_id": "n", "state": "'available'", "granted_at": yesterday, "expires_at": later,
            "revoked_by": "''",
        },
    }  # fmt: skip
