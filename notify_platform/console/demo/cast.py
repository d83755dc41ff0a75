"""Believable Chinese data: a fruit shop's mini-program, its templates, its scenes, its people and their past."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from random import Random
from typing import Any

from django.contrib.auth.models import Group, User
from django.utils import timezone

from notify_platform.delivery.models import Delivery
from notify_platform.jobs.models import SendJob, Variant
from subscriptions.grants import ledger
from subscriptions.grants.pairing import NewAnswer
from subscriptions.models import (
    Answer,
    Audience,
    Grant,
    Scene,
    SceneTemplate,
    Source,
    Subscriber,
    Subscription,
    Visit,
)
from templates_app import catalog
from templates_app.models import MessageTemplate, MiniProgram

APP_ID = "wxdec0de0000000001"
# So many people are asked while one looks on; the others agreed before the curtain rose.
WALK_INS = 300
SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗"
GIVEN = ["伟", "芳", "娜", "敏", "静", "丽", "强", "磊", "洋", "艳", "勇", "军", "杰", "娟", "涛", "明", "超", "秀兰"]
NICKNAMES = [
    "爱吃芒果的猫",
    "三口之家",
    "早起的鸟儿🐦",
    "西湖边的小王",
    "橙子味汽水",
    "阿May",
    "快乐星期五",
    "山里来的人",
]
PLACES = [("浙江", "杭州"), ("浙江", "宁波"), ("江苏", "苏州"), ("江苏", "南京"), ("上海", "上海"), ("广东", "深圳")]

# (id at WeChat, title, WeChat's type, lines "label:key=example")
TEMPLATES: list[tuple[str, str, int, list[tuple[str, str, str]]]] = [
    (
        "A1",
        "新品到货提醒",
        2,
        [
            ("商品名称", "thing1", "阳光玫瑰葡萄"),
            ("到货时间", "time2", "2026-11-23 09:00"),
            ("温馨提示", "thing3", "数量有限"),
        ],
    ),
    (
        "A2",
        "订单发货通知",
        2,
        [
            ("订单号", "character_string1", "S20261123001"),
            ("商品", "thing2", "库尔勒香梨"),
            ("快递公司", "name3", "顺丰速运"),
        ],
    ),
    ("A3", "预约成功通知", 2, [("预约门店", "thing1", "西溪店"), ("预约时间", "date2", "2026-11-24 10:00")]),
    ("A4", "退款到账提醒", 2, [("退款金额", "amount1", "¥39.90"), ("退款原因", "thing2", "商品缺货")]),
    ("A5", "提货码提醒", 2, [("提货码", "character_string1", "8264"), ("门店", "thing2", "滨江店")]),
    ("A6", "配送进度提醒", 3, [("配送状态", "phrase1", "配送中"), ("预计送达", "time2", "15:30")]),
]
SCENES = [
    ("goods-sold-out", "商品缺货页", "到货后第一时间告诉您", ["A1"]),
    ("order-paid", "支付成功页", "发货和提货时提醒您", ["A2", "A5"]),
    ("booking-done", "预约完成页", "预约有变化时提醒您", ["A3"]),
]


@dataclass(frozen=True, slots=True)
class Cast:
    """Who is on stage. ``walk_ins`` have not been asked yet."""

    mini_program: MiniProgram
    template: MessageTemplate
    audience: Audience
    walk_ins: list[Subscriber]
    composer: User
    approver: User
    password: str


def build(*, subscribers: int, pace: int, seed: int = 20261123) -> Cast:
    """Write the whole cast into an empty database; the same seed gives the same people."""
    random = Random(seed)  # noqa: S311 - believable, not secret
    password = secrets.token_urlsafe(6)
    mini_program = _mini_program(pace=pace)
    catalog.apply_snapshot(mini_program, rows=template_rows(), at=timezone.now())
    templates = {template.wechat_id: template for template in mini_program.templates.all()}
    _scenes(mini_program, templates)
    people = _people(mini_program, count=subscribers, random=random)
    arrival = templates[wechat_id("A1")]
    _history(mini_program, templates[wechat_id("A2")], people=people, random=random)
    walk_ins = people[-min(WALK_INS, len(people) // 5) :]
    _consent(arrival, people=people[: -len(walk_ins)], random=random)
    _wishes(arrival, people=people, random=random)
    User.objects.create_superuser("admin", password=password, first_name="管理员")
    return Cast(
        mini_program=mini_program,
        template=arrival,
        audience=Audience.objects.create(mini_program=mini_program, name="全部用户"),
        walk_ins=walk_ins,
        composer=_account("yunying", "林小雨", "operator", password),
        approver=_account("shenhe", "周明", "approver", password),
        password=password,
    )


def wechat_id(short: str) -> str:
    """Return a template id of the real length."""
    return f"demo_{short}".ljust(43, "_")


def template_rows() -> list[dict[str, Any]]:
    """Return what gettemplate answers for this mini-program."""
    return [
        {
            "priTmplId": wechat_id(short),
            "title": title,
            "content": "".join(f"{label}:{{{{{key}.DATA}}}}\n" for label, key, _example in fields),
            "example": "".join(f"{label}:{example}\n" for label, _key, example in fields),
            "type": kind,
        }
        for short, title, kind, fields in TEMPLATES
    ]


def _mini_program(*, pace: int) -> MiniProgram:
    return MiniProgram.objects.create(
        name="鲜果到家",
        app_id=APP_ID,
        original_id="gh_dec0de000001",
        app_secret=secrets.token_hex(16),
        callback_token=secrets.token_hex(12),
        callback_aes_key=secrets.token_hex(22)[:43],
        pace_per_second=pace,
        cap_per_day=3,
    )


def _account(name: str, full_name: str, group: str, password: str) -> User:
    user = User.objects.create_user(name, password=password, first_name=full_name, is_staff=True)
    user.groups.add(*Group.objects.filter(name=group))
    return user


def _scenes(mini_program: MiniProgram, templates: dict[str, MessageTemplate]) -> None:
    for code, name, words, asks in SCENES:
        scene = Scene.objects.create(mini_program=mini_program, code=code, name=name, words=words)
        for position, short in enumerate(asks, start=1):
            SceneTemplate.objects.create(scene=scene, template=templates[wechat_id(short)], position=position)


def _people(mini_program: MiniProgram, *, count: int, random: Random) -> list[Subscriber]:
    now = timezone.now()
    people = [
        Subscriber(
            mini_program=mini_program,
            openid=f"oDemo{number:05d}{random.getrandbits(70):018x}",
            nickname=_nickname(random),
            region=place[0],
            city=place[1],
            last_visit_at=now - timedelta(minutes=random.randint(5, 60 * 24 * 40)),
        )
        for number, place in ((number, random.choice(PLACES)) for number in range(count))
    ]
    made = Subscriber.objects.bulk_create(people, batch_size=1000)
    Visit.objects.bulk_create(
        [Visit(subscriber=one, page="pages/index", at=one.last_visit_at or now) for one in made], batch_size=1000
    )
    return made


def _nickname(random: Random) -> str:
    if random.random() < 0.15:
        return random.choice(NICKNAMES)
    if random.random() < 0.05:
        return ""
    return random.choice(SURNAMES) + random.choice(GIVEN)


def _consent(template: MessageTemplate, *, people: Sequence[Subscriber], random: Random) -> None:
    """Nine in ten agreed to hear of new arrivals, some twice, some so long ago that it has lapsed."""
    now = timezone.now()
    for start in range(0, len(people), 1000):
        ledger.record(
            [
                NewAnswer(
                    subscriber_id=person.pk,
                    template=template,
                    answer="accept",
                    source=Source.IMPORT,
                    answered_at=now - timedelta(days=8 if random.random() < 0.04 else random.random() * 6),
                    request_key="demo:arrivals",
                    units=2 if random.random() < 0.2 else 1,
                )
                for person in people[start : start + 1000]
                if random.random() < 0.9
            ]
        )


def _wishes(template: MessageTemplate, *, people: Sequence[Subscriber], random: Random) -> None:
    """Some people want less: muted, paused, asleep at this hour, or gone."""
    now = timezone.now()
    chosen = iter(random.sample(people, k=len(people) // 10))
    part = max(1, len(people) // 100)

    def some() -> list[int]:
        return [person.pk for person in islice(chosen, part)]

    Subscription.objects.filter(template=template, subscriber__in=some()).update(muted_at=now)
    Subscriber.objects.filter(pk__in=some()).update(paused_until=now + timedelta(days=3))
    Subscriber.objects.filter(pk__in=some()).update(main_switch_off_at=now)
    local = timezone.localtime(now)
    Subscriber.objects.filter(pk__in=some()).update(
        quiet_from=(local - timedelta(hours=1)).time(), quiet_until=(local + timedelta(hours=5)).time()
    )


def _history(
    mini_program: MiniProgram, template: MessageTemplate, *, people: Sequence[Subscriber], random: Random
) -> None:
    """A finished job of last week: its consents are spent, its cards delivered."""
    sent_at = timezone.now() - timedelta(days=5)
    audience = Audience.objects.create(mini_program=mini_program, name="上周下单用户", kind=Audience.Kind.LIST)
    receivers = random.sample(people, k=len(people) // 6)
    job = SendJob.objects.create(
        mini_program=mini_program,
        name="上周发货通知",
        purpose="订单已发货，告知快递信息",
        template=template,
        audience=audience,
        state=SendJob.State.FINISHED,
        started_at=sent_at,
        ended_at=sent_at + timedelta(minutes=3),
        fanned_out_at=sent_at,
        audience_size=len(receivers),
    )
    texts = {"character_string1": "S20261118", "thing2": "库尔勒香梨 5斤装", "name3": "顺丰速运"}
    variant = Variant.objects.create(job=job, texts=texts, page="pages/order/list")
    grants = _spent_grants(template, receivers=receivers, sent_at=sent_at)
    Delivery.objects.bulk_create(
        [
            Delivery(
                mini_program=mini_program, job=job, variant=variant, template=template, subscriber=person, grant=grant,
                is_counted=True, state=Delivery.State.DELIVERED, due_at=sent_at, armed_at=sent_at, settled_at=sent_at,
                attempts=1, msgid=str(3_000_000_000_000_000_000 + number),
            )
            for number, (person, grant) in enumerate(zip(receivers, grants, strict=True))
        ],
        batch_size=1000,
    )  # fmt: skip


def _spent_grants(template: MessageTemplate, *, receivers: Sequence[Subscriber], sent_at: datetime) -> list[Grant]:
    asked_at = sent_at - timedelta(hours=4)
    answers = Answer.objects.bulk_create(
        [
            Answer(
                subscriber=person, template=template, answer="accept", source=Source.IMPORT, units=1,
                request_key="demo:history", answered_at=asked_at,
            )
            for person in receivers
        ],
        batch_size=1000,
    )  # fmt: skip
    return Grant.objects.bulk_create(
        [
            Grant(
                subscriber=answer.subscriber, template=template, answer=answer, state=Grant.State.SPENT,
                granted_at=asked_at, expires_at=asked_at + timedelta(days=7), settled_at=sent_at,
            )
            for answer in answers
        ],
        batch_size=1000,
    )  # fmt: skip
