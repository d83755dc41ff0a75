"""One person's data, all of it and nobody else's."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from notify_platform.core.models import AuditEvent
from notify_platform.delivery.models import Conversion, Delivery, Feedback, Open, Reason, Skip
from notify_platform.insights import portrait
from notify_platform.jobs.models import Event
from notify_platform.wechat import outcomes
from subscriptions.models import Audience, AudienceMember, Drift, PromptReport, Subscriber, Visit
from tests import factories
from tests.console.conftest import a_delivery

pytestmark = pytest.mark.django_db


@pytest.fixture
def template():
    return factories.a_template(factories.a_mini_program())


def somebody(template, *, name):
    """A person with one row of every kind, each marked with the name."""
    (person,) = factories.subscribers(template.mini_program, count=1, nickname=name, tags=[name])
    factories.grants(template, to=[person])
    job = factories.a_job(template, name=f"Job for {name}")
    sent = a_delivery(job, person=person, state=Delivery.State.FAILED, error_code=43101)
    a_delivery(
        factories.a_job(template), person=person, state=Delivery.State.SKIPPED, reason=Reason.MUTED, settled_at=now()
    )
    Skip.objects.create(job=job, subscriber=person, reason=Reason.NO_CONSENT)
    Open.objects.create(delivery=sent, subscriber=person, at=now())
    Conversion.objects.create(delivery=sent, subscriber=person, at=now(), goal=f"goal {name}", value="9.90")
    Feedback.objects.create(delivery=sent, subscriber=person, at=now(), kind=Feedback.Kind.USEFUL, text=f"by {name}")
    Visit.objects.create(subscriber=person, page=f"pages/{name}", at=now())
    PromptReport.objects.create(subscriber=person, request_key=name, answered_at=now())
    Drift.objects.create(subscriber=person, template=template, units=1, at=now())
    audience = Audience.objects.create(
        mini_program=template.mini_program, name=f"List of {name}", kind=Audience.Kind.LIST
    )
    AudienceMember.objects.create(audience=audience, subscriber=person)
    Event.objects.create(
        mini_program=template.mini_program, event="paid", event_id=name, subscriber=person, data={"who": name},
        occurred_at=now(),
    )  # fmt: skip
    return person


def now():
    return timezone.now()


def exported(person):
    return json.loads("".join(portrait.of_person(person)))


def test_every_kind_of_thing_is_in_it(template):
    anna = somebody(template, name="Anna")

    told = exported(anna)

    assert [told["person"][key] for key in ("app_id", "openid", "nickname", "tags")] == [
        template.mini_program.app_id,
        anna.openid,
        "Anna",
        ["Anna"],
    ]
    assert {name: len(rows) for name, rows in told.items() if name != "person"} == {
        "subscriptions": 1, "prompts": 1, "answers": 1, "grants": 1, "drifts": 1, "deliveries": 2, "left_out": 1,
        "opens": 1, "conversions": 1, "feedback": 1, "visits": 1, "events": 1, "lists": 1,
    }  # fmt: skip
    assert [row["why"] for row in told["deliveries"]] == [
        outcomes.describe(43101)[0],
        "muted in the preference centre",
    ]
    assert told["left_out"] == [{"job_name": "Job for Anna", "reason": "no_consent", "why": "no consent in stock"}]
    assert told["conversions"][0]["value"] == "9.90"


def test_every_table_about_people_is_exported():
    relations = Subscriber._meta.get_fields(include_hidden=True)
    about_people = {each.related_model for each in relations if each.one_to_many}
    assert {model for _name, model, _columns in portrait.SECTIONS} == about_people


def test_nothing_of_anybody_else_is_in_it(template):
    anna, ben = (somebody(template, name=name) for name in ("Anna", "Ben"))

    text = "".join(portrait.of_person(anna))

    assert ("Ben" in text, ben.openid in text) == (False, False)
    assert "Anna" in "".join(portrait.of_person(anna))


def test_a_long_history_takes_no_more_queries(template, django_assert_num_queries):
    anna = somebody(template, name="Anna")
    Visit.objects.bulk_create(Visit(subscriber=anna, page="p", at=now()) for _ in range(50))
    anna = type(anna).objects.select_related("mini_program").get(pk=anna.pk)

    with django_assert_num_queries(len(portrait.SECTIONS)):
        assert len(exported(anna)["visits"]) == 51


# --- the command ---------------------------------------------------------------------------------------------------


def run(*arguments):
    out = StringIO()
    call_command("export_person", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_writes_json_to_standard_output_and_a_row_into_the_trail(template):
    anna = somebody(template, name="Anna")

    assert json.loads(run(anna.openid)) == exported(anna)
    row = AuditEvent.objects.get()
    assert (row.action, row.subject, anna.openid in str(row.detail)) == ("export", f"subscriber {anna.pk}", False)


def test_the_command_writes_a_new_file_that_nobody_else_can_read(template, tmp_path):
    anna, path = somebody(template, name="Anna"), tmp_path / "anna.json"

    assert run(anna.openid, "--output", str(path)) == ""

    assert json.loads(path.read_text()) == exported(anna)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(CommandError, match="already"):
        run(anna.openid, "--output", str(path))


def test_the_command_wants_a_person_that_is_one(template):
    anna = somebody(template, name="Anna")
    other = factories.subscribers(factories.a_mini_program(), count=1, openid=anna.openid)[0]

    with pytest.raises(CommandError, match="Say which mini-program"):
        run(anna.openid)
    with pytest.raises(CommandError, match="Nobody here has this openid"):
        run("o" * 28)
    assert AuditEvent.objects.count() == 0
    assert json.loads(run(anna.openid, "--app-id", other.mini_program.app_id))["visits"] == []
