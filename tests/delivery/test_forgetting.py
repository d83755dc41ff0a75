"""Forgetting a person: everything that names them goes, every sum stays."""

from __future__ import annotations

import json
from collections import Counter
from io import StringIO

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.utils import timezone

from notify_platform.callbacks.models import CallbackEvent
from notify_platform.core.models import AuditEvent, audit
from notify_platform.delivery import claims, fanout, settlement
from notify_platform.delivery.forgetting import forget
from notify_platform.delivery.models import Conversion, Delivery, Feedback, Open, Reason, Skip
from notify_platform.delivery.settlement import Landed
from notify_platform.insights import books, funnels
from notify_platform.jobs.models import Event
from notify_platform.wechat.gateway import SendResult
from notify_platform.wechat.outcomes import outcome_of_code
from subscriptions.audience import selection
from subscriptions.models import (
    Answer,
    Audience,
    AudienceMember,
    Grant,
    PromptReport,
    Subscriber,
    Subscription,
    Visit,
)
from subscriptions.people import people as records
from tests import factories

pytestmark = pytest.mark.django_db
State = Delivery.State
# Words that stand in rows of the person and must stand nowhere afterwards.
TELLING = [
    "Anna Nightingale",
    "Anytown",
    "pages/secret?order=77",
    "It hurt my feelings",
    "Order 77",
    "req-of-the-phone",
]


@pytest.fixture
def anna(template):
    """A person who has left traces in every table, and Ben, who has the same and is not to be touched."""
    anna, ben = (a_busy_person(template, name=name) for name in ("Anna Nightingale", "Ben Barefoot"))
    assert ben.pk != anna.pk
    return anna


def a_busy_person(template, *, name):
    program = template.mini_program
    who = name.split()[0]
    (person,) = factories.subscribers(
        program,
        count=1,
        nickname=name,
        region="Anytown" if who == "Anna" else "Otherton",
        city="Anytown" if who == "Anna" else "Otherton",
        time_zone="Asia/Shanghai",
        tags=[name],
        interests=[name],
        last_visit_at=timezone.now(),
        quiet_from="22:00",
        quiet_until="23:00",
    )
    factories.grants(template, to=[person], units=2)
    audience = Audience.objects.create(mini_program=program, name=f"List of {who}", kind=Audience.Kind.LIST)
    AudienceMember.objects.create(audience=audience, subscriber=person)
    Subscription.objects.filter(subscriber=person).update(always_keep="accept", muted_at=timezone.now())
    mark = "" if who == "Anna" else " of Ben"
    Answer.objects.filter(subscriber=person).update(request_key=f"req-of-the-phone{mark}")
    PromptReport.objects.create(
        subscriber=person, request_key=f"req-of-the-phone{mark}", answered_at=timezone.now(), planned=[template.pk]
    )
    Visit.objects.create(subscriber=person, page=f"pages/secret?order=77{mark}", at=timezone.now())
    Event.objects.create(
        mini_program=program,
        event="paid",
        event_id=f"e{person.pk}",
        subscriber=person,
        subject=f"Order 77{mark}",
        data={"name": name},
        occurred_at=timezone.now(),
    )
    CallbackEvent.objects.create(
        mini_program=program,
        identity=f"i{person.pk}",
        event="subscribe_msg_popup_event",
        openid=person.openid,
        body={"FromUserName": person.openid, "Event": "subscribe_msg_popup_event"},
        due_at=timezone.now(),
    )
    CallbackEvent.objects.create(
        mini_program=program,
        identity=f"j{person.pk}",
        event="user_info_modified",
        body={"FromUserName": "platform", "OpenID": person.openid},
        state=CallbackEvent.State.IGNORED,
        due_at=timezone.now(),
    )
    audit(None, action="note", subject="somebody", openid=person.openid, words=[f"called {person.openid}"])
    return person


def deeds_of(delivery):
    about = {"delivery": delivery, "subscriber": delivery.subscriber, "at": timezone.now()}
    Open.objects.create(**about)
    Conversion.objects.create(goal="bought", value="9.90", request_key="req-of-the-phone", **about)
    Feedback.objects.create(kind=Feedback.Kind.USEFUL, text="It hurt my feelings", **about)


def a_job_with(template, anna):
    """A running job of Anna and Ben."""
    Subscription.objects.update(muted_at=None)
    Subscriber.objects.update(quiet_from=None, quiet_until=None)
    job = factories.a_running_job(template)
    while fanout.step(job):
        pass
    return job


def everything():
    """Every column of every row of ours, as text."""
    ours = [
        model for model in apps.get_models() if model.__module__.split(".")[0] in {"notify_platform", "subscriptions"}
    ]
    return "\n".join(str(row) for model in ours for row in model.objects.values())


def rows_of(person):
    """What every table says of a person."""
    told = {"Subscriber": [Subscriber.objects.filter(pk=person.pk).values().get()]}
    for relation in Subscriber._meta.get_fields(include_hidden=True):
        if not relation.one_to_many:
            continue
        rows = relation.related_model.objects.filter(**{relation.field.name: person})
        told[relation.related_model.__name__] = list(rows.order_by("pk").values())
    return told


def test_nothing_that_names_the_person_stays(template, anna):
    job = a_job_with(template, anna)
    deeds_of(Delivery.objects.get(subscriber=anna, job=job))
    before = everything()
    assert [word for word in [*TELLING, anna.openid] if word not in before] == []

    assert forget(anna.mini_program, openids=[anna.openid], by=None) == 1

    # Ben's words contain some of Anna's: they are his.
    after = everything().replace("pages/secret?order=77 of Ben", "").replace("Order 77 of Ben", "")
    after = after.replace("req-of-the-phone of Ben", "")
    assert [word for word in [*TELLING, anna.openid] if word in after] == []


def test_nobody_else_is_touched(template, anna):
    a_job_with(template, anna)
    others = list(Subscriber.objects.exclude(pk=anna.pk))
    before = [rows_of(other) for other in others]
    pushes = list(CallbackEvent.objects.exclude(identity__in=[f"i{anna.pk}", f"j{anna.pk}"]).values())

    forget(anna.mini_program, openids=[anna.openid], by=None)

    assert [rows_of(other) for other in others] == before
    assert list(CallbackEvent.objects.exclude(identity__in=[f"i{anna.pk}", f"j{anna.pk}"]).values()) == pushes


def test_the_sums_stay(template, anna):
    job = a_job_with(template, anna)
    deeds_of(Delivery.objects.get(subscriber=anna, job=job))
    counted = [Answer, Grant, Delivery, Skip, Open, Conversion, Feedback, Visit, Event, PromptReport, CallbackEvent]
    before = [model.objects.count() for model in counted]
    money = list(Conversion.objects.values_list("goal", "value", "delivery"))

    forget(anna.mini_program, openids=[anna.openid], by=None)

    assert [model.objects.count() for model in counted] == before
    assert list(Conversion.objects.values_list("goal", "value", "delivery")) == money
    assert funnels.of_job(job).audience == 2
    assert books.check() == []


def test_what_has_not_left_does_not_leave(template, anna, take):
    job = a_job_with(template, anna)
    claim = take(job)
    claimed = [message.delivery_id for message in claim.messages]
    assert Delivery.objects.get(subscriber=anna).state == State.CLAIMED

    forget(anna.mini_program, openids=[anna.openid], by=None)

    row = Delivery.objects.get(subscriber=anna)
    assert (row.state, row.reason, row.grant) == (State.SKIPPED, Reason.FORGOTTEN, None)
    armed = claims.arm(claim.token, delivery_ids=claimed)
    assert armed == set(claimed) - {row.pk}
    assert Counter(Grant.objects.filter(subscriber=anna).values_list("state", flat=True)) == {"revoked": 2}


@pytest.mark.parametrize(
    ("code", "state", "units"),
    [
        (0, State.ACCEPTED, {"spent": 1, "revoked": 1}),
        (-1, State.WAITING, {"revoked": 2}),
        (47003, State.FAILED, {"revoked": 2}),
    ],
)
def test_what_is_just_leaving_is_settled_and_restores_nothing(template, anna, take, code, state, units):
    job = a_job_with(template, anna)
    claim = take(job)
    claims.arm(claim.token, delivery_ids=[message.delivery_id for message in claim.messages])
    message = next(message for message in claim.messages if message.subscriber_id == anna.pk)

    forget(anna.mini_program, openids=[anna.openid], by=None)
    assert Delivery.objects.get(subscriber=anna).state == State.SENDING
    settlement.settle(job.mini_program, token=claim.token, landed=[Landed(message, a_result(code))])

    assert Delivery.objects.get(subscriber=anna).state == state
    assert Counter(Grant.objects.filter(subscriber=anna).values_list("state", flat=True)) == units
    Delivery.objects.filter(state=State.WAITING).update(due_at=timezone.now())
    job.refresh_from_db()
    if job.state == job.State.RUNNING:
        assert anna.pk not in {message.subscriber_id for message in take(job).messages}
    assert books.check() == []


def a_result(code):
    return SendResult(outcome=outcome_of_code(code), code=code, msgid="1" if code == 0 else "")


def test_a_retry_of_a_forgotten_person_is_skipped(template, anna, take):
    job = a_job_with(template, anna)
    forget(anna.mini_program, openids=[anna.openid], by=None)
    Delivery.objects.filter(subscriber=anna).update(state=State.WAITING, reason="", settled_at=None)

    take(job)

    row = Delivery.objects.get(subscriber=anna)
    assert (row.state, row.reason) == (State.SKIPPED, Reason.FORGOTTEN)


def test_the_same_openid_coming_again_is_a_new_person_with_nothing(template, anna):
    old = anna.openid
    forget(anna.mini_program, openids=[old], by=None)

    new = records.enrol(anna.mini_program, openids=[old])[old]

    person = Subscriber.objects.get(pk=new)
    assert new != anna.pk
    assert (person.nickname, person.session_version, person.forgotten_at) == ("", 1, None)
    assert Grant.objects.filter(subscriber=new).count() == 0


def test_a_shell_is_in_no_audience_and_its_sessions_have_ended(template, anna):
    version = anna.session_version
    forget(anna.mini_program, openids=[anna.openid], by=None)

    anna.refresh_from_db()
    assert anna.session_version == version + 1
    assert anna.forgotten_at is not None
    everybody = selection.people(factories.everybody(anna.mini_program))
    assert not everybody.filter(pk=anna.pk).exists()


def test_forgetting_again_changes_nothing(template, anna):
    forget(anna.mini_program, openids=[anna.openid], by=None)
    before = everything()

    assert forget(anna.mini_program, openids=[anna.openid], by=None) == 0

    assert everything() == before


def test_a_push_that_waited_is_not_handled_any_more(template, anna):
    forget(anna.mini_program, openids=[anna.openid], by=None)

    push = CallbackEvent.objects.get(identity=f"i{anna.pk}")
    assert (push.state, push.body, push.openid) == (CallbackEvent.State.IGNORED, {}, "")


def test_the_trail_says_who_forgot_whom_in_a_mask(template, anna):
    engineer = factories.a_user()
    forget(anna.mini_program, openids=[anna.openid], by=engineer)

    row = AuditEvent.objects.get(action="forget")
    assert (row.actor, row.subject) == (engineer, f"subscriber {anna.pk}")
    assert row.detail == {"openid": f"{anna.openid[:4]}…{anna.openid[-4:]}"}


def test_several_are_forgotten_with_as_many_queries_as_one_but_for_the_trail(
    template, mini_program, django_assert_max_num_queries
):
    many = factories.subscribers(mini_program, count=20)
    factories.grants(template, to=many)
    openids = [person.openid for person in many]

    with django_assert_max_num_queries(35 + 3 * len(openids)):
        assert forget(mini_program, openids=openids, by=None) == 20

    assert Subscriber.objects.filter(forgotten_at__isnull=False).count() == 20


# --- the command ---------------------------------------------------------------------------------------------------


def run(*arguments):
    out = StringIO()
    call_command("forget", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_forgets_and_can_be_repeated(anna):
    openid = anna.openid
    assert run(openid, "--yes") == "The person is forgotten.\n"
    assert run(openid, "--yes") == "Nobody here has this openid; what quoted it was cleared.\n"
    assert openid not in everything()


def test_the_command_asks_when_nobody_said_yes(anna, monkeypatch):
    before = everything()
    monkeypatch.setattr("sys.stdin", StringIO("yes\n"))
    with pytest.raises(CommandError, match="Nobody is there to be asked"):
        run(anna.openid)
    with pytest.raises(CommandError, match="There is no such mini-program"):
        run(anna.openid, "--app-id", "wx0000000000000000", "--yes")
    assert everything() == before


def test_json_of_the_trail_stays_json(anna):
    forget(anna.mini_program, openids=[anna.openid], by=None)
    detail = AuditEvent.objects.filter(action="note").order_by("pk").first().detail
    assert json.loads(json.dumps(detail)) == {
        "openid": f"{anna.openid[:4]}…{anna.openid[-4:]}",
        "words": [f"called {anna.openid[:4]}…{anna.openid[-4:]}"],
    }
