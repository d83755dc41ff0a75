"""Existing consent from a back end: all of it or nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from subscriptions.grants import importing
from subscriptions.models import Answer, Grant, Subscriber, Subscription
from tests import factories
from tests.api.conftest import a_back_end_of, invalid, problem

pytestmark = pytest.mark.django_db
NOT_IMPORTED = "Nothing was imported: see the fields."


@pytest.fixture
def shop(mini_program):
    return a_back_end_of(mini_program, "consents")


@pytest.fixture
def bring(shop, mini_program):
    def bring(*rows, import_id="crm-2026-11", app_id=mini_program.app_id):
        return shop.post("consents", {"app_id": app_id, "import_id": import_id, "consents": list(rows)})

    return bring


def nothing_written():
    models = (Subscriber, Subscription, Answer, Grant)
    return [model.objects.count() for model in models] == [0, 0, 0, 0]


def a_row(template, **more):
    return {"openid": factories.an_openid(), "template_id": template.wechat_id, **more}


def test_people_and_units_are_in_the_books(bring, template):
    rows = [a_row(template, count=3, granted_at="2026-11-20 09:30"), a_row(template)]

    answer = bring(*rows)

    assert (answer.status_code, answer.json()) == (200, {"lines": 2, "units": 4})
    moments = Grant.objects.filter(subscriber__openid=rows[0]["openid"]).values_list("granted_at", flat=True)
    assert list(moments) == [datetime(2026, 11, 20, 1, 30, tzinfo=UTC)] * 3
    assert list(Subscription.objects.values_list("state", flat=True)) == ["on", "on"]


def test_the_same_import_again_adds_nothing_and_another_one_does(bring, template):
    rows = [a_row(template, count=2), a_row(template)]
    bring(*rows)

    assert bring(*rows).json() == {"lines": 2, "units": 0}
    assert bring(*rows, import_id="crm-2026-12").json() == {"lines": 2, "units": 3}
    assert Grant.objects.count() == 6


def test_one_person_may_stand_in_several_rows(bring, template):
    row = a_row(template)

    assert bring(row, row).json() == {"lines": 2, "units": 2}


@pytest.mark.parametrize(
    ("granted_at", "moment"),
    [
        ("2026-11-20", datetime(2026, 11, 19, 16, tzinfo=UTC)),
        ("2026-11-20T09:30:15", datetime(2026, 11, 20, 1, 30, 15, tzinfo=UTC)),
        ("2026-11-20T09:30Z", datetime(2026, 11, 20, 9, 30, tzinfo=UTC)),
        ("2026-11-20T09:30:00+05:00", datetime(2026, 11, 20, 4, 30, tzinfo=UTC)),
    ],
)
def test_a_date_is_in_the_mini_programs_zone_unless_it_says_another(bring, template, granted_at, moment):
    assert bring(a_row(template, granted_at=granted_at)).status_code == 200
    assert Grant.objects.get().granted_at == moment


@pytest.mark.parametrize(
    ("more", "field", "sentence"),
    [
        ({"template_id": "T-gone"}, "template_id", "this mini-program has no template “T-gone”"),
        ({"granted_at": "2026-02-30"}, "granted_at", "the date must look like 2026-11-23 or 2026-11-23 14:05"),
        ({"granted_at": "2099-01-01"}, "granted_at", "the date lies in the future"),
        (
            {"granted_at": "2019-08-31"},
            "granted_at",
            "there were no subscription messages before 2019-09-01",
        ),
    ],
)
def test_one_wrong_row_refuses_all_and_is_named(bring, template, more, field, sentence):
    answer = bring(a_row(template), a_row(template) | more, a_row(template))

    refusal = problem("bad_rows", NOT_IMPORTED, **{f"consents.1.{field}": sentence})
    assert (answer.status_code, answer.json()) == (400, refusal)
    assert nothing_written()


SHAPE = "This value has the wrong shape."


@pytest.mark.parametrize(
    ("more", "fields"),
    [
        ({"openid": "no"}, {"consents.1.openid": SHAPE}),
        ({"openid": None}, {"consents.1.openid": "This field may not be null."}),
        ({"template_id": 7}, {"consents.1.template_id": "Not a valid string."}),
        ({"count": 0}, {"consents.1.count": "Ensure this value is greater than or equal to 1."}),
        ({"count": 101}, {"consents.1.count": "Ensure this value is less than or equal to 100."}),
        ({"count": "2"}, {"consents.1.count": "A valid integer is required."}),
        ({"count": True}, {"consents.1.count": "A valid integer is required."}),
        ({"granted_at": "yesterday"}, {"consents.1.granted_at": SHAPE}),
        ({"granted_at": ""}, {"consents.1.granted_at": "This field may not be blank."}),
    ],
)
def test_a_wrong_shape_is_named_by_its_row(bring, template, more, fields):
    answer = bring(a_row(template), a_row(template) | more)

    assert (answer.status_code, answer.json()) == (400, invalid(**fields))
    assert nothing_written()


def test_another_mini_programs_template_is_none_of_ours(bring, template):
    foreign = factories.a_template(factories.a_mini_program())

    assert bring(a_row(foreign)).json()["error"]["code"] == "bad_rows"
    assert nothing_written()


def test_another_apps_people_are_out_of_reach(bring, template):
    answer = bring(a_row(template), app_id=factories.a_mini_program().app_id)

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_app")
    assert nothing_written()


def test_one_request_brings_a_bounded_number_of_units(bring, template, monkeypatch):
    monkeypatch.setattr(importing, "MOST_UNITS_AT_ONCE", 5)

    assert bring(a_row(template, count=5)).json() == {"lines": 1, "units": 5}
    sentence = "At most 5 consents at once: send them in several requests."
    refusal = problem("too_many_units", sentence, consents=sentence)
    assert bring(a_row(template, count=3), a_row(template, count=3), import_id="crm-2026-12").json() == refusal
    assert Grant.objects.count() == 5


@pytest.mark.parametrize("import_id", ["short", "a b c d e f", "x" * 65])
def test_an_import_has_a_name_of_one_shape(bring, template, import_id):
    assert bring(a_row(template), import_id=import_id).json() == invalid(import_id=SHAPE)


def test_rows_are_written_in_batches_and_not_one_by_one(bring, template):
    def queries(count):
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert bring(*(a_row(template) for _ in range(count)), import_id=f"import-{count}").status_code == 200
        return len(captured)

    queries(2)  # the first use of a key is noted

    # Django gives SQLite 999 values in a statement; the widest table has fewer than 20 columns.
    assert queries(50) == queries(1)
