"""Another try: by a person once the cause is mended, by the platform once a template is known."""

from __future__ import annotations

import pytest
from django.utils import timezone

from notify_platform.callbacks import inbox, tasks
from notify_platform.callbacks.models import CallbackEvent
from notify_platform.core.models import AuditEvent, Bell
from subscriptions.models import Grant
from tests import factories

pytestmark = pytest.mark.django_db
State, Trouble = CallbackEvent.State, CallbackEvent.Trouble


@pytest.fixture
def mini_program():
    return factories.a_mini_program()


def a_popup(mini_program, *wechat_ids):
    document = {
        "FromUserName": factories.an_openid(),
        "CreateTime": int(timezone.now().timestamp()),
        "Event": "subscribe_msg_popup_event",
        "List": [{"TemplateId": each, "SubscribeStatusString": "accept"} for each in wechat_ids],
    }
    inbox.store(mini_program, document=document)
    return CallbackEvent.objects.latest("pk")


def in_state(push, state, **changes):
    CallbackEvent.objects.filter(pk=push.pk).update(state=state, handled_at=timezone.now(), attempts=3, **changes)


def facts():
    return [list(CallbackEvent.objects.order_by("pk").values()), AuditEvent.objects.count()]


@pytest.mark.parametrize("state", [State.FAILED, State.UNMATCHED])
def test_what_had_no_effect_gets_another_try(mini_program, state):
    push, colleague = a_popup(mini_program, "T"), factories.a_user()
    in_state(push, state, error=Trouble.NO_TEMPLATE)

    assert inbox.process_again(CallbackEvent.objects.all(), by=colleague) == 1

    push.refresh_from_db()
    assert (push.state, push.attempts, push.error, push.handled_at) == (State.PENDING, 0, "", None)
    assert list(inbox.due()) == [push]
    row = AuditEvent.objects.get()
    assert (row.actor, row.action, row.subject) == (colleague, "process_again", f"callbackevent {push.pk}")
    assert row.detail == {"numbers": [push.pk]}


@pytest.mark.parametrize("state", [State.PENDING, State.HANDLED, State.IGNORED])
def test_everything_else_is_left_alone(mini_program, state):
    in_state(a_popup(mini_program, "T"), state)
    before = facts()

    assert inbox.process_again(CallbackEvent.objects.all(), by=factories.a_user()) == 0

    assert facts() == before


def test_many_are_one_deed_and_no_more_than_one_batch_at_once(mini_program, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(inbox, "AGAIN_AT_ONCE", 3)
    for number in range(5):
        in_state(a_popup(mini_program, f"T{number}"), State.FAILED)
    numbers = list(CallbackEvent.objects.order_by("pk").values_list("pk", flat=True))

    with django_assert_num_queries(6):
        assert inbox.process_again(CallbackEvent.objects.order_by("-pk"), by=None) == 3

    assert AuditEvent.objects.get().detail == {"numbers": numbers[:3]}
    assert AuditEvent.objects.get().subject == "callbackevents"
    assert inbox.process_again(CallbackEvent.objects.all(), by=None) == 2


def test_a_push_about_a_template_nobody_knew_has_its_effect_once_it_is_known_and_only_once(mini_program):
    known = factories.a_template(mini_program)
    a_popup(mini_program, known.wechat_id, "T-new")
    inbox.handle_due()
    assert (CallbackEvent.objects.get().state, Grant.objects.count()) == (State.UNMATCHED, 1)

    new = factories.a_template(mini_program, wechat_id="T-new")
    assert inbox.process_unmatched(mini_program.pk) == 1
    inbox.handle_due()

    assert CallbackEvent.objects.get().state == State.HANDLED
    assert sorted(Grant.objects.values_list("template_id", flat=True)) == [known.pk, new.pk]


def test_the_platform_gives_only_those_another_try_that_wait_for_a_template_of_that_mini_program(mini_program):
    other = factories.a_mini_program()
    waiting = a_popup(mini_program, "T1")
    elsewhere, failed, stray = a_popup(other, "T1"), a_popup(mini_program, "T2"), a_popup(mini_program, "T3")
    for push in (waiting, elsewhere):
        in_state(push, State.UNMATCHED, error=Trouble.NO_TEMPLATE)
    in_state(failed, State.FAILED, error="DataError")
    in_state(stray, State.UNMATCHED, error=Trouble.NO_MESSAGE)
    Bell.objects.create(name=f"unmatched:{mini_program.pk}", rung_at=timezone.now())

    tasks.process_unmatched(mini_program.pk)

    assert list(CallbackEvent.objects.filter(state=State.PENDING)) == [waiting]
    assert AuditEvent.objects.get().actor is None
    assert Bell.objects.count() == 0
