"""API keys: issued once, kept as a digest, revocable."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from notify_platform.api import keys
from notify_platform.api.models import ApiKey
from notify_platform.core.errors import Refused
from notify_platform.core.models import AuditEvent
from tests import factories
from tests.api.conftest import Caller, problem

pytestmark = pytest.mark.django_db
OPENID = "o9AgO5Kd5ggOC-bXrbNODIiE3bGY"


def issue(mini_program, **changes):
    values = {"name": "Shop", "scopes": ["sessions"], "by": None}
    return keys.issue(mini_program, **(values | changes))


def code_of(plaintext):
    with pytest.raises(Refused) as refused:
        keys.check(plaintext)
    return refused.value.code


def test_a_key_opens_what_it_was_issued_for(mini_program):
    engineer = factories.a_user()

    issued = issue(mini_program, by=engineer)

    assert keys.check(issued.plaintext) == issued.key
    assert (issued.key.mini_program, issued.key.scopes, issued.key.created_by) == (mini_program, ["sessions"], engineer)
    trail = AuditEvent.objects.get()
    assert (trail.actor, trail.action, trail.subject) == (engineer, "issue_key", f"api key {issued.key.pk}")


def test_the_secret_is_not_stored(mini_program):
    issued = issue(mini_program)

    secret = issued.plaintext.partition(".")[2]
    stored = ApiKey.objects.values().get()
    assert len(secret) == 43
    assert [name for name, value in stored.items() if secret in str(value)] == []
    assert secret not in str(AuditEvent.objects.values().get())


def test_two_keys_have_nothing_in_common(mini_program):
    first, second = (issue(mini_program).plaintext.split(".") for _ in range(2))

    assert set(first) & set(second) == set()


@pytest.mark.parametrize("scopes", [[], ["everything"], ["sessions", "everything"]])
def test_a_key_for_nothing_or_for_something_unknown_is_not_issued(mini_program, scopes):
    with pytest.raises(Refused) as refused:
        issue(mini_program, scopes=scopes)

    assert refused.value.code == "bad_scopes"
    assert (ApiKey.objects.count(), AuditEvent.objects.count()) == (0, 0)


def test_a_key_that_has_expired_already_is_not_issued(mini_program):
    with pytest.raises(Refused) as refused:
        issue(mini_program, expires_at=timezone.now())

    assert refused.value.code == "bad_expiry"
    assert ApiKey.objects.count() == 0


@pytest.mark.parametrize("text", ["", ".", "nonsense", "é.ü", "abcdefabcdef.", "abcdefabcdef.secret"])
def test_a_text_that_is_no_key_opens_nothing(mini_program, text):
    issue(mini_program)

    assert code_of(text) == "key_unknown"


def test_a_key_needs_its_own_secret(mini_program):
    first, second = issue(mini_program), issue(mini_program)
    mixed = f"{first.key.prefix}.{second.plaintext.partition('.')[2]}"

    assert code_of(mixed) == "key_unknown"
    assert code_of(first.plaintext[:-1]) == "key_unknown"
    assert code_of(f"{first.key.prefix}.{first.key.secret_hash}") == "key_unknown"


def test_a_revoked_key_opens_nothing_from_that_moment(mini_program):
    engineer = factories.a_user()
    issued, other = issue(mini_program), issue(mini_program)

    assert keys.revoke(issued.key, by=engineer)

    assert code_of(issued.plaintext) == "key_revoked"
    assert keys.check(other.plaintext) == other.key
    assert AuditEvent.objects.filter(action="revoke_key", actor=engineer).count() == 1


def test_revoking_twice_is_one_revocation(mini_program):
    issued = issue(mini_program)
    keys.revoke(issued.key, by=None)
    revoked_at = ApiKey.objects.get().revoked_at

    assert not keys.revoke(issued.key, by=None)
    assert ApiKey.objects.get().revoked_at == revoked_at
    assert AuditEvent.objects.filter(action="revoke_key").count() == 1


def test_a_key_expires(mini_program):
    ends = timezone.now() + timedelta(days=1)
    issued = issue(mini_program, expires_at=ends)

    assert keys.check(issued.plaintext) == issued.key
    with time_machine.travel(ends, tick=False):
        assert code_of(issued.plaintext) == "key_expired"


def test_the_last_use_is_noted_at_most_once_a_minute(mini_program, django_assert_num_queries):
    issued = issue(mini_program)
    start = timezone.now()

    noted = []
    for seconds, queries in ((0, 2), (59, 1), (60, 2), (61, 1)):
        with time_machine.travel(start + timedelta(seconds=seconds), tick=False), django_assert_num_queries(queries):
            keys.check(issued.plaintext)
        noted.append(ApiKey.objects.get().last_used_at - start)

    assert noted == [timedelta(), timedelta(), timedelta(seconds=60), timedelta(seconds=60)]


@pytest.mark.parametrize(
    ("spoil", "refusal"),
    [
        (lambda key: None, None),
        (lambda key: keys.revoke(key, by=None), problem("key_revoked", "This API key was revoked.")),
        (
            lambda key: ApiKey.objects.update(expires_at=timezone.now()),
            problem("key_expired", "This API key has expired."),
        ),
        (
            lambda key: ApiKey.objects.update(secret_hash="0" * 64),
            problem("key_unknown", "This is no API key of ours."),
        ),
    ],
    ids=["good", "revoked", "expired", "with another secret"],
)
def test_a_back_end_with_a_key_that_is(mini_program, spoil, refusal):
    issued = issue(mini_program)
    spoil(issued.key)
    caller = Caller(headers={"Authorization": f"Api-Key {issued.plaintext}"})

    answer = caller.post("sessions", {"app_id": mini_program.app_id, "openid": OPENID})

    if refusal is None:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json()) == (401, refusal)
        assert answer.headers["WWW-Authenticate"] == "Api-Key"
        assert mini_program.subscribers.count() == 0
