"""Who may call what: every address against every kind of credential."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.core import signing
from django.utils import timezone

from notify_platform.api import keys, sessions
from notify_platform.delivery.models import Open
from subscriptions.models import Answer, Grant, Subscriber, Subscription, Visit
from subscriptions.people import people
from tests import factories
from tests.api.conftest import Caller, bearer, problem

pytestmark = pytest.mark.django_db

PHONE_ADDRESSES = [
    ("get", "prompts"),
    ("post", "authorizations"),
    ("get", "subscriptions"),
    ("post", "opens"),
    ("post", "visits"),
]
MISSING = problem("not_authenticated", "Authentication credentials were not provided.")
UNKNOWN = problem("session_unknown", "This is no session of ours: sign in again.")
EXPIRED = problem("session_expired", "The session has expired: sign in again.")
REVOKED = problem("session_revoked", "The session was ended: sign in again.")


def token_of(person):
    return sessions.begin(person.mini_program, openid=person.openid).token


def tampered(person):
    """The person's token with another person's number in it."""
    payload, rest = token_of(person).split(":", 1)
    other = signing.dumps([person.pk + 1, 1], salt=sessions.SALT).split(":", 1)[0]
    assert payload != other
    return f"{other}:{rest}"


def of_another_purpose(person):
    return signing.dumps([person.pk, 1], salt="notify_platform.api.prompt")


def ended(person):
    token = token_of(person)
    people.revoke_sessions(person)
    return token


def of_somebody_forgotten(person):
    token = token_of(person)
    Subscriber.objects.filter(pk=person.pk).delete()
    return token


def expired(person):
    with time_machine.travel(timezone.now() - sessions.LIFETIME - timedelta(seconds=2), tick=False):
        return token_of(person)


def key_of(person):
    return keys.issue(person.mini_program, name="Shop", scopes=["sessions"], by=None).plaintext


CREDENTIALS = [
    ("nothing", lambda person: {}, MISSING),
    ("an API key", lambda person: {"Authorization": f"Api-Key {key_of(person)}"}, MISSING),
    ("a word without a token", lambda person: {"Authorization": "Bearer"}, UNKNOWN),
    ("nonsense", lambda person: bearer("nonsense"), UNKNOWN),
    ("characters no token has", lambda person: bearer("é:ü:ß"), UNKNOWN),
    ("a token with another number", lambda person: bearer(tampered(person)), UNKNOWN),
    ("a token without its end", lambda person: bearer(token_of(person)[:-1]), UNKNOWN),
    ("a signature of another purpose", lambda person: bearer(of_another_purpose(person)), UNKNOWN),
    ("an API key as a session", lambda person: bearer(key_of(person)), UNKNOWN),
    ("an expired token", lambda person: bearer(expired(person)), EXPIRED),
    ("an ended session", lambda person: bearer(ended(person)), REVOKED),
    ("a person who is gone", lambda person: bearer(of_somebody_forgotten(person)), REVOKED),
]


def written():
    return [model.objects.count() for model in (Answer, Grant, Subscription, Visit, Open)]


@pytest.mark.parametrize(("method", "name"), PHONE_ADDRESSES, ids=lambda value: value)
@pytest.mark.parametrize(
    ("make", "refusal"), [row[1:] for row in CREDENTIALS], ids=[row[0].replace(" ", "-") for row in CREDENTIALS]
)
def test_without_a_good_session_nothing_is_told_or_written(person, method, name, make, refusal):
    caller = Caller(headers=make(person))

    answer = caller.get(name) if method == "get" else caller.post(name, {"page": "pages/a"})

    assert (answer.status_code, answer.json()) == (401, refusal)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert written() == [0, 0, 0, 0, 0]


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
