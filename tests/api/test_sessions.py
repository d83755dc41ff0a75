"""Signing in: by wx.login, or by the merchant's own back end."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import time_machine
from django.db import connection

from notify_platform.api import keys, login, sessions
from notify_platform.api.models import ApiKey
from subscriptions.models import Subscriber
from subscriptions.people import people
from tests import factories
from tests.api.conftest import Caller, bearer, invalid, problem
from tests.wechat_world import introduce

pytestmark = pytest.mark.django_db
OPENID = "o9AgO5Kd5ggOC-bXrbNODIiE3bGY"
NOT_NOW = "Signing in with WeChat does not work at the moment. Try again a little later."


def test_a_code_of_wx_login_begins_a_session(stranger, mini_program, template, wechat):
    introduce(wechat, mini_program)
    code = wechat.login_code(mini_program.app_id, OPENID)

    with time_machine.travel(datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC), tick=False):
        answer = stranger.post("sessions", {"app_id": mini_program.app_id, "code": code})

    person = Subscriber.objects.get()
    assert (person.mini_program, person.openid) == (mini_program, OPENID)
    assert answer.status_code == 200
    assert answer.json() == {
        "token": answer.json()["token"],
        "expires_at": "2026-11-30T08:00:00Z",
        "subscriber": sessions.public_id(person.pk),
    }
    with time_machine.travel(datetime(2026, 11, 30, 7, 59, 0, tzinfo=UTC), tick=False):
        assert Caller(headers=bearer(answer.json()["token"])).get("subscriptions").json() == {"subscriptions": []}


def test_who_signs_in_again_is_the_same_person(stranger, mini_program, template, wechat):
    introduce(wechat, mini_program)
    answers = [
        stranger.post("sessions", {"app_id": mini_program.app_id, "code": wechat.login_code(mini_program.app_id, one)})
        for one in (OPENID, OPENID, "o" * 28)
    ]

    who = [answer.json()["subscriber"] for answer in answers]
    assert Subscriber.objects.count() == 2
    assert who[0] == who[1] != who[2]


def test_nothing_outside_tells_the_openid_and_no_session_key_is_stored(stranger, mini_program, template, wechat):
    introduce(wechat, mini_program)
    code = wechat.login_code(mini_program.app_id, OPENID)

    answer = stranger.post("sessions", {"app_id": mini_program.app_id, "code": code})

    assert OPENID not in answer.content.decode()
    assert str(Subscriber.objects.get().pk) != answer.json()["subscriber"]
    assert answer.headers["Cache-Control"] == "no-store"
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM subscriptions_subscriber")
        names = {column[0] for column in cursor.description}
    assert {name for name in names if "key" in name} == set()


@pytest.mark.parametrize("used", [True, False], ids=["used before", "never issued"])
def test_a_bad_code_is_refused_in_words_and_nobody_is_enrolled(stranger, mini_program, template, wechat, used):
    introduce(wechat, mini_program)
    code = wechat.login_code(mini_program.app_id, OPENID) if used else "0never"
    if used:
        stranger.post("sessions", {"app_id": mini_program.app_id, "code": code})
        Subscriber.objects.all().delete()

    answer = stranger.post("sessions", {"app_id": mini_program.app_id, "code": code})

    why = "The login code was used before." if used else "The login code is wrong, expired or of another app."
    assert answer.status_code == 400
    assert answer.json() == problem("login_refused", f"{why} Call wx.login again.")
    assert Subscriber.objects.count() == 0


def test_a_secret_wechat_does_not_take_is_not_the_phones_business(stranger, mini_program, template, wechat):
    introduce(wechat, mini_program, secret="another-secret-another-secret-00")
    code = wechat.login_code(mini_program.app_id, OPENID)

    answer = stranger.post("sessions", {"app_id": mini_program.app_id, "code": code})

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    assert answer.json() == problem("unavailable", NOT_NOW)


def test_when_wechat_cannot_be_reached_the_phone_is_told_to_come_back(stranger, mini_program):
    answer = stranger.post("sessions", {"app_id": mini_program.app_id, "code": "0code"})

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json() == problem("unavailable", NOT_NOW)
    assert Subscriber.objects.count() == 0


def test_an_app_id_we_do_not_have_is_refused(stranger, db):
    answer = stranger.post("sessions", {"app_id": "wx0000000000000000", "code": "0code"})

    why = "There is no such mini-program here."
    assert (answer.status_code, answer.json()) == (400, problem("unknown_app", why, app_id=why))


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"app_id": "This field is required."}),
        ({"app_id": "wx1"}, {"code": "Send either code or openid."}),
        ({"app_id": "wx1", "code": None, "openid": None}, {"code": "Send either code or openid."}),
        ({"app_id": "wx1", "code": "0a", "openid": OPENID}, {"code": "Send either code or openid."}),
        ({"app_id": "wx1", "code": ""}, {"code": "This field may not be blank."}),
        ({"app_id": "wx1", "code": "0" * 129}, {"code": "Ensure this field has no more than 128 characters."}),
        ({"app_id": 7, "code": "0a"}, {"app_id": "Not a valid string."}),
        ({"app_id": "wx1", "code": ["0a"]}, {"code": "Not a valid string."}),
        ({"app_id": "wx1", "code": "a\u0000"}, {"code": "Null characters are not allowed."}),
        ({"app_id": "wx1", "openid": "short"}, {"openid": "This value has the wrong shape."}),
        ({"app_id": "wx1", "openid": f"{OPENID}\n"}, {"openid": "This value has the wrong shape."}),
        ({"app_id": "wx1", "openid": 7}, {"openid": "This value has the wrong shape."}),
    ],
)
def test_what_is_wrong_with_the_input_is_said_field_by_field(stranger, db, body, fields):
    answer = stranger.post("sessions", body)

    assert (answer.status_code, answer.json()) == (400, invalid(**fields))


def test_a_phone_may_send_its_expired_session_along(stranger, mini_program, template, wechat):
    introduce(wechat, mini_program)
    code = wechat.login_code(mini_program.app_id, OPENID)

    answer = stranger.post("sessions", {"app_id": mini_program.app_id, "code": code}, **bearer("expired:long:ago"))

    assert answer.status_code == 200


def test_a_back_end_begins_a_session_for_an_openid(back_end, mini_program):
    answer = back_end.post("sessions", {"app_id": mini_program.app_id, "openid": OPENID})

    person = Subscriber.objects.get()
    assert (person.mini_program, person.openid) == (mini_program, OPENID)
    assert answer.json()["subscriber"] == sessions.public_id(person.pk)
    assert sessions.check(answer.json()["token"]) == person


def test_an_openid_alone_is_no_proof(stranger, mini_program):
    answer = stranger.post("sessions", {"app_id": mini_program.app_id, "openid": OPENID})

    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Api-Key")
    assert answer.json() == problem("not_authenticated", "Signing in by openid needs an API key.")
    assert Subscriber.objects.count() == 0


def test_a_key_opens_its_own_mini_program_only(back_end):
    other = factories.a_mini_program()

    answer = back_end.post("sessions", {"app_id": other.app_id, "openid": OPENID})

    assert (answer.status_code, answer.json()) == (
        403,
        problem("wrong_app", "This API key is of another mini-program."),
    )
    assert Subscriber.objects.count() == 0


def test_a_key_without_the_scope_signs_nobody_in(stranger, mini_program):
    issued = keys.issue(mini_program, name="Shop", scopes=["sessions"], by=None)
    ApiKey.objects.update(scopes=[])
    header = {"Authorization": f"Api-Key {issued.plaintext}"}

    answer = stranger.post("sessions", {"app_id": mini_program.app_id, "openid": OPENID}, **header)

    assert (answer.status_code, answer.json()) == (403, problem("wrong_scope", "This API key may not sign people in."))
    assert Subscriber.objects.count() == 0


def test_checking_a_session_takes_one_query(person, django_assert_num_queries):
    token = sessions.begin(person.mini_program, openid=person.openid).token

    with django_assert_num_queries(1):
        assert sessions.check(token) == person


def test_a_session_of_somebody_known_takes_one_query(person, django_assert_num_queries):
    with django_assert_num_queries(1):
        sessions.begin(person.mini_program, openid=person.openid)


def test_ending_the_sessions_ends_the_old_ones_alone(person):
    old = Caller(headers=bearer(sessions.begin(person.mini_program, openid=person.openid).token))
    other = factories.subscribers(person.mini_program, count=1)[0]
    theirs = Caller(headers=bearer(sessions.begin(other.mini_program, openid=other.openid).token))

    people.revoke_sessions(person)

    new = Caller(headers=bearer(sessions.begin(person.mini_program, openid=person.openid).token))
    assert [caller.get("subscriptions").status_code for caller in (old, new, theirs)] == [401, 200, 200]


def test_the_gateway_is_kept_until_the_mini_program_changes(mini_program):
    first = login._gateways.of(mini_program)
    again = login._gateways.of(mini_program)
    mini_program.proxy_url = "http://127.0.0.1:9"
    changed = login._gateways.of(mini_program)

    assert first is again
    assert first is not changed
