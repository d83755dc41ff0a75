"""Logging in: wrong passwords, waiting, being let in, and what the audit trail keeps of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from notify_platform.console import doors
from notify_platform.console.models import FailedLogin
from notify_platform.core.models import AuditEvent
from tests.console.conftest import At, Colleague

LIMIT = 5
WRONG = "wrong"


def knock(client: Client, name: str = "vera", password: str = WRONG, **headers: Any) -> Any:
    return client.post(reverse("admin:login"), {"username": name, "password": password}, **headers)


def trail() -> list[tuple[str, str]]:
    return list(AuditEvent.objects.order_by("pk").values_list("action", "subject"))


@pytest.fixture
def vera(colleague: Colleague) -> Any:
    return colleague("viewer", name="vera")


@pytest.mark.django_db
def test_after_five_wrong_passwords_the_right_one_has_to_wait_too_and_the_page_says_so(
    client: Client, vera: Any
) -> None:
    assert [knock(client).status_code for _ in range(LIMIT)] == [200, 200, 200, 200, 429]
    answer = knock(client, password="pass-word-1")
    assert (answer.status_code, "_auth_user_id" in client.session) == (429, False)
    assert "Too many wrong passwords. Try again in 15 minutes" in answer.content.decode()
    failed = [("log_in_failed", f"user {vera.pk}")] * (LIMIT - 1)
    assert trail() == [*failed, ("locked_out", f"user {vera.pk}")]


@pytest.mark.django_db
def test_only_the_pair_of_account_and_address_waits(client: Client, vera: Any, colleague: Colleague) -> None:
    colleague("viewer", name="walter")
    for _ in range(LIMIT):
        knock(client)
    assert knock(client, name="walter", password="pass-word-1").status_code == 302
    assert knock(Client(), password="pass-word-1", REMOTE_ADDR="192.0.2.7").status_code == 302


@pytest.mark.django_db
def test_the_wait_ends_by_itself(client: Client, vera: Any) -> None:
    for _ in range(LIMIT):
        knock(client)
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))
    assert knock(client, password="pass-word-1").status_code == 302
    assert AccessAttempt.objects.count() == 0


@pytest.mark.django_db
def test_an_engineer_lets_somebody_in_again(client: Client, vera: Any, colleague: Colleague, at_desk: At) -> None:
    for _ in range(LIMIT):
        knock(client)
    row = FailedLogin.objects.get()
    engineer = colleague("engineer")
    address = reverse("admin:console_failedlogin_let_in", args=[row.pk])
    desk = at_desk(engineer)
    assert (at_desk(vera).post(address).status_code, desk.get(address).status_code) == (403, 405)
    assert "has to wait" in desk.get(reverse("admin:console_failedlogin_changelist")).content.decode()
    assert desk.post(address).status_code == 302
    entry = AuditEvent.objects.get(action="let_in")
    assert (entry.subject, entry.actor_id) == (f"user {vera.pk}", engineer.pk)
    assert knock(client, password="pass-word-1").status_code == 302


@pytest.mark.django_db
def test_the_command_lets_somebody_in_again(client: Client, vera: Any, capsys: Any) -> None:
    with pytest.raises(CommandError, match="No wrong passwords"):
        call_command("let_in", "vera")
    for _ in range(LIMIT):
        knock(client)
    call_command("let_in", "vera")
    assert capsys.readouterr().out == "vera can log in again.\n"
    assert knock(client, password="pass-word-1").status_code == 302


@pytest.mark.django_db
def test_coming_and_going_is_written_down_with_the_address(client: Client, vera: Any) -> None:
    knock(client, password="pass-word-1", REMOTE_ADDR="192.0.2.7")
    client.post(reverse("admin:logout"), REMOTE_ADDR="192.0.2.7")
    assert trail() == [("log_in", f"user {vera.pk}"), ("log_out", f"user {vera.pk}")]
    assert list(AuditEvent.objects.values_list("detail", flat=True)) == [{"ip": "192.0.2.7"}] * 2


@pytest.mark.django_db
def test_who_changes_their_own_password_is_written_down_once_it_is_changed(client: Client, vera: Any) -> None:
    knock(client, password="pass-word-1")
    url, new = reverse("admin:password_change"), "quite-another-9"
    client.post(url, {"old_password": WRONG, "new_password1": new, "new_password2": new})
    client.get(url)
    assert [action for action, _subject in trail()] == ["log_in"]
    client.post(url, {"old_password": "pass-word-1", "new_password1": new, "new_password2": new})
    assert trail()[1:] == [("own_password", f"user {vera.pk}")]
    assert knock(Client(), password=new).status_code == 302


@pytest.mark.django_db
def test_a_password_typed_into_the_wrong_box_is_not_kept(client: Client, vera: Any) -> None:
    knock(client, name="my-Secret-pass-1", password="vera")
    entry = AuditEvent.objects.get()
    assert (entry.subject, entry.detail) == ("login", {"username": "my…", "ip": "127.0.0.1"})


@pytest.mark.django_db
def test_a_password_typed_into_the_wrong_box_is_neither_shown_nor_searched(
    client: Client, vera: Any, colleague: Colleague, at_desk: At
) -> None:
    knock(client, name="my-Secret-pass-1", password="vera")
    knock(client)
    unknown, known = FailedLogin.objects.order_by("pk")
    desk = at_desk(colleague("engineer"))
    listed, whole = reverse("admin:console_failedlogin_changelist"), "my-Secret-pass-1"

    def found(query: str) -> list[FailedLogin]:
        return list(desk.get(listed + query, follow=True).context["cl"].result_list)

    assert found("") == [known, unknown]
    assert (found(f"?q={whole}"), found("?q=vera"), found("?q=127.0.0.1")) == ([], [known], [known, unknown])
    assert desk.get(f"{listed}?username__startswith=my-S").status_code == 400
    let_in = reverse("admin:console_failedlogin_let_in", args=[unknown.pk])
    pages = [desk.get(listed), desk.get(reverse("admin:console_failedlogin_change", args=[unknown.pk]))]
    pages.append(desk.post(let_in, follow=True))
    texts = [page.content.decode() for page in pages]
    assert [("my…" in text, whole in text) for text in texts] == [(True, False)] * 3
    assert ("my… can log in again." in texts[2], list(FailedLogin.objects.all())) == (True, [known])


@pytest.mark.django_db
def test_the_list_of_wrong_passwords_asks_once_whose_names_they_are(
    client: Client, colleague: Colleague, at_desk: At
) -> None:
    desk, listed = at_desk(colleague("engineer")), reverse("admin:console_failedlogin_changelist")
    counts = []
    for number in range(40):
        knock(client, name=f"name {number}")
        if number in (2, 39):
            with CaptureQueriesContext(connection) as queries:
                desk.get(listed)
            counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.django_db
def test_an_address_of_its_own_for_each_try_does_not_help_and_another_line_does_not_wait(
    client: Client, vera: Any
) -> None:
    tries = [knock(client, REMOTE_ADDR=f"2001:db8:1:2::{number}").status_code for number in range(1, LIMIT + 1)]
    assert tries == [200, 200, 200, 200, 429]
    assert knock(client, password="pass-word-1", REMOTE_ADDR="2001:db8:1:2:3:4:5:6").status_code == 429
    assert knock(client, password="pass-word-1", REMOTE_ADDR="2001:db8:1:3::1").status_code == 302


@pytest.mark.django_db
def test_a_forwarded_header_that_is_no_address_is_no_error(client: Client, vera: Any, settings: Any) -> None:
    settings.PROXIES_IN_FRONT = 1
    for forwarded, known in (("unknown", "127.0.0.1"), ("1.2.3.4:80", "1.2.3.4"), ("x" * 300, "127.0.0.1")):
        assert knock(client, HTTP_X_FORWARDED_FOR=forwarded).status_code == 200
        entry = AuditEvent.objects.order_by("pk").last()
        assert entry is not None
        assert entry.detail["ip"] == known
    assert knock(client, REMOTE_ADDR="").status_code == 200


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("198.51.100.9", "198.51.100.9"),
        ("198.51.100.9:4711", "198.51.100.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("[2001:db8:1:2:3:4:5:6]:4711", "2001:db8:1:2::"),
        ("[2001:db8:1:2:3:4:5:6]", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:198.51.100.9", "198.51.100.9"),
        ("198.51.100.999", None),
        ("unknown", None),
        ("[]:80", None),
        ("", None),
    ],
)
def test_one_line_is_one_address_however_it_is_written(written: str, address: str | None) -> None:
    assert doors.line_of(written) == address


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "", "192.0.2.1"),
        (0, "198.51.100.9", "192.0.2.1"),
        (1, "198.51.100.9", "198.51.100.9"),
        (1, "10.9.9.9, 198.51.100.9", "198.51.100.9"),
        (2, "10.9.9.9, 198.51.100.9, 203.0.113.5", "198.51.100.9"),
        (2, "", "192.0.2.1"),
    ],
)
def test_only_what_our_own_proxies_wrote_down_is_believed(
    settings: Any, proxies: int, forwarded: str, address: str
) -> None:
    settings.PROXIES_IN_FRONT = proxies
    headers = {"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {}
    assert doors.client_address(RequestFactory().get("/", REMOTE_ADDR="192.0.2.1", **headers)) == address
