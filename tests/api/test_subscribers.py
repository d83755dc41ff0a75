"""What a back end tells of people, many at once."""

from __future__ import annotations

import pytest

from notify_platform.api.import_views import SubscribersView
from subscriptions.models import Subscriber
from tests import factories
from tests.api.conftest import INVALID, a_back_end_of, invalid, problem

pytestmark = pytest.mark.django_db
SHAPE = "This value has the wrong shape."
COLUMNS = ("nickname", "region", "city", "time_zone", "tags", "interests")


@pytest.fixture
def shop(mini_program):
    return a_back_end_of(mini_program, "subscribers")


@pytest.fixture
def tell(shop, mini_program):
    def tell(*rows, app_id=mini_program.app_id):
        return shop.post("subscribers", {"app_id": app_id, "subscribers": list(rows)})

    return tell


def record(openid):
    return Subscriber.objects.values(*COLUMNS).get(openid=openid)


def test_who_is_new_gets_a_record_and_of_the_others_only_what_is_given_changes(tell, person, mini_program):
    newcomer = factories.an_openid()
    Subscriber.objects.filter(pk=person.pk).update(region="浙江", tags=["会员"])

    answer = tell(
        {"openid": newcomer, "nickname": "阿红", "time_zone": "Asia/Urumqi", "interests": ["新品", "新品"]},
        {"openid": person.openid, "city": "杭州"},
    )

    assert (answer.status_code, answer.json()) == (200, {"created": 1, "updated": 1})
    assert record(newcomer) == {
        "nickname": "阿红",
        "region": "",
        "city": "",
        "time_zone": "Asia/Urumqi",
        "tags": [],
        "interests": ["新品"],
    }
    assert record(person.openid) == {
        "nickname": "小明",
        "region": "浙江",
        "city": "杭州",
        "time_zone": "",
        "tags": ["会员"],
        "interests": [],
    }
    assert Subscriber.objects.get(openid=newcomer).mini_program == mini_program


def test_the_same_again_changes_nothing(tell, person):
    rows = [{"openid": factories.an_openid(), "tags": ["会员"]}, {"openid": person.openid, "city": "杭州"}]
    tell(*rows)
    before = list(Subscriber.objects.order_by("pk").values())

    assert tell(*rows).json() == {"created": 0, "updated": 2}
    assert list(Subscriber.objects.order_by("pk").values()) == before


def test_what_is_given_may_be_empty(tell, person):
    tell({"openid": person.openid, "nickname": "", "tags": []})

    assert record(person.openid)["nickname"] == ""


def test_the_same_openid_elsewhere_is_somebody_else(tell, person):
    elsewhere = factories.subscribers(factories.a_mini_program(), count=1, openid=person.openid)[0]

    tell({"openid": person.openid, "city": "杭州"})

    assert Subscriber.objects.get(pk=elsewhere.pk).city == ""


def test_one_wrong_row_refuses_all_and_is_named(tell, person):
    rows = [{"openid": factories.an_openid()} for _ in range(20)]
    rows[17] = {"openid": "no", "time_zone": "Mars/Base"}
    rows[19] = {"nickname": "a\nb"}
    rows[3] = "somebody"

    answer = tell(*rows, {"openid": person.openid, "city": "杭州"})

    assert (answer.status_code, answer.json()) == (
        400,
        invalid(
            **{
                "subscribers.3": "Invalid data. Expected a dictionary, but got str.",
                "subscribers.17.openid": SHAPE,
                "subscribers.17.time_zone": "“Mars/Base” is not a time zone, e.g. Asia/Shanghai.",
                "subscribers.19.openid": "This field is required.",
                "subscribers.19.nickname": "Line breaks and other control characters are not allowed.",
            }
        ),
    )
    assert Subscriber.objects.count() == 1
    assert record(person.openid)["city"] == ""


def test_many_wrong_rows_are_not_all_told(tell):
    error = tell(*({"openid": "no"} for _ in range(200))).json()["error"]

    assert (error["message"], len(error["fields"])) == (INVALID, 50)


def test_nobody_is_named_twice(tell, person):
    answer = tell({"openid": person.openid, "city": "杭州"}, {"openid": person.openid, "city": "宁波"})

    before = "This person was named before."
    refusal = problem("named_twice", "Name each person once.", **{"subscribers.1.openid": before})
    assert (answer.status_code, answer.json()) == (400, refusal)
    assert record(person.openid)["city"] == ""


def test_another_apps_people_are_out_of_reach(tell):
    foreign = factories.a_mini_program()

    answer = tell({"openid": factories.an_openid()}, app_id=foreign.app_id)

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_app")
    assert Subscriber.objects.count() == 0


@pytest.mark.parametrize(
    ("count", "sentence"),
    [(0, "Ensure this field has at least 1 elements."), (1001, "Ensure this field has no more than 1000 elements.")],
)
def test_a_request_has_at_least_one_row_and_at_most_a_thousand(tell, count, sentence):
    answer = tell(*({"openid": factories.an_openid()} for _ in range(count)))

    assert (answer.status_code, answer.json()) == (400, invalid(subscribers=sentence))
    assert Subscriber.objects.count() == 0


def test_a_thousand_people_with_a_lot_to_tell_fit_into_a_body(tell):
    word = "很" * 20
    full = {"nickname": word, "region": word, "city": word, "tags": [f"{word}{number}" for number in range(20)]}

    answer = tell(*({"openid": factories.an_openid(), **full} for _ in range(1000)))

    assert (answer.status_code, answer.json()) == (200, {"created": 1000, "updated": 0})


def test_a_longer_body_is_not_read(shop):
    answer = shop.send("subscribers", b" " * (SubscribersView.max_body_bytes + 1))

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


@pytest.mark.parametrize("count", [1, 1000])
def test_a_thousand_people_take_as_many_queries_as_one(tell, mini_program, count, django_assert_num_queries):
    people = factories.subscribers(mini_program, count=count)
    rows = [{"openid": person.openid, "city": "杭州"} for person in people[: (count + 1) // 2]]
    rows += [{"openid": factories.an_openid(), "city": "宁波"} for _ in range(count - len(rows))]
    tell(rows[0])

    # The key, the transaction (2), who is new, who is known, what changes.
    with django_assert_num_queries(6):
        assert tell(*rows).status_code == 200
    assert Subscriber.objects.exclude(city="").count() == count
