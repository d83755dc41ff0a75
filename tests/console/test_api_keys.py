"""API keys at the desk and on the command line: shown once, revoked by POST, and only for engineers."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.messages import get_messages
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from notify_platform.api import keys
from notify_platform.api.models import ApiKey
from notify_platform.core.errors import Refused
from notify_platform.core.models import AuditEvent
from templates_app.models import MiniProgram
from tests import factories
from tests.console.conftest import At, Colleague

ADD = reverse("admin:api_apikey_add")
LIST = reverse("admin:api_apikey_changelist")
OTHERS = ["viewer", "operator", "approver"]


@pytest.fixture
def program(db: None) -> MiniProgram:
    return factories.a_mini_program(name="Fruit shop")


@pytest.fixture
def engineer(colleague: Colleague, at_desk: At) -> Client:
    return at_desk(colleague("engineer", name="erin"))


def a_key(program: MiniProgram, **changes: Any) -> ApiKey:
    return keys.issue(program, **({"name": "Shop system", "scopes": ["sessions"], "by": None} | changes)).key


def wish(program: MiniProgram, **changes: Any) -> dict[str, Any]:
    return {"mini_program": program.pk, "name": "Shop system", "scopes": ["sessions"], "days": ""} | changes


def revoke_url(key: ApiKey) -> str:
    return reverse("admin:api_apikey_revoke", args=[key.pk])


def facts() -> list[Any]:
    return [list(ApiKey.objects.order_by("pk").values()), AuditEvent.objects.count()]


# --- issuing -------------------------------------------------------------------------------------------------------


def test_an_issued_key_is_shown_and_opens_the_api(program: MiniProgram, engineer: Client) -> None:
    response = engineer.post(ADD, wish(program))

    issued = response.context["issued"]
    assert response.status_code == 200
    assert response.content.decode().count(issued.plaintext) == 1
    assert keys.check(issued.plaintext) == issued.key
    assert (issued.key.mini_program, issued.key.name, issued.key.scopes, issued.key.expires_at) == (
        program,
        "Shop system",
        ["sessions"],
        None,
    )
    assert issued.key.created_by.username == "erin"


def test_the_secret_stands_on_that_one_page_and_nowhere_else(
    program: MiniProgram, engineer: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")

    response = engineer.post(ADD, wish(program))

    plaintext = response.context["issued"].plaintext
    secret = plaintext.partition(".")[2]
    elsewhere = [
        *map(str, ApiKey.objects.values()),
        *map(str, AuditEvent.objects.values()),
        *map(str, LogEntry.objects.values()),
        *(str(row.get_decoded()) for row in Session.objects.all()),
        *map(str, get_messages(response.wsgi_request)),
        *(record.getMessage() for record in caplog.records),
        *map(str, response.headers.values()),
        *(str(cookie) for cookie in engineer.cookies.values()),
        *(engineer.get(page).content.decode() for page in (LIST, ADD, key_page(), revoke_url(ApiKey.objects.get()))),
    ]
    assert [text for text in elsewhere if secret in text] == []
    assert "no-store" in response.headers["Cache-Control"]
    assert "private" in response.headers["Cache-Control"]


def key_page() -> str:
    return reverse("admin:api_apikey_change", args=[ApiKey.objects.get().pk])


def test_a_key_for_some_days_expires_then(program: MiniProgram, engineer: Client) -> None:
    before = timezone.now()
    engineer.post(ADD, wish(program, days="90"))

    lasts = ApiKey.objects.get().expires_at
    assert lasts is not None
    assert before + timedelta(days=90) <= lasts <= timezone.now() + timedelta(days=90)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes"),
        ({"name": ""}, "name"),
        ({"name": "n" * 61}, "name"),
        ({"days": "0"}, "days"),
        ({"days": "3651"}, "days"),
        ({"mini_program": "0"}, "mini_program"),
    ],
)
def test_a_wrong_wish_issues_nothing_and_says_where(
    program: MiniProgram, engineer: Client, wrong: dict[str, Any], field: str
) -> None:
    response = engineer.post(ADD, wish(program, **wrong))

    assert list(response.context["form"].errors) == [field]
    assert facts() == [[], 0]


# --- seeing and revoking -------------------------------------------------------------------------------------------


def test_the_list_tells_the_keys_apart(program: MiniProgram, engineer: Client) -> None:
    living, expired, revoked = (a_key(program, name=name) for name in ("Living", "Expired", "Revoked"))
    ApiKey.objects.filter(pk=expired.pk).update(expires_at=timezone.now())
    keys.revoke(revoked, by=None)

    rows = engineer.get(LIST).context["cl"].result_list

    admin_of = engineer.get(LIST).context["cl"].model_admin
    seen = {row.name: admin_of.state_label(row) for row in rows}
    assert list(seen) == ["Revoked", "Expired", "Living"]
    assert ["in force" in seen["Living"], "expired" in seen["Expired"], "revoked" in seen["Revoked"]] == [True] * 3
    assert f"{living.prefix}…" in engineer.get(LIST).content.decode()


def test_revoking_is_asked_first_and_then_done(program: MiniProgram, engineer: Client) -> None:
    key = a_key(program)
    assert revoke_url(key) in engineer.get(key_page()).content.decode()
    before = facts()
    assert engineer.get(revoke_url(key)).status_code == 200
    assert facts() == before

    response = engineer.post(revoke_url(key))

    assert (response.status_code, response["Location"]) == (302, LIST)
    key.refresh_from_db()
    assert key.revoked_at is not None
    trail = AuditEvent.objects.get(action="revoke_key")
    assert (trail.actor.username if trail.actor else None, trail.subject) == ("erin", f"api key {key.pk}")
    assert revoke_url(key) not in engineer.get(key_page()).content.decode()


def test_revoking_twice_is_one_revocation(program: MiniProgram, engineer: Client) -> None:
    key = a_key(program)
    engineer.post(revoke_url(key))
    before = facts()

    response = engineer.post(revoke_url(key))

    assert [str(message) for message in get_messages(response.wsgi_request)][-1] == "The key had been revoked before."
    assert facts() == before


def test_a_key_that_does_not_exist_is_not_found(engineer: Client, db: None) -> None:
    assert engineer.post(reverse("admin:api_apikey_revoke", args=[999_999])).status_code == 404


# --- who may -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", OTHERS)
def test_nobody_but_engineers_sees_issues_or_revokes(
    role: str, program: MiniProgram, colleague: Colleague, at_desk: At
) -> None:
    key = a_key(program)
    before = facts()
    desk = at_desk(colleague(role))

    answers = [
        desk.get(LIST),
        desk.get(ADD),
        desk.post(ADD, wish(program)),
        desk.get(key_page()),
        desk.get(revoke_url(key)),
        desk.post(revoke_url(key)),
    ]

    assert [answer.status_code for answer in answers] == [403] * 6
    assert facts() == before
    assert LIST not in desk.get(reverse("admin:index")).content.decode()


def test_a_post_without_a_csrf_token_changes_nothing(program: MiniProgram, colleague: Colleague) -> None:
    key = a_key(program)
    desk = Client(enforce_csrf_checks=True)
    desk.force_login(colleague("engineer"))
    before = facts()

    answers = [desk.post(ADD, wish(program)), desk.post(revoke_url(key))]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert facts() == before


def test_looking_at_the_forms_changes_nothing(program: MiniProgram, engineer: Client) -> None:
    key = a_key(program)
    before = facts()
    for url in (LIST, ADD, f"{ADD}?name=x&scopes=sessions&mini_program={program.pk}", key_page(), revoke_url(key)):
        assert engineer.get(url).status_code == 200
    assert facts() == before


def test_a_key_can_be_neither_changed_nor_deleted(program: MiniProgram, admin: Client) -> None:
    key = a_key(program)
    before = facts()

    refused = [
        admin.post(key_page(), {"name": "Another"}),
        admin.post(reverse("admin:api_apikey_delete", args=[key.pk]), {"post": "yes"}),
    ]

    assert [answer.status_code for answer in refused] == [403, 403]
    assert facts() == before


# --- the command ---------------------------------------------------------------------------------------------------


def run(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("issue_api_key", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_command_prints_the_key_alone_on_standard_output(program: MiniProgram) -> None:
    out, err = run("--app-id", program.app_id, "--name", "Cron", "--scope", "sessions", "--expires-in-days", "30")

    key = keys.check(out.strip())
    assert (key.name, key.scopes, key.created_by) == ("Cron", ["sessions"], None)
    assert key.expires_at is not None
    assert key.expires_at - timezone.now() < timedelta(days=30)
    assert err == f"Cron begins with {key.prefix}. Keep the key now; it is not shown again.\n"
    assert AuditEvent.objects.get().action == "issue_key"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"--app-id": "wx0000000000000000"}, "There is no such mini-program."),
        ({"--name": " "}, "Give the key a name of at most 60 characters."),
        ({"--expires-in-days": "0"}, "A key is valid for 1 to 3650 days."),
        ({"--expires-in-days": "99999999999"}, "A key is valid for 1 to 3650 days."),
        ({"--scope": "everything"}, "Error: argument --scope: invalid choice: 'everything'"),
    ],
)
def test_the_command_refuses_in_a_sentence(program: MiniProgram, changes: dict[str, str], sentence: str) -> None:
    given = {"--app-id": program.app_id, "--name": "Cron", "--scope": "sessions"} | changes

    with pytest.raises(CommandError) as refused:
        run(*(part for pair in given.items() for part in pair))

    assert str(refused.value).startswith(sentence)
    assert facts() == [[], 0]


def test_a_key_needs_a_name(program: MiniProgram) -> None:
    for name in ("", "  ", "n" * 61):
        with pytest.raises(Refused) as refused:
            a_key(program, name=name)
        assert refused.value.code == "bad_name"
    assert facts() == [[], 0]
