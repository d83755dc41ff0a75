"""Taking rows: the gates, the reservation, the lease and the reaper."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notify_platform.core.errors import Refused
from notify_platform.delivery import claims, fanout, keys
from notify_platform.delivery.models import Delivery, Reason
from notify_platform.jobs.models import SendJob, Variant
from subscriptions.models import Grant, Subscriber, Subscription
from templates_app.models import MiniProgram
from tests import factories

pytestmark = pytest.mark.django_db
State = Delivery.State


def ids(claim):
    return [message.delivery_id for message in claim.messages]


def stock():
    return sorted(Grant.objects.values_list("state", flat=True))


def why(job):
    return list(Delivery.objects.filter(job=job, state=State.SKIPPED).values_list("reason", flat=True))


def test_a_claim_reserves_one_unit_for_each_message(job, take, states):
    claim = take(job)

    assert len(claim.messages) == 3
    assert states() == {State.CLAIMED: 3}
    assert stock() == ["reserved"] * 3
    assert sorted(message.grant_id for message in claim.messages) == sorted(Grant.objects.values_list("pk", flat=True))


def test_a_claim_takes_no_more_than_asked(job, take, states):
    assert len(take(job, limit=2).messages) == 2
    assert states() == {State.CLAIMED: 2, State.WAITING: 1}


def test_the_body_is_what_wechat_wants(job, take):
    message = take(job, limit=1).messages[0]
    body = json.loads(message.body)

    assert body.pop("page") == f"pages/order/detail?nk={keys.make(message.delivery_id)}"
    assert body == {
        "touser": message.openid,
        "template_id": job.template.wechat_id,
        "miniprogram_state": "formal",
        "lang": "zh_CN",
        "data": {"thing1": {"value": "新鲜水果"}},
    }
    assert "新鲜水果".encode() in message.body


def test_a_person_with_a_message_in_flight_waits_for_it(job, take, states):
    take(job)
    second = factories.a_running_job(job.template)
    factories.grants(job.template, to=list(Subscriber.objects.all()))
    fanout.step(second)

    claim = take(second)

    assert claim.messages == []
    assert states(job=second) == {State.WAITING: 3}
    assert Delivery.objects.filter(job=second, due_at__gt=timezone.now()).count() == 3


def test_a_job_that_does_not_run_is_not_claimed(job, take, states):
    SendJob.objects.update(state=SendJob.State.PAUSED)

    assert take(job).messages == []
    assert states() == {State.WAITING: 3}
    assert stock() == ["available"] * 3


def test_who_has_no_consent_any_more_is_skipped(job, take, people):
    Grant.objects.filter(subscriber=people[0]).update(state="revoked", settled_at=timezone.now(), revoked_by="person")

    assert len(take(job).messages) == 2
    assert why(job) == [Reason.NO_CONSENT]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"invalid_at": timezone.now()}, Reason.UNREACHABLE),
        ({"main_switch_off_at": timezone.now()}, Reason.SWITCHED_OFF),
    ],
)
def test_a_person_who_cannot_be_reached_is_skipped_with_consent_kept(job, take, people, change, reason):
    Subscriber.objects.filter(pk=people[0].pk).update(**change)

    assert len(take(job).messages) == 2
    assert why(job) == [reason]
    assert Grant.objects.get(subscriber=people[0]).state == "available"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"state": Subscription.State.OFF}, Reason.SWITCHED_OFF),
        ({"state": Subscription.State.SUSPENDED}, Reason.SWITCHED_OFF),
        ({"muted_at": timezone.now()}, Reason.MUTED),
    ],
)
def test_a_template_turned_off_or_muted_is_not_sent(job, take, people, change, reason):
    Subscription.objects.filter(subscriber=people[0]).update(**change)

    assert len(take(job).messages) == 2
    assert why(job) == [reason]


def test_past_the_deadline_nobody_gets_it(job, take, states):
    SendJob.objects.update(not_after=timezone.now() - timedelta(seconds=1))

    assert take(job).messages == []
    assert states() == {State.SKIPPED: 3}
    assert why(job) == [Reason.TOO_LATE] * 3
    assert stock() == ["available"] * 3


def all_day_but_now():
    now = timezone.localtime()
    return {
        "quiet_from": (now - timedelta(hours=1)).time(),
        "quiet_until": (now + timedelta(hours=2)).time(),
    }


def test_quiet_hours_put_everybody_off(job, take, states):
    MiniProgram.objects.update(**all_day_but_now())

    assert take(job).messages == []
    assert states(reason=Reason.QUIET_HOURS) == {State.WAITING: 3}
    assert Delivery.objects.filter(due_at__gt=timezone.now() + timedelta(hours=1)).count() == 3


def test_an_urgent_template_passes_the_apps_quiet_hours_but_not_a_persons(job, take, people):
    MiniProgram.objects.update(**all_day_but_now())
    job.template.urgent = True
    job.template.save()
    Subscriber.objects.filter(pk=people[0].pk).update(**all_day_but_now())

    assert len(take(job).messages) == 2
    assert Delivery.objects.get(subscriber=people[0]).reason == Reason.QUIET_HOURS


def test_who_has_had_enough_cards_waits_until_the_cap_frees(job, take, people, template):
    MiniProgram.objects.update(cap_per_day=1)
    earlier = factories.a_running_job(template)
    sent_at = timezone.now() - timedelta(hours=20)
    grant = Grant.objects.create(
        subscriber=people[0],
        template=template,
        answer=people[0].answers.get(),
        state="spent",
        granted_at=sent_at,
        settled_at=sent_at,
    )
    Delivery.objects.create(
        mini_program=template.mini_program, job=earlier, variant=earlier.variants.get(), template=template,
        subscriber=people[0], is_counted=True, grant=grant, state=State.UNKNOWN, due_at=sent_at, armed_at=sent_at,
    )  # fmt: skip

    assert len(take(job).messages) == 2
    held = Delivery.objects.get(job=job, subscriber=people[0])
    assert (held.state, held.reason, held.due_at) == (State.WAITING, Reason.CAP, sent_at + timedelta(days=1))


def test_a_text_that_does_not_fit_this_person_is_skipped_and_costs_no_consent(job, take, people):
    Variant.objects.update(texts={"thing1": "{{ nickname }}"})
    Subscriber.objects.filter(pk=people[0].pk).update(nickname="很" * 21)

    assert len(take(job).messages) == 2
    assert why(job) == [Reason.CONTENT]
    assert Grant.objects.get(subscriber=people[0]).state == "available"


def test_a_window_of_the_job_holds_the_rest_back(job, take, states):
    now = timezone.localtime()
    opens = (now + timedelta(hours=2)).time()
    SendJob.objects.update(window_from=opens, window_until=(now + timedelta(hours=3)).time())

    assert take(job).messages == []
    assert states(reason=Reason.WINDOW) == {State.WAITING: 3}


def test_only_claimed_rows_of_a_running_job_are_armed(job, take, states):
    claim = take(job)
    SendJob.objects.update(state=SendJob.State.PAUSED)

    assert claims.arm(claim.token, delivery_ids=ids(claim)) == set()
    assert claims.release(claim.token, delivery_ids=ids(claim)) == 3
    assert states() == {State.WAITING: 3}
    assert stock() == ["available"] * 3


def test_a_worker_that_slept_through_its_lease_arms_nothing(job, take, states):
    claim = take(job)
    Delivery.objects.filter(pk=ids(claim)[0]).update(lease_until=timezone.now() - timedelta(seconds=1))

    assert claims.arm(claim.token, delivery_ids=ids(claim)) == set(ids(claim)[1:])
    assert states() == {State.CLAIMED: 1, State.SENDING: 2}


def test_a_foreign_token_arms_nothing(job, take):
    claim = take(job)

    assert claims.arm(uuid.uuid4(), delivery_ids=ids(claim)) == set()


def test_arming_counts_the_attempt_and_notes_the_moment(job, take):
    claim = take(job, limit=1)
    claims.arm(claim.token, delivery_ids=ids(claim))

    row = Delivery.objects.get(pk=ids(claim)[0])
    assert (row.state, row.attempts) == (State.SENDING, 1)
    assert row.armed_at is not None


def test_after_a_crash_claimed_rows_wait_again_and_sending_rows_are_unknown(job, take, states):
    first, second = take(job, limit=1), take(job, limit=1)
    claims.arm(second.token, delivery_ids=ids(second))
    Delivery.objects.filter(state__in=Delivery.IN_FLIGHT).update(lease_until=timezone.now() - timedelta(seconds=1))

    assert claims.reap() == (1, 1)

    assert states() == {State.WAITING: 2, State.UNKNOWN: 1}
    assert Delivery.objects.get(pk=ids(first)[0]).grant is None
    assert Delivery.objects.get(pk=ids(second)[0]).grant is not None
    assert stock() == ["available", "available", "reserved"]
    assert claims.reap() == (0, 0)


def test_a_lease_that_holds_is_left_alone(job, take, states):
    take(job)

    assert claims.reap() == (0, 0)
    assert states() == {State.CLAIMED: 3}


def test_a_cancelled_jobs_waiting_rows_are_cancelled_in_batches(job, states, monkeypatch):
    monkeypatch.setattr(claims, "CANCEL_BATCH", 2)

    assert [claims.cancel_waiting(job), claims.cancel_waiting(job), claims.cancel_waiting(job)] == [2, 1, 0]
    assert states() == {State.CANCELLED: 3}


def test_the_queries_of_a_claim_do_not_grow_with_the_rows(job):
    def count(limit):
        fresh = SendJob.objects.select_related("template", "mini_program").get(pk=job.pk)
        with CaptureQueriesContext(connection) as queries:
            claims.claim(fresh, limit=limit, wordings=claims.Wordings())
        return len(queries)

    assert count(1) == count(2)


def test_a_template_wechat_does_not_take_any_more_claims_nothing_and_says_so(job, take, states, template):
    template.state = "banned"
    template.save()

    with pytest.raises(Refused) as refused:
        take(job)

    assert refused.value.code == "template"
    assert states() == {State.WAITING: 3}


def test_rows_keep_their_kind_of_consent_when_the_template_changes_its_own(job, take, states, template):
    template.kind = "long_term"
    template.save()

    assert len(take(job).messages) == 3
    assert stock() == ["reserved"] * 3


def test_a_pause_for_ever_is_a_no(job, take, people):
    Subscriber.objects.filter(pk=people[0].pk).update(paused_until=datetime(9999, 12, 31, tzinfo=UTC))

    assert len(take(job).messages) == 2
    assert why(job) == [Reason.PERSON_PAUSED]


def test_a_job_without_a_deadline_waits_a_fortnight_for_nobody(job, take, people):
    Subscriber.objects.filter(pk=people[0].pk).update(paused_until=timezone.now() + timedelta(days=15))
    Subscriber.objects.filter(pk=people[1].pk).update(paused_until=timezone.now() + timedelta(days=13))

    take(job)

    assert why(job) == [Reason.PERSON_PAUSED]
    assert Delivery.objects.get(subscriber=people[1]).state == State.WAITING


def test_a_time_zone_nobody_knows_is_the_mini_programs_and_then_the_houses(job, take, people):
    Subscriber.objects.filter(pk=people[0].pk).update(time_zone="Mars/Olympus")
    MiniProgram.objects.update(time_zone="Moon/Tranquility")

    assert len(take(job).messages) == 3
