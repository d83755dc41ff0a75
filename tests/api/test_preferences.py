"""The preference centre, and the person's own record."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
import time_machine
from django.utils import timezone

from notify_platform.delivery import claims
from notify_platform.delivery.claims import Wordings
from notify_platform.delivery.models import Delivery
from subscriptions.grants import ledger
from subscriptions.models import Subscriber, Subscription
from templates_app.models import MessageTemplate
from tests import factories
from tests.api.conftest import invalid, iso, problem

pytestmark = pytest.mark.django_db
NOTHING = {"muted": [], "quiet_hours": None, "paused_until": None, "time_zone": "Asia/Shanghai", "templates": []}
NO_TEMPLATE = "This mini-program has no such template."


def row(template, *, state, muted=False):
    shown = {"template_id": template.wechat_id, "title": template.title, "kind": template.kind}
    return shown | {"state": state, "muted": muted}


def stored(person):
    return Subscriber.objects.values("quiet_from", "quiet_until", "paused_until").get(pk=person.pk)


def test_who_wishes_nothing_has_no_wishes(phone):
    answer = phone.get("preferences")

    assert (answer.status_code, answer.json()) == (200, NOTHING)


def test_every_template_the_person_had_to_do_with_is_listed_by_title(phone, person, mini_program):
    on = factories.a_template(mini_program, title="B")
    off = factories.a_template(mini_program, title="A", kind=MessageTemplate.Kind.LONG_TERM)
    never = factories.a_template(mini_program, title="C")
    factories.a_template(mini_program, title="D")
    factories.grants(on, to=[person])
    ledger.turn_off(template=off, subscriber_ids=[person.pk], at=timezone.now())

    answer = phone.patch("preferences", {"muted": [never.wechat_id, on.wechat_id]})

    assert answer.status_code == 200
    assert answer.json() == NOTHING | {
        "muted": [on.wechat_id, never.wechat_id],
        "templates": [row(off, state="off"), row(on, state="on", muted=True), row(never, state="none", muted=True)],
    }
    assert phone.get("preferences").json() == answer.json()


def test_muting_turns_nothing_on(phone, person, template):
    phone.patch("preferences", {"muted": [template.wechat_id]})

    assert phone.get("subscriptions").json() == {"subscriptions": []}
    factories.grants(template, to=[person])
    assert [each["state"] for each in phone.get("subscriptions").json()["subscriptions"]] == ["on"]
    assert phone.get("preferences").json()["muted"] == [template.wechat_id]


def test_the_list_of_muted_templates_replaces_the_one_before(phone, mini_program):
    first, second, third = (factories.a_template(mini_program, title=title) for title in "ABC")
    phone.patch("preferences", {"muted": [first.wechat_id, second.wechat_id]})
    since = Subscription.objects.get(template=second).muted_at

    answer = phone.patch("preferences", {"muted": [third.wechat_id, second.wechat_id, third.wechat_id]})

    assert answer.json()["muted"] == [second.wechat_id, third.wechat_id]
    assert Subscription.objects.get(template=second).muted_at == since
    assert phone.patch("preferences", {"muted": []}).json()["muted"] == []


def test_a_muted_template_is_not_sent(phone, person, template, delivery):
    phone.patch("preferences", {"muted": [template.wechat_id]})

    claims.claim(delivery.job, limit=10, wordings=Wordings())

    assert Delivery.objects.values_list("state", "reason").get() == ("skipped", "muted")


def test_other_peoples_wishes_are_theirs(phone, person, template):
    other = factories.subscribers(person.mini_program, count=1)[0]
    Subscription.objects.create(subscriber=other, template=template, muted_at=timezone.now())

    assert phone.patch("preferences", {"muted": []}).json() == NOTHING
    assert Subscription.objects.get().muted_at is not None


@pytest.mark.parametrize(("begin", "end"), [("22:00", "08:00"), ("00:00", "23:59"), ("12:30", "14:00")])
def test_quiet_hours_are_kept_and_cleared(phone, person, begin, end):
    answer = phone.patch("preferences", {"quiet_hours": {"from": begin, "until": end}})

    assert answer.json() == NOTHING | {"quiet_hours": {"from": begin, "until": end}}
    assert stored(person)["quiet_from"] == time.fromisoformat(begin)
    assert phone.patch("preferences", {"quiet_hours": None}).json() == NOTHING


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-12-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        ("2026-12-01T08:00:00+08:00", "2026-12-01T00:00:00Z"),
        ("2026-12-01T00:00:00.5z", "2026-12-01T00:00:00Z"),
        ("2027-11-23T08:00:00Z", "2027-11-23T08:00:00Z"),
    ],
)
def test_a_pause_is_kept_and_cleared(phone, given, kept):
    with time_machine.travel(datetime(2026, 11, 23, 8, tzinfo=UTC), tick=False):
        answer = phone.patch("preferences", {"paused_until": given})
        assert phone.patch("preferences", {"paused_until": None}).json() == NOTHING

    assert answer.json() == NOTHING | {"paused_until": kept}


def test_what_is_left_out_stays(phone, person, template):
    until = iso(timezone.now() + timedelta(days=3))
    everything = {
        "muted": [template.wechat_id],
        "quiet_hours": {"from": "22:00", "until": "08:00"},
        "paused_until": until,
    }
    whole = phone.patch("preferences", everything).json()

    assert phone.patch("preferences", {}).json() == whole
    phone.patch("preferences", {"muted": []})
    assert stored(person)["quiet_from"] == time(22)
    assert phone.get("preferences").json()["paused_until"] == until


def test_hours_are_in_the_persons_own_zone(phone):
    phone.patch("profile", {"time_zone": "Asia/Urumqi"})

    assert phone.get("preferences").json()["time_zone"] == "Asia/Urumqi"


FORMAT = "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm:ssZ."
NO_SUCH_DAY = FORMAT.replace("YYYY-MM-DDThh:mm:ssZ", "YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]")
CLOCK = "Time has wrong format. Use one of these formats instead: hh:mm."


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"quiet_hours": {"from": "22:00"}}, {"quiet_hours.until": "This field is required."}),
        ({"quiet_hours": {"from": None, "until": "08:00"}}, {"quiet_hours.from": "This field may not be null."}),
        ({"quiet_hours": {"from": "24:00", "until": "8:00"}}, {"quiet_hours.from": CLOCK, "quiet_hours.until": CLOCK}),
        ({"quiet_hours": {"from": 22, "until": "08:00:00"}}, {"quiet_hours.from": CLOCK, "quiet_hours.until": CLOCK}),
        ({"quiet_hours": "night"}, {"quiet_hours": "Invalid data. Expected a dictionary, but got str."}),
        ({"paused_until": "tomorrow"}, {"paused_until": FORMAT}),
        ({"paused_until": "2026-12-01"}, {"paused_until": FORMAT}),
        ({"paused_until": "2026-12-01T00:00:00"}, {"paused_until": FORMAT}),
        ({"paused_until": "2026-13-01T00:00:00Z"}, {"paused_until": NO_SUCH_DAY}),
        ({"paused_until": 7}, {"paused_until": FORMAT}),
        ({"muted": "all"}, {"muted": 'Expected a list of items but got type "str".'}),
        ({"muted": [7]}, {"muted.0": "This value has the wrong shape."}),
        ({"muted": ["a b"]}, {"muted.0": "This value has the wrong shape."}),
        ({"muted": None}, {"muted": "This field may not be null."}),
        ({"muted": ["t"] * 101}, {"muted": "Ensure this field has no more than 100 elements."}),
    ],
)
def test_a_wrong_shape_is_said_and_nothing_is_written(phone, person, body, fields):
    answer = phone.patch("preferences", {"quiet_hours": {"from": "22:00", "until": "08:00"}} | body)

    assert (answer.status_code, answer.json()) == (400, invalid(**fields))
    assert stored(person) == {"quiet_from": None, "quiet_until": None, "paused_until": None}


HOURS = "Quiet hours must begin and end at different times."
PAUSE = "A pause must end in the future, within a year."


@pytest.mark.parametrize(
    ("body", "code", "field", "sentence"),
    [
        ({"quiet_hours": {"from": "08:00", "until": "08:00"}}, "bad_quiet_hours", "quiet_hours", HOURS),
        ({"paused_until": "2026-11-23T08:00:00Z"}, "bad_pause", "paused_until", PAUSE),
        ({"paused_until": "2027-11-23T08:00:01Z"}, "bad_pause", "paused_until", PAUSE),
        ({"paused_until": "0001-01-01T00:00:00Z"}, "bad_pause", "paused_until", PAUSE),
        ({"muted": ["T-gone"]}, "unknown_template", "muted.0", NO_TEMPLATE),
    ],
)
def test_a_wish_that_makes_no_sense_refuses_all_of_them(phone, person, template, body, code, field, sentence):
    good = {"quiet_hours": {"from": "22:00", "until": "07:00"}, "muted": [template.wechat_id]}

    with time_machine.travel(datetime(2026, 11, 23, 8, tzinfo=UTC), tick=False):
        answer = phone.patch("preferences", good | body)

    assert (answer.status_code, answer.json()) == (400, problem(code, sentence, **{field: sentence}))
    assert stored(person) == {"quiet_from": None, "quiet_until": None, "paused_until": None}
    assert Subscription.objects.count() == 0


def test_another_mini_programs_template_cannot_be_muted(phone, template):
    foreign = factories.a_template(factories.a_mini_program())

    answer = phone.patch("preferences", {"muted": [template.wechat_id, foreign.wechat_id]})

    assert answer.json() == problem("unknown_template", NO_TEMPLATE, **{"muted.1": NO_TEMPLATE})
    assert Subscription.objects.count() == 0


@pytest.mark.parametrize("count", [1, 20])
def test_the_number_of_queries_does_not_grow(phone, mini_program, count, django_assert_num_queries):
    ids = [factories.a_template(mini_program).wechat_id for _ in range(count)]

    # The session, the templates, the transaction (2), the lock, what is muted, unmuted, muted now, and three to show.
    with django_assert_num_queries(11):
        phone.patch("preferences", {"muted": ids})
    with django_assert_num_queries(4):
        assert len(phone.get("preferences").json()["muted"]) == count


# --- the person's own record ---------------------------------------------------------------------------------------

EMPTY = {"nickname": "小明", "region": "", "city": "", "time_zone": "", "interests": []}


def test_what_a_person_tells_is_kept_and_the_rest_stays(phone):
    told = {"region": "广东", "city": " 深圳 ", "time_zone": "Asia/Shanghai", "interests": ["新品", "水果", "新品"]}

    answer = phone.patch("profile", told)

    kept = EMPTY | told | {"city": "深圳", "interests": ["新品", "水果"]}
    assert (answer.status_code, answer.json()) == (200, kept)
    assert phone.patch("profile", {"nickname": "阿明"}).json() == kept | {"nickname": "阿明"}
    assert phone.patch("profile", {}).json() == kept | {"nickname": "阿明"}


def test_an_empty_text_clears(phone):
    phone.patch("profile", {"city": "深圳", "time_zone": "Asia/Shanghai", "interests": ["新品"]})

    assert phone.patch("profile", {"city": "", "time_zone": "", "interests": []}).json() == EMPTY


CONTROL = "Line breaks and other control characters are not allowed."


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"nickname": "a\nb"}, {"nickname": CONTROL}),
        ({"nickname": "a\u2028b"}, {"nickname": CONTROL}),
        ({"nickname": None}, {"nickname": "This field may not be null."}),
        ({"nickname": "x" * 65}, {"nickname": "Ensure this field has no more than 64 characters."}),
        ({"city": "x" * 41}, {"city": "Ensure this field has no more than 40 characters."}),
        ({"region": 7}, {"region": "Not a valid string."}),
        ({"time_zone": "Mars/Base"}, {"time_zone": "“Mars/Base” is not a time zone, e.g. Asia/Shanghai."}),
        ({"time_zone": "../UTC"}, {"time_zone": "“../UTC” is not a time zone, e.g. Asia/Shanghai."}),
        ({"interests": ["ok", "a\tb"]}, {"interests.1": CONTROL}),
        ({"interests": ["ok", ""]}, {"interests.1": "This field may not be blank."}),
        ({"interests": ["x"] * 21}, {"interests": "Ensure this field has no more than 20 elements."}),
        ({"interests": "all"}, {"interests": 'Expected a list of items but got type "str".'}),
    ],
)
def test_a_wrong_record_is_said_and_nothing_is_written(phone, body, fields):
    answer = phone.patch("profile", {"city": "深圳"} | body)

    assert (answer.status_code, answer.json()) == (400, invalid(**fields))
    assert phone.patch("profile", {}).json() == EMPTY
