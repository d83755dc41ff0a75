"""The books find what should be impossible, once somebody has made it possible: each of it, and nothing besides."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notify_platform.delivery import claims, fanout, pacing
from notify_platform.delivery.models import Delivery, Pace, Skip
from notify_platform.insights import books, funnels
from notify_platform.jobs.models import Event, SendJob, Trigger, Variant
from subscriptions.models import Answer, Grant, Source, Subscription
from tests import factories
from tests.insights import planting

pytestmark = pytest.mark.django_db
State = Delivery.State
NAMES_A_GRANT = "delivery_names_a_grant_exactly_while_it_holds_one"
ONE_ORIGIN = "delivery_comes_from_a_job_or_a_trigger"


@pytest.fixture
def job():
    """Three people, two with two consents each; one message is claimed, one waits."""
    template = factories.a_template(factories.a_mini_program())
    people = factories.subscribers(template.mini_program, count=3)
    factories.grants(template, to=people[:2], units=2)
    job = factories.a_running_job(template)
    fanout.step(job)
    claims.claim(job, limit=1, wordings=claims.Wordings())
    return job


@pytest.fixture
def accepted(job):
    """The claimed message, accepted by WeChat a moment ago."""
    now = timezone.now()
    flying = Delivery.objects.get(state=State.CLAIMED)
    Delivery.objects.filter(pk=flying.pk).update(
        state=State.ACCEPTED, armed_at=now, settled_at=now, lease_until=None, attempts=1
    )
    Grant.objects.filter(pk=flying.grant_id).update(state=Grant.State.SPENT, settled_at=now)
    flying.refresh_from_db()
    return flying


def breaches(**how):
    return {finding.check: finding.count for finding in books.check(**how)}


def waiting():
    return Delivery.objects.filter(state=State.WAITING)


def claimed():
    return Delivery.objects.filter(state=State.CLAIMED)


def an_event_row(row: Delivery) -> Delivery:
    """A message that a trigger sent the person of another message."""
    trigger = Trigger.objects.create(
        mini_program=row.mini_program, name="Shipped", event="shipped", template=row.template
    )
    event = Event.objects.create(
        mini_program=row.mini_program, event="shipped", event_id="1", occurred_at=timezone.now()
    )
    variant = Variant.objects.create(trigger=trigger, texts={})
    return Delivery.objects.create(
        mini_program=row.mini_program, trigger=trigger, event=event, variant=variant, template=row.template,
        subscriber=row.subscriber, is_counted=True, due_at=timezone.now(),
    )  # fmt: skip


def test_books_in_order_have_no_breach(job):
    assert breaches() == {}


def test_a_message_on_each_station_of_its_way_is_in_order(accepted):
    row = an_event_row(accepted)
    now = timezone.now()
    assert breaches() == {}
    Delivery.objects.filter(pk=row.pk).update(reason="retry", attempts=1, armed_at=now, error_code=-1)
    assert breaches() == {}
    Delivery.objects.filter(pk=accepted.pk).update(state=State.UNKNOWN, settled_at=None)
    Grant.objects.filter(pk=accepted.grant_id).update(state=Grant.State.RESERVED, settled_at=None)
    assert breaches() == {}
    Delivery.objects.filter(pk=accepted.pk).update(settled_at=now)
    Grant.objects.filter(pk=accepted.grant_id).update(state=Grant.State.SPENT, settled_at=now)
    assert breaches() == {}


# --- 1 ---------------------------------------------------------------------------------------------------------------


def test_a_grant_of_two_messages_is_found(accepted):
    planting.drop_unique("delivery_grant_used_once")
    row = an_event_row(accepted)
    values = Delivery.objects.filter(pk=accepted.pk).values("state", "grant", "armed_at", "settled_at").get()
    Delivery.objects.filter(pk=row.pk).update(**values)

    assert breaches() == {"1 one grant, one message": 1}


def test_a_message_without_its_grant_is_found(accepted):
    with planting.unchecked(NAMES_A_GRANT):
        Delivery.objects.filter(pk=accepted.pk).update(grant=None)

    assert breaches() == {"1 a counted message names its grant": 1, "1 a spent grant had its message": 1}


def test_a_grant_held_by_a_message_that_needs_none_is_found(accepted):
    with planting.unchecked(NAMES_A_GRANT):
        Delivery.objects.filter(pk=accepted.pk).update(is_counted=False)

    assert breaches() == {"1 who needs no grant holds none": 1}


def test_a_consent_reserved_for_nobody_is_found(job):
    Grant.objects.filter(state=Grant.State.AVAILABLE).update(state=Grant.State.RESERVED)

    assert breaches() == {"1 a reserved grant has its message": 3}


def test_a_consent_spent_for_nothing_is_found(job):
    Grant.objects.filter(state=Grant.State.AVAILABLE).update(state=Grant.State.SPENT, settled_at=timezone.now())

    assert breaches() == {"1 a spent grant had its message": 3}


def test_a_message_whose_consent_is_free_again_is_found(job):
    Grant.objects.update(state=Grant.State.AVAILABLE)

    assert breaches() == {"1 grant and message agree": 1}


# --- 2 ---------------------------------------------------------------------------------------------------------------


def test_a_person_with_two_messages_of_a_job_is_found(job):
    planting.drop_unique("delivery_once_per_job_and_person")
    row = waiting().get()
    Delivery.objects.filter(pk=row.pk).update(subscriber=claimed().get().subscriber)

    assert breaches() == {"2 once per job and person": 1}


def test_a_person_with_two_messages_for_an_event_is_found(job):
    planting.drop_unique("delivery_once_per_trigger_event_and_person")
    row = an_event_row(waiting().get())
    row.pk = None
    row.save()

    assert breaches() == {"2 once per event and person": 1}


def test_two_in_flight_to_one_person_are_found(job):
    planting.drop_unique("delivery_one_in_flight_per_person")
    flying = claimed().get()
    other = Grant.objects.filter(subscriber=flying.subscriber).exclude(pk=flying.grant_id).get()
    row = an_event_row(flying)
    Delivery.objects.filter(pk=row.pk).update(
        state=State.CLAIMED, grant=other, claim_token=uuid.uuid4(), lease_until=flying.lease_until
    )
    Grant.objects.filter(pk=other.pk).update(state=Grant.State.RESERVED)

    assert breaches() == {"2 one in flight per person": 1}


def test_a_message_from_nowhere_is_found(job):
    with planting.unchecked(ONE_ORIGIN):
        waiting().update(job=None)

    assert breaches() == {"2 a message has one origin": 1, "7 everybody is accounted for": 1}


# --- 3, 4, 5 ---------------------------------------------------------------------------------------------------------


def test_a_result_of_what_was_never_armed_is_found(accepted):
    Delivery.objects.filter(pk=accepted.pk).update(armed_at=None)

    assert breaches() == {"3 sending is written down first": 1}


def test_a_lease_nobody_reaps_is_found(job):
    claimed().update(lease_until=timezone.now() - timedelta(hours=1))

    assert breaches() == {"4 leases lapse": 1}


@pytest.mark.parametrize("missing", ["lease_until", "claim_token"])
def test_a_message_in_flight_for_ever_is_found(job, missing):
    claimed().update(**{missing: None})

    assert breaches() == {"4 what is in flight has a lease": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"msgid": "3000000000000000001"},
        {"settled_at": timezone.now()},
        {"armed_at": timezone.now(), "error_code": 43101},
    ],
    ids=["WeChat has named it", "it was settled", "it was refused for good"],
)
def test_what_would_leave_a_second_time_is_found(job, changes):
    waiting().update(**changes)

    assert breaches() == {"5 nothing is sent twice": 1}


# --- 6 ---------------------------------------------------------------------------------------------------------------


def test_the_consent_of_another_template_is_found(job):
    other = factories.a_template(job.mini_program)
    Delivery.objects.filter(state=State.CLAIMED).update(template=other)

    assert breaches() == {"6 consent fits its message": 1}


def test_a_consent_used_after_its_end_is_found(accepted):
    Grant.objects.filter(pk=accepted.grant_id).update(expires_at=accepted.armed_at - timedelta(hours=1))

    assert breaches() == {"6 consent is used in time": 1}


def test_a_void_consent_in_stock_is_found(job):
    Subscription.objects.update(turned_off_at=timezone.now())

    assert breaches() == {"6 a void consent is not in stock": 3}


def test_a_consent_used_although_it_was_void_is_found(accepted):
    hour = timezone.now() - timedelta(hours=1)
    Grant.objects.filter(pk=accepted.grant_id).update(granted_at=hour)
    Subscription.objects.filter(subscriber=accepted.subscriber).update(
        state=Subscription.State.OFF, decided_at=hour, turned_off_at=hour, changed_at=hour
    )

    assert breaches() == {"6 a void consent is not used": 1}


def test_a_consent_used_before_we_learnt_that_it_was_void_is_in_order(accepted):
    hour = timezone.now() - timedelta(hours=1)
    Grant.objects.filter(pk=accepted.grant_id).update(granted_at=hour)
    Subscription.objects.filter(subscriber=accepted.subscriber).update(
        state=Subscription.State.OFF, decided_at=hour, turned_off_at=hour, changed_at=timezone.now()
    )

    assert breaches() == {}


# --- 7, 8, 9 ---------------------------------------------------------------------------------------------------------


def test_a_lost_person_is_found(job):
    Skip.objects.all().delete()

    assert breaches() == {"7 everybody is accounted for": 1}


def test_an_invented_person_is_found(job):
    SendJob.objects.update(audience_size=4)

    assert breaches() == {"7 everybody is accounted for": 1}


def test_whose_skip_was_pruned_is_accounted_for(job):
    Skip.objects.all().delete()
    SendJob.objects.update(pruned_skips={"no_consent": 1})

    assert breaches() == {}


@pytest.mark.parametrize(
    "changes",
    [{"state": "gone"}, {"state": State.CANCELLED}, {"state": State.SKIPPED, "reason": "muted"}],
    ids=["a word of somebody's", "cancelled never", "skipped never"],
)
def test_a_state_no_verb_has_written_is_found(job, changes):
    with planting.unchecked(NAMES_A_GRANT):
        waiting().update(**changes)

    assert breaches() == {"8 a message's state fits its dates": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"state": SendJob.State.DRAFT},
        {"started_at": None},
        {"ended_at": timezone.now()},
        {"state": "gone"},
    ],
    ids=["a draft that was started", "running, never started", "running, but over", "a word of somebody's"],
)
def test_a_job_no_verb_has_written_is_found(job, changes):
    SendJob.objects.update(**changes)

    assert breaches() == {"8 a job's state fits its dates": 1}


def test_a_job_that_ended_too_early_is_found(job):
    SendJob.objects.update(state=SendJob.State.FINISHED, ended_at=timezone.now())

    assert breaches() == {"9 finished means finished": 1}


def test_an_unknown_result_nobody_closes_is_found(accepted):
    Delivery.objects.filter(pk=accepted.pk).update(
        state=State.UNKNOWN, settled_at=None, armed_at=timezone.now() - timedelta(minutes=16)
    )
    Grant.objects.filter(pk=accepted.grant_id).update(state=Grant.State.RESERVED, settled_at=None)

    assert breaches() == {"9 unknown results are closed in time": 1}


# --- 10, 11 ----------------------------------------------------------------------------------------------------------


def test_a_consent_of_somebody_elses_answer_is_found(job):
    unit = Grant.objects.filter(state=Grant.State.AVAILABLE).first()
    stranger = factories.subscribers(job.mini_program, count=1)[0]
    Grant.objects.filter(pk=unit.pk).update(subscriber=stranger)

    assert breaches() == {"10 a consent is its person's": 1}


def test_more_consents_than_a_phone_may_speak_for_are_found(job):
    person = waiting().get().subscriber
    answer = Answer.objects.create(
        subscriber=person, template=job.template, answer="accept", source=Source.CLIENT, units=6,
        request_key="forged", answered_at=timezone.now(),
    )  # fmt: skip
    units = [Grant(subscriber=person, template=job.template, answer=answer, granted_at=timezone.now())] * 6
    for unit in units:
        unit.pk = None
        unit.save(force_insert=True)

    assert breaches() == {"10 a phone speaks for few": 1}


def test_an_answer_that_brought_another_number_of_consents_is_found(job):
    Answer.objects.filter(pk=Answer.objects.first().pk).update(units=3)

    assert breaches() == {"10 answers count their grants": 1}


def test_a_lease_from_a_clock_that_jumped_is_found(job):
    claimed().update(lease_until=timezone.now() + timedelta(hours=1))

    assert breaches() == {"11 leases follow the database's clock": 1}


def test_a_pace_from_a_clock_that_jumped_is_found(job):
    pacing.hold(pacing.pace_of(job.mini_program), seconds=3600)

    assert breaches() == {"11 the pace follows the database's clock": 1}
    Pace.objects.update(next_slot_us=0)
    pacing.hold(pacing.pace_of(job.mini_program), seconds=60)
    assert breaches() == {}


# --- how it is asked -------------------------------------------------------------------------------------------------


def test_every_invariant_has_a_question_and_every_question_a_cure():
    assert {int(one.check.split()[0]) for one in books.QUESTIONS} == set(range(1, 12))
    assert [one.check for one in books.QUESTIONS if not str(one.sentence) or not str(one.cure)] == []


def test_only_the_newest_rows_are_read_unless_all_are_wanted(accepted):
    Delivery.objects.filter(pk=accepted.pk).update(armed_at=None)
    assert accepted.pk < waiting().get().pk

    assert breaches(newest=1) == {}
    assert breaches(newest=2) == breaches() == {"3 sending is written down first": 1}


def test_the_newest_jobs_are_looked_at_until_they_make_up_enough_people(job):
    SendJob.objects.update(audience_size=4)
    later = factories.a_running_job(job.template)
    fanout.step(later)

    assert breaches(newest=3) == {}
    assert breaches(newest=4) == {"7 everybody is accounted for": 1}


def test_the_number_of_questions_does_not_grow_with_jobs(job):
    def questions():
        with CaptureQueriesContext(connection) as asked:
            assert breaches() == {}
        return len(asked)

    few = questions()
    for _ in range(3):
        fanout.step(factories.a_running_job(job.template))
    assert questions() == few


def test_a_funnel_counts_everybody_once_in_five_queries(job, django_assert_num_queries):
    with django_assert_num_queries(5):
        funnel = funnels.of_job(job)

    assert funnel.audience == 3
    assert funnel.by_state == {"claimed": 1, "waiting": 1}
    assert funnel.not_sent == {"no_consent": 1}
    assert (funnel.left, funnel.accepted, funnel.is_balanced) == (2, 0, True)
