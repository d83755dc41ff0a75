"""The second step of the log-in, with real codes."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from notify_platform.console import second_step
from notify_platform.core.models import AuditEvent
from tests.console.conftest import Colleague
from tests.console.test_door import knock

SETUP, CODE, FRONT = "admin:auth_user_second_step_setup", "admin:auth_user_second_step", "admin:index"


def code_of(device: TOTPDevice, *, steps_ahead: int = 0) -> str:
    """Return what the phone shows now, or so many half minutes later."""
    totp = TOTP(device.bin_key)
    totp.time = time.time() + 30 * steps_ahead
    return f"{totp.token():06d}"


def actions() -> list[str]:
    return list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))


@pytest.fixture
def vera(colleague: Colleague, settings: Any) -> User:
    settings.DESK_TOTP = second_step.OPTIONAL
    return colleague("viewer", name="vera")


@pytest.fixture
def spares(vera: User) -> list[str]:
    """Vera has a phone; its first code is used up."""
    second_step.begin(vera)
    return second_step.confirm(vera, code=code_of(TOTPDevice.objects.get()))[1]


@pytest.mark.django_db
def test_a_phone_is_set_up_by_scanning_and_giving_its_first_code(client: Client, vera: User) -> None:
    knock(client, password="pass-word-1")
    assert TOTPDevice.objects.count() == 0
    assert "Protect your account" in client.get(reverse(SETUP)).content.decode()
    assert TOTPDevice.objects.count() == 0
    client.post(reverse(SETUP), {"do": "begin"})
    device = TOTPDevice.objects.get()
    page = client.get(reverse(SETUP)).content.decode()
    assert ('src="data:image/svg+xml' in page, device.confirmed) == (True, False)
    wrong = client.post(reverse(SETUP), {"do": "confirm", "code": "000000"})
    assert "This code is not right" in wrong.content.decode()
    TOTPDevice.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)
    done = client.post(reverse(SETUP), {"do": "confirm", "code": code_of(device)})
    tokens = list(StaticToken.objects.values_list("token", flat=True))
    assert len(tokens) == second_step.SPARE_CODES
    assert [token for token in tokens if token not in done.content.decode()] == []
    assert client.get(reverse(FRONT)).status_code == 200
    assert actions() == ["log_in", "second_step_on"]


@pytest.mark.django_db
def test_no_page_opens_and_no_post_works_before_the_code(client: Client, spares: list[str]) -> None:
    knock(client, password="pass-word-1")
    jobs = reverse("admin:jobs_sendjob_changelist")
    answer = client.get(jobs)
    assert (answer.status_code, answer["Location"]) == (302, f"{reverse(CODE)}?next=%2Fadmin%2Fjobs%2Fsendjob%2F")
    assert client.post(reverse("admin:password_change"), {"old_password": "pass-word-1"})["Location"].startswith(
        reverse(CODE)
    )
    # A stolen password puts no other phone in place of this one.
    assert client.post(reverse(SETUP), {"do": "begin"})["Location"] == reverse(CODE)
    assert TOTPDevice.objects.count() == 1
    device = TOTPDevice.objects.get()
    through = client.post(answer["Location"], {"code": code_of(device, steps_ahead=1), "next": jobs})
    assert (through.status_code, through["Location"]) == (302, jobs)
    assert client.get(jobs).status_code == 200


@pytest.mark.django_db
def test_a_code_counts_once_and_a_wrong_one_is_written_down(client: Client, spares: list[str]) -> None:
    knock(client, password="pass-word-1")
    used = code_of(TOTPDevice.objects.get())
    page = client.post(reverse(CODE), {"code": used})
    assert "This code is not right" in page.content.decode()
    assert actions()[-1] == "second_step_failed"
    assert client.get(reverse(FRONT)).status_code == 302


@pytest.mark.django_db
def test_a_spare_code_lets_in_once(client: Client, spares: list[str]) -> None:
    knock(client, password="pass-word-1")
    assert client.post(reverse(CODE), {"code": spares[0].upper()}).status_code == 302
    assert client.get(reverse(FRONT)).status_code == 200
    assert actions()[-1] == "spare_code"
    again = Client()
    knock(again, password="pass-word-1")
    assert again.post(reverse(CODE), {"code": spares[0]}).status_code == 200
    assert StaticToken.objects.count() == second_step.SPARE_CODES - 1


@pytest.mark.django_db
def test_the_address_after_the_code_is_ours(client: Client, spares: list[str]) -> None:
    knock(client, password="pass-word-1")
    answer = client.post(reverse(CODE), {"code": spares[0], "next": "https://elsewhere.example/"})
    assert answer["Location"] == reverse(FRONT)


@pytest.mark.django_db
def test_required_sends_everybody_to_the_set_up_and_lets_nobody_turn_it_off(
    client: Client, vera: User, settings: Any
) -> None:
    settings.DESK_TOTP = second_step.REQUIRED
    knock(client, password="pass-word-1")
    assert client.get(reverse(FRONT))["Location"] == reverse(SETUP)
    client.post(reverse(SETUP), {"do": "begin"})
    client.post(reverse(SETUP), {"do": "confirm", "code": code_of(TOTPDevice.objects.get())})
    assert client.get(reverse(FRONT)).status_code == 200
    client.post(reverse(SETUP), {"do": "drop"})
    assert TOTPDevice.objects.filter(confirmed=True).count() == 1


@pytest.mark.django_db
def test_off_asks_for_the_password_alone(client: Client, spares: list[str], settings: Any) -> None:
    settings.DESK_TOTP = second_step.OFF
    knock(client, password="pass-word-1")
    assert client.get(reverse(FRONT)).status_code == 200


@pytest.mark.django_db
def test_an_administrator_resets_the_phone_of_a_colleague(
    admin: Client, client: Client, vera: User, spares: list[str]
) -> None:
    address = reverse("admin:auth_user_second_step_drop", args=[vera.pk])
    assert address in admin.get(reverse("admin:auth_user_change", args=[vera.pk])).content.decode()
    assert (client.post(address).status_code, admin.get(address).status_code) == (302, 405)
    assert TOTPDevice.objects.count() == 1
    admin.post(address)
    assert (TOTPDevice.objects.count(), StaticToken.objects.count()) == (0, 0)
    assert AuditEvent.objects.filter(action="second_step_off", subject=f"user {vera.pk}").count() == 1
    knock(client, password="pass-word-1")
    assert client.get(reverse(FRONT)).status_code == 200


@pytest.mark.django_db
def test_the_command_resets_a_phone(vera: User, spares: list[str], capsys: Any) -> None:
    call_command("reset_second_step", "vera")
    assert capsys.readouterr().out == "The second step of vera was reset.\n"
    with pytest.raises(CommandError, match="No phone is set up"):
        call_command("reset_second_step", "vera")
