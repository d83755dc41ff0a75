"""The inbox at the desk: what came, what came of it, and another try."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from notify_platform.callbacks import inbox
from notify_platform.callbacks.models import CallbackEvent
from notify_platform.core.models import AuditEvent
from tests import factories
from tests.console.conftest import At, Colleague

State = CallbackEvent.State
LIST = reverse("admin:callbacks_callbackevent_changelist")


@pytest.fixture
def engineer(colleague: Colleague) -> User:
    return colleague("engineer")


@pytest.fixture
def pushes(db: None) -> dict[str, CallbackEvent]:
    """One push in each state."""
    program = factories.a_mini_program()
    return {
        state.value: CallbackEvent.objects.create(
            mini_program=program,
            identity=state.value,
            event="debug_demo" if state == State.IGNORED else "subscribe_msg_popup_event",
            body={"FromUserName": "otFpruAK8D-E6EfStSYonYSBZ8_4"},
            state=state,
            error={State.FAILED: "DataError", State.UNMATCHED: "no_template"}.get(state, ""),
            due_at=timezone.now(),
        )
        for state in State
    }


def again(push: CallbackEvent) -> str:
    return reverse("admin:callbacks_callbackevent_again", args=[push.pk])


def page(push: CallbackEvent) -> str:
    return reverse("admin:callbacks_callbackevent_change", args=[push.pk])


def said(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def facts() -> list[Any]:
    return [list(CallbackEvent.objects.order_by("pk").values()), AuditEvent.objects.count()]


def chosen(*some: CallbackEvent, **more: str) -> dict[str, Any]:
    return {"action": "process_again", "_selected_action": [each.pk for each in some], **more}


@pytest.mark.parametrize("state", State.values)
def test_the_button_is_there_for_what_had_no_effect(
    state: str, pushes: dict[str, CallbackEvent], engineer: User, at_desk: At
) -> None:
    text = at_desk(engineer).get(page(pushes[state])).content.decode()

    assert (again(pushes[state]) in text) is (state in {"failed", "unmatched"})


def test_the_button_gives_another_try_and_says_so(
    pushes: dict[str, CallbackEvent], engineer: User, at_desk: At
) -> None:
    push = pushes["failed"]
    answer = at_desk(engineer).post(again(push))

    assert (answer.status_code, answer["Location"]) == (302, page(push))
    assert said(answer) == ["1 push gets another try."]
    push.refresh_from_db()
    assert push.state == State.PENDING
    row = AuditEvent.objects.get()
    assert (row.actor, row.action, row.subject) == (engineer, "process_again", f"callbackevent {push.pk}")


def test_a_button_pressed_too_late_says_so(pushes: dict[str, CallbackEvent], engineer: User, at_desk: At) -> None:
    before = facts()
    answer = at_desk(engineer).post(again(pushes["handled"]))

    assert said(answer) == ["Left alone: 1. Only what failed, or what nothing fits, can be processed again."]
    assert facts() == before


def test_chosen_rows_get_another_try_and_the_rest_is_told(
    pushes: dict[str, CallbackEvent], engineer: User, at_desk: At
) -> None:
    answer = at_desk(engineer).post(LIST, chosen(*pushes.values()))

    assert said(answer) == [
        "2 pushes get another try.",
        "Left alone: 3. Only what failed, or what nothing fits, can be processed again.",
    ]
    assert CallbackEvent.objects.filter(state=State.PENDING).count() == 3


def test_all_rows_of_a_filter_are_given_another_try_in_portions(
    pushes: dict[str, CallbackEvent], engineer: User, at_desk: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "AGAIN_AT_ONCE", 1)
    answer = at_desk(engineer).post(f"{LIST}?state__exact=unmatched", chosen(pushes["unmatched"], select_across="1"))

    assert said(answer) == ["1 push gets another try.", "That is as many as go at once; do it again for the rest."]
    assert CallbackEvent.objects.get(pk=pushes["failed"].pk).state == State.FAILED


def test_looking_changes_nothing(pushes: dict[str, CallbackEvent], admin: Client) -> None:
    before = facts()
    address = again(pushes["failed"])

    assert [ask(address).status_code for ask in (admin.get, admin.head, admin.put, admin.delete)] == [405] * 4
    assert facts() == before


@pytest.mark.parametrize("role", ["viewer", "operator", "approver"])
def test_nobody_else_may(role: str, pushes: dict[str, CallbackEvent], colleague: Colleague, at_desk: At) -> None:
    before, client = facts(), at_desk(colleague(role))

    assert client.post(again(pushes["failed"])).status_code == 403
    assert client.post(LIST, chosen(*pushes.values())).status_code == 403
    assert Client().post(again(pushes["failed"])).status_code == 302
    assert facts() == before


def test_somebody_who_only_sees_the_inbox_has_no_button(
    pushes: dict[str, CallbackEvent], colleague: Colleague, at_desk: At, engineer: User
) -> None:
    engineers = engineer.groups.get()
    engineers.permissions.remove(engineers.permissions.get(codename="change_callbackevent"))
    before, client = facts(), at_desk(engineer)

    assert again(pushes["failed"]) not in client.get(page(pushes["failed"])).content.decode()
    assert "process_again" not in client.get(LIST).content.decode()
    client.post(LIST, chosen(*pushes.values()))
    assert client.post(again(pushes["failed"])).status_code == 403
    assert facts() == before


def test_a_post_without_the_csrf_token_is_refused(pushes: dict[str, CallbackEvent], engineer: User) -> None:
    forged = Client(enforce_csrf_checks=True)
    forged.force_login(engineer)
    before = facts()

    assert forged.post(again(pushes["failed"])).status_code == 403
    assert forged.post(LIST, chosen(*pushes.values())).status_code == 403
    assert facts() == before


def test_a_push_that_does_not_exist_is_not_found(admin: Client) -> None:
    assert admin.post(reverse("admin:callbacks_callbackevent_again", args=[999_999])).status_code == 404


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", ["pending", "handled", "unmatched", "ignored", "failed"]),
        ("?event=subscribe_msg_popup_event", ["pending", "handled", "unmatched", "failed"]),
        ("?event=others", ["ignored"]),
        ("?event=nonsense", []),
        ("?state__exact=failed", ["failed"]),
        ("?q=otFpruAK8D-E6EfStSYonYSBZ8_4", ["failed"]),
        ("?q=otFpruAK8D", []),
    ],
)
def test_pushes_are_found_by_kind_by_state_and_by_person(
    pushes: dict[str, CallbackEvent], admin: Client, query: str, shown: list[str]
) -> None:
    CallbackEvent.objects.filter(pk=pushes["failed"].pk).update(openid="otFpruAK8D-E6EfStSYonYSBZ8_4")

    rows = admin.get(LIST + query).context["cl"].result_list

    assert sorted(row.state for row in rows) == sorted(shown)


def test_why_nothing_came_of_a_push_is_a_sentence_where_there_is_one(
    pushes: dict[str, CallbackEvent], admin: Client
) -> None:
    text = admin.get(LIST).content.decode()

    assert "A template is not in our list: sync the templates." in text
    assert "DataError" in text


def test_a_whole_openid_is_on_no_page(pushes: dict[str, CallbackEvent], admin: Client) -> None:
    for address in (LIST, page(pushes["failed"])):
        assert "otFpruAK8D-E6EfStSYonYSBZ8_4" not in admin.get(address).content.decode()
