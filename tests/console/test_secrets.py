"""What nobody reads at the desk: secrets, tokens, and other people's whole openids."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from notify_platform.callbacks.models import CallbackEvent
from notify_platform.core.models import AuditEvent
from templates_app.models import AccessToken, MiniProgram
from tests import factories
from tests.console.conftest import At, Colleague, a_callback, a_row_of_everything

SECRETS = {
    "app_secret": "0123456789abcdef0123456789abcdef",
    "callback_token": "TokenOfTheCallback",
    "callback_aes_key": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG",
    "previous_callback_token": "OldTokenOfTheCallback",
    "previous_callback_aes_key": "GFEDCBAzyxwvutsrqponmlkjihgfedcba9876543210",
}


@pytest.fixture
def program(db: None) -> MiniProgram:
    return factories.a_mini_program(**SECRETS)


def page(program: MiniProgram) -> str:
    return reverse("admin:templates_app_miniprogram_change", args=[program.pk])


def typed(program: MiniProgram, **changes: Any) -> dict[str, Any]:
    plain = ["name", "app_id", "original_id", "forward_url", "miniprogram_state", "lang", "pace_per_second"]
    plain += ["approval_threshold", "unknown_after_minutes", "proxy_url", "time_zone", "client_unconfirmed_limit"]
    plain += ["daily_budget"]
    plain += ["most_templates", "asks_per_day", "asks_per_week", "cool_down_days", "ban_witnesses"]
    values = {name: getattr(program, name) for name in plain}
    empty = dict.fromkeys([*SECRETS, "quiet_from", "quiet_until", "cap_per_day", "cap_per_week"], "")
    return {**values, **empty, **changes}


def stored(program: MiniProgram) -> dict[str, str]:
    fresh = MiniProgram.objects.get(pk=program.pk)
    return {name: getattr(fresh, name) for name in SECRETS}


def test_a_secret_is_never_shown_again(program: MiniProgram, colleague: Colleague, at_desk: At) -> None:
    for role in ("engineer", "viewer", None):
        text = at_desk(colleague(role)).get(page(program)).content.decode()
        assert [name for name, secret in SECRETS.items() if secret in text] == []


def test_somebody_who_only_reads_sees_not_even_that_there_is_a_secret(
    program: MiniProgram, colleague: Colleague, at_desk: At
) -> None:
    text = at_desk(colleague("viewer")).get(page(program)).content.decode()
    assert ("app_secret" in text, "App secret" in text, "gAAAA" in text) == (False, False, False)


def test_an_empty_input_keeps_the_stored_secret(program: MiniProgram, admin: Client) -> None:
    assert admin.post(page(program), typed(program, name="Renamed")).status_code == 302
    assert stored(program) == SECRETS
    assert MiniProgram.objects.get(pk=program.pk).name == "Renamed"
    told = AuditEvent.objects.get(action="change").detail["changes"]
    assert told == {"name": [program.name, "Renamed"]}


def test_a_new_secret_replaces_the_stored_one_alone(program: MiniProgram, admin: Client) -> None:
    assert admin.post(page(program), typed(program, app_secret="f" * 32)).status_code == 302
    assert stored(program) == SECRETS | {"app_secret": "f" * 32}


def test_the_previous_callback_keys_can_be_forgotten(program: MiniProgram, admin: Client) -> None:
    admin.post(page(program), typed(program, forget_previous="on"))
    assert stored(program) == SECRETS | {"previous_callback_token": "", "previous_callback_aes_key": ""}


def test_a_mini_program_is_added_with_its_secrets(admin: Client, db: None) -> None:
    new = typed(MiniProgram(name="New", app_id="wx0123456789abcdef"), app_secret="s" * 32)
    assert admin.post(reverse("admin:templates_app_miniprogram_add"), new).status_code == 302
    program = MiniProgram.objects.get()
    assert stored(program) == dict.fromkeys(SECRETS, "") | {"app_secret": "s" * 32}


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        (
            "proxy_url",
            "Leave the user name and password out. A proxy that needs them belongs in HTTPS_PROXY on the server.",
        ),
        ("forward_url", "Leave the user name and password out: everybody at the desk can read this address."),
    ],
)
@pytest.mark.parametrize("login", ["name:pass", "name", ":pass", "name:"])
def test_an_address_with_a_login_in_it_is_refused(
    program: MiniProgram, admin: Client, field: str, sentence: str, login: str
) -> None:
    answer = admin.post(page(program), typed(program, **{field: f"http://{login}@10.0.0.1:3128/x"}))
    assert sentence in answer.context["adminform"].form.errors[field]
    assert getattr(MiniProgram.objects.get(pk=program.pk), field) == ""
    assert AuditEvent.objects.filter(action="change").count() == 0
    plain = "http://10.0.0.1:3128/x?who=a@b"
    assert admin.post(page(program), typed(program, **{field: plain})).status_code == 302
    assert getattr(MiniProgram.objects.get(pk=program.pk), field) == plain


def test_a_login_kept_in_an_address_from_before_is_not_told_when_it_goes(program: MiniProgram, admin: Client) -> None:
    MiniProgram.objects.filter(pk=program.pk).update(proxy_url="http://name:p%40ss@10.0.0.1:3128")
    assert admin.post(page(program), typed(program, proxy_url="http://10.0.0.1:3128")).status_code == 302
    told = AuditEvent.objects.get(action="change").detail["changes"]
    assert told == {"proxy_url": ["http://••••@10.0.0.1:3128", "http://10.0.0.1:3128"]}


def test_a_login_kept_in_an_address_from_before_is_shown_to_nobody_and_not_written_over(
    program: MiniProgram, colleague: Colleague, at_desk: At, admin: Client
) -> None:
    kept = {"proxy_url": "http://name:p%40ss@10.0.0.1:3128", "forward_url": "https://name:p%40ss@shop.example/hook"}
    MiniProgram.objects.filter(pk=program.pk).update(**kept)
    for role in ("engineer", "viewer", None):
        text = at_desk(colleague(role)).get(page(program)).content.decode()
        assert ("p%40ss" in text, "http://••••@10.0.0.1:3128" in text) == (False, True)
        assert "https://••••@shop.example/hook" in text
    shown = {"proxy_url": "http://••••@10.0.0.1:3128", "forward_url": "https://••••@shop.example/hook"}
    answer = admin.post(page(program), typed(program, **shown))
    assert set(answer.context["adminform"].form.errors) == set(shown)
    assert MiniProgram.objects.filter(pk=program.pk).values(*kept).get() == kept


def test_half_a_span_of_quiet_hours_is_told_in_words(program: MiniProgram, admin: Client) -> None:
    answer = admin.post(page(program), typed(program, quiet_from="22:00:00"))
    assert answer.context["adminform"].form.errors == {"quiet_until": ["Give both ends of the hours, or neither."]}


def test_lists_open_even_when_no_key_opens_the_secrets(program: MiniProgram, admin: Client, settings: Any) -> None:
    a_row_of_everything()
    settings.CREDENTIALS_KEYS = ["YW5vdGhlci1rZXktMzItYnl0ZXMtbG9uZy0hISEhISE="]
    for name in (
        "templates_app_miniprogram",
        "jobs_sendjob",
        "templates_app_messagetemplate",
        "callbacks_callbackevent",
    ):
        assert admin.get(reverse(f"admin:{name}_changelist")).status_code == 200
    assert admin.get(reverse("admin:index")).status_code == 200


def test_the_access_token_is_never_shown(admin: Client) -> None:
    a_row_of_everything()
    token = AccessToken.objects.get()
    for url in (
        reverse("admin:templates_app_accesstoken_changelist"),
        reverse("admin:templates_app_accesstoken_change", args=[token.pk]),
    ):
        assert "the-token-itself" not in admin.get(url).content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("role", "whole"), [("viewer", False), ("operator", False), ("approver", False), ("engineer", True), (None, True)]
)
def test_a_whole_openid_stands_only_on_the_persons_page_for_those_who_may_change_people(
    role: str | None, whole: bool, colleague: Colleague, at_desk: At
) -> None:
    person = a_row_of_everything()["person"]
    desk = at_desk(colleague(role))
    own_page = reverse("admin:subscriptions_subscriber_change", args=[person.pk])
    lists = [
        f"admin:{name}_changelist"
        for name in (
            "subscriptions_subscriber",
            "subscriptions_grant",
            "subscriptions_subscription",
            "subscriptions_answer",
            "subscriptions_audiencemember",
            "subscriptions_visit",
            "delivery_delivery",
            "delivery_skip",
            "delivery_open",
            "jobs_event",
        )
    ]
    assert (person.openid in desk.get(own_page).content.decode()) is whole
    texts = [desk.get(reverse(name)).content.decode() for name in lists]
    assert [person.masked_openid in text for text in texts] == [True] * len(lists)
    assert [person.openid in text for text in texts] == [False] * len(lists)


def test_a_push_is_shown_with_its_openids_masked(program: MiniProgram, admin: Client) -> None:
    openid = factories.an_openid()
    push: CallbackEvent = a_callback(program, openid=openid)
    push.body |= {"nested": [{"OpenID": openid, "other": "kept as it is"}]}
    push.save()
    text = admin.get(reverse("admin:callbacks_callbackevent_change", args=[push.pk])).content.decode()
    assert (openid in text, "kept as it is" in text) == (False, True)
