"""Colleagues at the desk, and one row of every kind."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from notify_platform.alerts.models import Alert
from notify_platform.api import keys
from notify_platform.callbacks.models import CallbackEvent
from notify_platform.console.models import FailedLogin
from notify_platform.core.models import AuditEvent, Bell, DriverLease, WorkerNode, audit
from notify_platform.delivery.models import Conversion, Delivery, Feedback, Open, Pace, Reason, Skip, Throughput
from notify_platform.jobs.models import Event, SendJob, Series, Trigger, Variant
from subscriptions.models import (
    AskingTally,
    Audience,
    AudienceMember,
    Drift,
    ExpectedDemand,
    Grant,
    PromptReport,
    Scene,
    SceneTemplate,
    Subscriber,
    Visit,
)
from templates_app.models import AccessToken, MessageTemplate
from tests import factories

Colleague = Callable[..., User]
At = Callable[[User], Client]


@pytest.fixture
def colleague(db: None) -> Colleague:
    """Make somebody with a role (viewer, operator, approver, engineer), or ``None`` for a superuser."""

    def make(role: str | None, *, name: str = "") -> User:
        if role is None:
            return factories.a_user(name, is_staff=True, is_superuser=True)
        user = factories.a_user(name, is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        return user

    return make


@pytest.fixture
def at_desk() -> At:
    """Sit somebody down at the desk."""

    def sit(user: User) -> Client:
        client = Client()
        client.force_login(user)
        # What is written down of coming in is not what a test of the desk asks about.
        AuditEvent.objects.filter(action="log_in", actor=user).delete()
        return client

    return sit


@pytest.fixture
def admin(colleague: Colleague, at_desk: At) -> Client:
    """A superuser at the desk."""
    return at_desk(colleague(None))


def a_row_of_everything() -> dict[str, Any]:
    """Make one row of every model, all of one new mini-program; returns the ones tests speak about."""
    program = factories.a_mini_program()
    template = factories.a_template(program)
    (person,) = factories.subscribers(program, count=1)
    factories.grants(template, to=[person])
    audience = Audience.objects.create(mini_program=program, name=f"Uploaded {program.pk}", kind=Audience.Kind.LIST)
    AudienceMember.objects.create(audience=audience, subscriber=person)
    scene = Scene.objects.create(mini_program=program, code="order-paid", name="Order paid")
    SceneTemplate.objects.create(scene=scene, template=template)
    job = factories.a_job(template, audience=audience, created_by=factories.a_user())
    delivery = a_delivery(job, person=person, state=Delivery.State.FAILED, error_code=40003)
    trigger = Trigger.objects.create(mini_program=program, name="Shipped", event="shipped", template=template)
    Variant.objects.create(trigger=trigger, texts={"thing1": "Fruit"})
    Event.objects.create(
        mini_program=program, event="shipped", event_id="1", subscriber=person, occurred_at=timezone.now()
    )
    _deeds(delivery)
    _asking(scene, template, person)
    Alert.objects.create(
        mini_program=program,
        kind=Alert.Kind.TEMPLATE_BANNED,
        subject="T1",
        first_at=timezone.now(),
        last_at=timezone.now(),
    )
    Series.objects.create(mini_program=program, name="Weekly", at_time="09:00", starts_on="2026-11-23")
    AccessToken.objects.create(mini_program=program, token="the-token-itself")
    Pace.objects.create(name=f"app:{program.pk}")
    Pace.objects.create(name=f"job:{job.pk}")
    FailedLogin.objects.create(
        username=f"user {program.pk}", ip_address="192.0.2.1", user_agent="A browser", failures_since_start=5
    )
    now = timezone.now()
    Throughput.objects.create(job=job, at=now, messages=1)
    WorkerNode.objects.create(name=f"host:{program.pk}", started_at=now, beat_at=now, pulse_at=now)
    Bell.objects.create(name=f"deliver:{program.pk}", rung_at=now)
    DriverLease.objects.create(name=f"host:{program.pk}/0", until=now)
    a_callback(program, openid=person.openid)
    keys.issue(program, name="Back end", scopes=["sessions"], by=None)
    audit(job.created_by, action="submit", subject=f"job {job.pk}", reach=1)
    return {"program": program, "template": template, "person": person, "job": job, "delivery": delivery}


def _deeds(delivery: Delivery) -> None:
    about = {"delivery": delivery, "subscriber": delivery.subscriber, "at": timezone.now()}
    assert delivery.job is not None
    Skip.objects.create(job=delivery.job, subscriber=delivery.subscriber, reason=Reason.NO_CONSENT)
    Open.objects.create(**about)
    Conversion.objects.create(goal="bought", **about)
    Feedback.objects.create(kind=Feedback.Kind.USEFUL, **about)
    Visit.objects.create(subscriber=delivery.subscriber, page="pages/index", at=timezone.now())


def _asking(scene: Scene, template: MessageTemplate, person: Subscriber) -> None:
    now = timezone.now()
    PromptReport.objects.create(subscriber=person, scene=scene, request_key="client:1", answered_at=now)
    AskingTally.objects.create(scene=scene, template=template, day=now.date(), word="accept", times=3)
    ExpectedDemand.objects.create(template=template, day=now.date(), messages=12.5, per_person=0.5)
    Drift.objects.create(subscriber=person, template=template, units=1, at=now)


def a_callback(program: Any, *, openid: str) -> CallbackEvent:
    return CallbackEvent.objects.create(
        mini_program=program,
        identity="x",
        event="subscribe_msg_popup_event",
        body={"FromUserName": openid, "List": [{"SubscribeStatusString": "accept"}]},
        due_at=timezone.now(),
    )


LEFT = frozenset({Delivery.State.SENDING, Delivery.State.UNKNOWN, Delivery.State.FAILED, *Delivery.SENT})


def a_delivery(job: SendJob, *, person: Any, **values: Any) -> Delivery:
    """Write a delivery as settlement would leave it; states that hold a grant take one of the person's."""
    state = values.get("state", Delivery.State.WAITING)
    if state in Delivery.HOLDS_GRANT and job.template.is_counted:
        in_flight = state in Delivery.IN_FLIGHT or state == Delivery.State.UNKNOWN
        grant = Grant.objects.filter(template=job.template, subscriber=person, state=Grant.State.AVAILABLE).first()
        assert grant is not None
        grant.state = Grant.State.RESERVED if in_flight else Grant.State.SPENT
        grant.settled_at = None if in_flight else timezone.now()
        grant.save()
        values["grant"] = grant
    if state in LEFT:
        values.setdefault("armed_at", timezone.now())
    if state not in Delivery.OPEN and state != Delivery.State.UNKNOWN:
        values.setdefault("settled_at", timezone.now())
    if state in Delivery.IN_FLIGHT:
        lease = timezone.now() + timedelta(minutes=1)
        values = {"claim_token": uuid.uuid4(), "lease_until": lease, **values}
    return Delivery.objects.create(
        mini_program=job.mini_program,
        job=job,
        variant=values.pop("variant", None) or job.variants.get(),
        template=job.template,
        subscriber=person,
        is_counted=job.template.is_counted,
        due_at=timezone.now(),
        **values,
    )
