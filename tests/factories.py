"""Plain functions that make rows without surprises."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from notify_platform.jobs.models import SendJob, Variant
from subscriptions.grants import ledger
from subscriptions.grants.pairing import NewAnswer
from subscriptions.models import Audience, Source, Subscriber
from templates_app.models import MessageTemplate, MiniProgram, TemplateField

_numbers = itertools.count(1)


def a_mini_program(**changes: Any) -> MiniProgram:
    number = next(_numbers)
    values = {
        "name": f"Shop {number}",
        "app_id": f"wx{number:016x}",
        "original_id": f"gh_{number:012x}",
        "app_secret": "s" * 32,
        "callback_token": "OpsPlatformToken2026",
        "callback_aes_key": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG",
        "pace_per_second": 500,
    }
    return MiniProgram.objects.create(**(values | changes))


def a_template(
    mini_program: MiniProgram, *, fields: Sequence[tuple[str, str]] = (("thing1", "商品"),), **changes: Any
) -> MessageTemplate:
    number = next(_numbers)
    values = {"wechat_id": f"T{number:042d}", "title": f"发货通知 {number}", "kind": MessageTemplate.Kind.ONE_TIME}
    template = MessageTemplate.objects.create(mini_program=mini_program, **(values | changes))
    TemplateField.objects.bulk_create(
        TemplateField(template=template, position=position, key=key, label=label)
        for position, (key, label) in enumerate(fields, start=1)
    )
    return template


def subscribers(mini_program: MiniProgram, *, count: int, **changes: Any) -> list[Subscriber]:
    return Subscriber.objects.bulk_create(
        Subscriber(**({"mini_program": mini_program, "openid": an_openid(), "nickname": "小明"} | changes))
        for _ in range(count)
    )


def an_openid() -> str:
    return f"o{next(_numbers):027d}"


def grants(template: MessageTemplate, *, to: Sequence[Subscriber], units: int = 1, age: timedelta = timedelta()) -> int:
    number = next(_numbers)
    return ledger.record(
        [
            NewAnswer(
                subscriber_id=person.pk,
                template=template,
                answer="accept",
                source=Source.IMPORT,
                answered_at=timezone.now() - age,
                request_key=f"test:{number}",
                units=units,
            )
            for person in to
        ]
    ).units


def everybody(mini_program: MiniProgram) -> Audience:
    return Audience.objects.get_or_create(mini_program=mini_program, name="Everybody")[0]


def a_job(template: MessageTemplate, *, texts: dict[str, str] | None = None, **changes: Any) -> SendJob:
    values = {
        "mini_program": template.mini_program,
        "name": f"Job {next(_numbers)}",
        "purpose": "They asked for it.",
        "template": template,
        "audience": everybody(template.mini_program),
    }
    page = changes.pop("page", "pages/order/detail")
    variants: dict[str, dict[str, str]] = changes.pop("variants", {})
    job = SendJob.objects.create(**(values | changes))
    words = texts or {field.key: "新鲜水果" for field in template.fields.all()}
    Variant.objects.create(job=job, texts=words, page=page)
    for name, said in variants.items():
        another_variant(job, name=name, texts=said)
    return job


def another_variant(job: SendJob, *, name: str, texts: dict[str, str] | None = None, page: str = "") -> Variant:
    words = texts or {field.key: f"水果{name}" for field in job.template.fields.all()}
    return Variant.objects.create(job=job, name=name, texts=words, page=page)


def a_running_job(template: MessageTemplate, **changes: Any) -> SendJob:
    from notify_platform.jobs import jobs

    job = a_job(template, **changes)
    jobs.submit(job, by=None)
    if job.state == SendJob.State.SUBMITTED:
        jobs.approve(job, by=a_user())
    jobs.start(job)
    return job


def a_user(name: str = "", **changes: Any) -> User:
    return User.objects.create_user(name or f"user{next(_numbers)}", password="pass-word-1", **changes)
