"""Who may call what: every address against every kind of credential, and what it answers exactly.

A new address has to join the table, or ``test_every_address_is_in_the_table`` fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.apps import apps
from django.core import signing
from django.db.models import Model
from django.utils import timezone

from notify_platform.api import keys, sessions, urls
from notify_platform.api.models import ApiKey
from notify_platform.delivery import keys as card_keys
from notify_platform.delivery.models import Delivery
from subscriptions.models import Grant, Subscriber
from subscriptions.people import people
from templates_app.models import MessageTemplate
from tests import factories
from tests.api.conftest import Caller, bearer
from tests.architecture.tree import PACKAGES

pytestmark = pytest.mark.django_db
OK = (200, "")
EVENT = {"event": "order_shipped", "event_id": "1", "data": {}}


@dataclass(frozen=True)
class World:
    """What the requests name: all of it is of one mini-program."""

    person: Subscriber
    template: MessageTemplate
    delivery: Delivery

    @property
    def app_id(self) -> str:
        return self.person.mini_program.app_id

    @property
    def nk(self) -> str:
        return card_keys.make(self.delivery.pk)


@pytest.fixture
def world(person, template, delivery):
    person.mini_program.scenes.create(code="order-paid", name="Paid").asks.create(template=template)
    return World(person=person, template=template, delivery=delivery)


@dataclass(frozen=True)
class Address:
    """One method of one address, with a request that is good but for who sends it.

    ``elsewhere`` is what somebody of another mini-program hears who has a session, or a key, of their own.
    """

    method: str
    name: str
    body: Callable[[World], Any] = lambda world: {}
    parts: Callable[[World], list[object]] = lambda world: []
    scope: str = ""
    elsewhere: tuple[int, str] = (403, "wrong_app")

    def __str__(self) -> str:
        return f"{self.method} {self.name}"

    def call(self, world: World, headers: dict[str, str]) -> Any:
        body, caller = self.body(world), Caller(headers=headers)
        if self.method == "get":
            return caller.call("get", self.name, *self.parts(world), **body)
        return caller.call(self.method, self.name, *self.parts(world), body=body)


PHONES = [
    Address("get", "prompts", lambda world: {"scene": "order-paid"}, elsewhere=(400, "unknown_scene")),
    Address(
        "post",
        "authorizations",
        lambda world: {
            "scene": "order-paid",
            "results": {world.template.wechat_id: "accept"},
            "client_request_id": "request-1",
        },
        elsewhere=(400, "unknown_scene"),
    ),
    Address("get", "subscriptions", elsewhere=OK),
    Address(
        "put",
        "wechat-settings",
        lambda world: {"mainSwitch": False, "itemSettings": {world.template.wechat_id: "reject"}},
        elsewhere=OK,
    ),
    Address("get", "preferences", elsewhere=OK),
    Address(
        "patch",
        "preferences",
        lambda world: {"muted": [world.template.wechat_id]},
        elsewhere=(400, "unknown_template"),
    ),
    Address("patch", "profile", lambda world: {"city": "深圳"}, elsewhere=OK),
    Address("post", "opens", lambda world: {"nk": world.nk}, elsewhere=OK),
    Address("post", "visits", lambda world: {"page": "pages/a", "nk": world.nk}, elsewhere=OK),
    Address("post", "conversions", lambda world: {"goal": "order", "nk": world.nk}, elsewhere=OK),
    Address(
        "post",
        "feedback",
        lambda world: {"nk": world.nk, "kind": "useful"},
        elsewhere=(400, "not_your_card"),
    ),
]
BACK_ENDS = [
    Address(
        "post",
        "sessions",
        lambda world: {"app_id": world.app_id, "openid": "o9AgO5Kd5ggOC-bXrbNODIiE3bGY"},
        scope="sessions",
    ),
    Address(
        "post",
        "events",
        lambda world: {"app_id": world.app_id, "openid": world.person.openid, **EVENT},
        scope="events",
    ),
    Address("delete", "event", parts=lambda world: [world.app_id, "order_shipped", "1"], scope="events"),
    Address(
        "get",
        "delivery",
        parts=lambda world: [world.delivery.pk],
        scope="deliveries",
        elsewhere=(404, "not_found"),
    ),
    Address(
        "post",
        "subscribers",
        lambda world: {"app_id": world.app_id, "subscribers": [{"openid": world.person.openid, "city": "深圳"}]},
        scope="subscribers",
    ),
    Address(
        "post",
        "consents",
        lambda world: {
            "app_id": world.app_id,
            "import_id": "import-1",
            "consents": [{"openid": world.person.openid, "template_id": world.template.wechat_id}],
        },
        scope="consents",
    ),
]
OPEN_TO_ALL = [Address("get", "schema"), Address("get", "docs")]


def test_every_address_is_in_the_table():
    there = {
        (method, route.name.removeprefix("api-"))
        for route in urls.version_1
        for method in ("get", "post", "put", "patch", "delete")
        if hasattr(route.callback.view_class, method)
    }

    assert {(each.method, each.name) for each in PHONES + BACK_ENDS + OPEN_TO_ALL} == there


# --- credentials ---------------------------------------------------------------------------------------------------


def token_of(person):
    return sessions.begin(person.mini_program, openid=person.openid).token


def somebody_elsewhere():
    return factories.subscribers(factories.a_mini_program(), count=1)[0]


def tampered(person):
    """The person's token with another person's number in it."""
    payload, rest = token_of(person).split(":", 1)
    other = signing.dumps([person.pk + 1, 1], salt=sessions.SALT).split(":", 1)[0]
    assert payload != other
    return f"{other}:{rest}"


def ended(person):
    token = token_of(person)
    people.revoke_sessions(person)
    return token


def of_somebody_gone(person):
    gone = factories.subscribers(person.mini_program, count=1)[0]
    token = token_of(gone)
    gone.delete()
    return token


def expired(person):
    with time_machine.travel(timezone.now() - sessions.LIFETIME - timedelta(seconds=2), tick=False):
        return token_of(person)


def key_of(mini_program, *, but=(), **more):
    scopes = [scope for scope in ApiKey.Scope.values if scope not in but]
    return keys.issue(mini_program, name="Shop", scopes=scopes, by=None, **more)


def api_key(plaintext):
    return {"Authorization": f"Api-Key {plaintext}"}


def key_without(world, address):
    """A key for everything but this address."""
    return api_key(key_of(world.person.mini_program, but=[address.scope]).plaintext)


def expired_key(world, address):
    with time_machine.travel(timezone.now() - timedelta(days=2), tick=False):
        issued = key_of(world.person.mini_program, expires_at=timezone.now() + timedelta(days=1))
    return api_key(issued.plaintext)


def revoked_key(world, address):
    issued = key_of(world.person.mini_program)
    keys.revoke(issued.key, by=None)
    return api_key(issued.plaintext)


def half_of_two_keys(world, address):
    """The name of one key with the secret of another."""
    first, second = (key_of(world.person.mini_program).plaintext.split(".") for _ in range(2))
    return api_key(f"{first[0]}.{second[1]}")


Credential = Callable[[World, Address], dict[str, str]]
MISSING, UNKNOWN, KEY_UNKNOWN = (401, "not_authenticated"), (401, "session_unknown"), (401, "key_unknown")
# What is shown, and what an address for phones answers to it; for back ends below.
SESSIONS: list[tuple[str, Credential, tuple[int, str]]] = [
    ("nothing", lambda world, address: {}, MISSING),
    ("a-word-without-a-token", lambda world, address: {"Authorization": "Bearer"}, UNKNOWN),
    ("nonsense", lambda world, address: bearer("nonsense"), UNKNOWN),
    ("characters-no-token-has", lambda world, address: bearer("é:ü:ß"), UNKNOWN),
    ("another-number", lambda world, address: bearer(tampered(world.person)), UNKNOWN),
    ("a-token-without-its-end", lambda world, address: bearer(token_of(world.person)[:-1]), UNKNOWN),
    (
        "a-signature-of-another-purpose",
        lambda world, address: bearer(signing.dumps([world.person.pk, 1], salt="notify_platform.api.prompt")),
        UNKNOWN,
    ),
    ("a-key", lambda world, address: api_key(key_of(world.person.mini_program).plaintext), MISSING),
    ("a-key-as-a-session", lambda world, address: bearer(key_of(world.person.mini_program).plaintext), UNKNOWN),
    ("an-expired-session", lambda world, address: bearer(expired(world.person)), (401, "session_expired")),
    ("an-ended-session", lambda world, address: bearer(ended(world.person)), (401, "session_revoked")),
    ("a-person-who-is-gone", lambda world, address: bearer(of_somebody_gone(world.person)), (401, "session_revoked")),
]
KEYS: list[tuple[str, Credential, tuple[int, str]]] = [
    ("nothing", lambda world, address: {}, MISSING),
    ("a-word-without-a-key", lambda world, address: {"Authorization": "Api-Key"}, KEY_UNKNOWN),
    ("nonsense", lambda world, address: api_key("nonsense"), KEY_UNKNOWN),
    ("characters-no-key-has", lambda world, address: api_key("é.ü"), KEY_UNKNOWN),
    ("half-of-two-keys", half_of_two_keys, KEY_UNKNOWN),
    ("a-session", lambda world, address: bearer(token_of(world.person)), MISSING),
    ("a-session-as-a-key", lambda world, address: api_key(token_of(world.person)), KEY_UNKNOWN),
    ("a-key-as-a-session", lambda world, address: bearer(key_of(world.person.mini_program).plaintext), MISSING),
    ("a-key-for-other-things", key_without, (403, "wrong_scope")),
    ("an-expired-key", expired_key, (401, "key_expired")),
    ("a-revoked-key", revoked_key, (401, "key_revoked")),
]


def everything(*, but: Subscriber | None = None) -> dict[str, list[dict[str, Any]]]:
    """Every row of ours; without one person's own, and without when a key was last used."""
    return {
        model._meta.label: [row for row in rows_of(model) if but is None or row.get("subscriber_id") != but.pk]
        for model in apps.get_models()
        if model.__module__.split(".")[0] in PACKAGES
    }


def rows_of(model: type[Model]) -> list[dict[str, Any]]:
    rows = list(model._default_manager.order_by("pk").values())
    for row in rows:
        row.pop("last_used_at", None)
        if model is Subscriber:
            row["subscriber_id"] = row["id"]
    return rows


def heard(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"] if answer.status_code >= 400 else ""


# --- the table -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", PHONES, ids=str)
@pytest.mark.parametrize(
    ("credential", "refusal"), [row[1:] for row in SESSIONS], ids=[name for name, *_rest in SESSIONS]
)
def test_without_a_good_session_nothing_is_told_or_written(world, address, credential, refusal):
    headers = credential(world, address)
    before = everything()

    answer = address.call(world, headers)

    assert (heard(answer), answer.headers["WWW-Authenticate"]) == (refusal, "Bearer")
    assert everything() == before


@pytest.mark.parametrize("address", BACK_ENDS, ids=str)
@pytest.mark.parametrize(("credential", "refusal"), [row[1:] for row in KEYS], ids=[name for name, *_rest in KEYS])
def test_without_a_good_key_nothing_is_told_or_written(world, address, credential, refusal):
    headers = credential(world, address)
    before = everything()

    answer = address.call(world, headers)

    assert heard(answer) == refusal
    assert answer.headers.get("WWW-Authenticate") == ("Api-Key" if refusal[0] == 401 else None)
    assert everything() == before


@pytest.mark.parametrize("address", PHONES, ids=str)
def test_a_session_of_another_mini_program_reaches_nothing_but_its_own_person(world, address):
    stranger = somebody_elsewhere()
    headers = bearer(token_of(stranger))
    before = everything(but=stranger)

    answer = address.call(world, headers)

    assert heard(answer) == address.elsewhere
    assert world.person.openid not in answer.content.decode()
    assert everything(but=stranger) == before


@pytest.mark.parametrize("address", BACK_ENDS, ids=str)
def test_a_key_of_another_mini_program_reaches_nothing(world, address):
    headers = api_key(key_of(factories.a_mini_program()).plaintext)
    before = everything()

    answer = address.call(world, headers)

    assert heard(answer) == address.elsewhere
    assert everything() == before


@pytest.mark.parametrize("address", PHONES + BACK_ENDS, ids=str)
def test_the_right_caller_is_let_in(world, address):
    key = key_of(world.person.mini_program, but=set(ApiKey.Scope.values) - {address.scope}) if address.scope else None
    headers = api_key(key.plaintext) if key else bearer(token_of(world.person))

    answer = address.call(world, headers)

    assert heard(answer) == (202 if str(address) == "post events" else 200, "")


@pytest.mark.parametrize("address", OPEN_TO_ALL, ids=str)
@pytest.mark.parametrize(
    "credential", [row[1] for row in SESSIONS + KEYS], ids=[name for name, *_rest in SESSIONS + KEYS]
)
def test_the_documents_are_open_to_all(world, credential, address):
    headers = credential(world, Address("get", address.name, scope="events"))

    assert Caller(headers=headers).get(address.name).status_code == 200


# --- besides -------------------------------------------------------------------------------------------------------


def test_the_scheme_may_be_written_in_any_case(person):
    assert Caller(headers={"Authorization": f"bearer  {token_of(person)}"}).get("subscriptions").status_code == 200


def test_what_one_person_reports_is_no_one_elses(person, phone, template):
    other = factories.subscribers(person.mini_program, count=1)[0]
    person.mini_program.scenes.create(code="order-paid", name="Paid")
    body = {
        "results": {template.wechat_id: "accept"},
        "client_request_id": "request-1",
        "scene": "order-paid",
        "openid": other.openid,
        "subscriber": other.pk,
    }

    assert phone.post("authorizations", body).status_code == 200
    assert list(Grant.objects.values_list("subscriber_id", flat=True)) == [person.pk]
