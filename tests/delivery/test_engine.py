"""The engine against a WeChat of our own, over real HTTP."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from django.db import OperationalError, connection
from django.db.models import F
from django.utils import timezone

from notify_platform.alerts.models import Alert
from notify_platform.delivery import claims, fanout, pacing, settlement, upkeep
from notify_platform.delivery import engine as engine_module
from notify_platform.delivery.engine import Engine
from notify_platform.delivery.models import Delivery, Pace
from notify_platform.delivery.slots import Slot, Slots
from notify_platform.insights import books
from notify_platform.jobs.models import SendJob
from subscriptions.models import Grant, Subscription
from templates_app.models import MiniProgram
from tests import factories, wechat_world

pytestmark = pytest.mark.django_db
State = Delivery.State
SEND = "/cgi-bin/message/subscribe/send"


@pytest.fixture
def engine(job, wechat, mini_program, people):
    wechat_world.introduce(wechat, mini_program, people=people)
    engine = Engine(mini_program)
    yield engine
    engine.close()


def run(engine, *, seconds=5.0, stopping=lambda: False):
    return engine.run_slice(seconds=seconds, stopping=stopping)


def test_a_slice_sends_everything_due_and_the_books_agree_with_wechat(engine, wechat, mini_program, states):
    assert run(engine) == 3
    upkeep.tick()

    assert states() == {State.ACCEPTED: 3}
    assert sorted(Delivery.objects.values_list("msgid", flat=True)) == sorted(
        row.msgid for row in wechat.deliveries(mini_program.app_id)
    )
    assert SendJob.objects.get().state == SendJob.State.FINISHED
    assert books.check() == []


def test_everybody_gets_the_words_and_the_page_of_their_variant(engine, wechat, job, mini_program, people):
    second = factories.another_variant(job, name="B", texts={"thing1": "另一种水果"}, page="pages/other")
    Delivery.objects.filter(subscriber=people[1]).update(variant=second)

    run(engine)

    inboxes = [wechat.inbox(mini_program.app_id, person.openid) for person in people]
    got = [[(card["data"]["thing1"], card["page"].split("?")[0]) for card in inbox] for inbox in inboxes]
    first, other = ("新鲜水果", "pages/order/detail"), ("另一种水果", "pages/other")
    assert got == [[first], [other], [first]]


def test_a_busy_wechat_is_tried_again_and_nothing_is_doubled(engine, wechat, states):
    wechat.set_faults([{"endpoint": SEND, "action": "code", "code": -1, "limit": 3}])

    run(engine)
    assert states(reason="retry") == {State.WAITING: 3}
    Delivery.objects.update(due_at=Delivery.objects.first().created_at)
    run(engine)

    assert states() == {State.ACCEPTED: 3}
    assert wechat.counts().doubles == 0


@pytest.mark.parametrize(
    ("action", "counted"),
    [("reset_after", 3), ("status_after", 3), ("reset_before", 0)],
)
def test_an_answer_that_never_comes_is_unknown_and_is_not_sent_again(engine, wechat, states, action, counted):
    wechat.set_faults([{"endpoint": SEND, "action": action, "http_status": 502}])

    run(engine)
    run(engine)

    assert states() == {State.UNKNOWN: 3}
    assert wechat.counts().requests == 3
    assert wechat.counts().counted == counted
    assert set(Grant.objects.values_list("state", flat=True)) == {Grant.State.RESERVED}


def test_an_expired_token_is_renewed_and_everybody_still_gets_one_card(engine, wechat, states):
    run(engine, stopping=lambda: True)
    engine._fetch_token()
    wechat.change_settings(clock_shift_s=8000.0)

    run(engine)
    run(engine)

    assert states() == {State.ACCEPTED: 3}
    assert wechat.counts().counted == 3
    assert set(wechat.counts().refused_by_code) == {42001}


def test_a_wrong_secret_pauses_the_job_with_what_to_do(engine, wechat, mini_program, states):
    wechat.setup(apps=[{"app_id": mini_program.app_id, "secret": "another", "original_id": "", "templates": []}])

    assert run(engine) == 0

    job = SendJob.objects.get()
    assert (job.state, job.pause_reason) == (SendJob.State.PAUSED, "account")
    assert "app secret" in job.pause_detail
    assert states() == {State.WAITING: 3}


def test_stopping_gives_back_what_has_not_left(engine, states):
    engine.mini_program.pace_per_second = 1
    engine.mini_program.save()
    calls = iter([False, False, True, True, True])

    run(engine, stopping=lambda: next(calls))

    assert State.CLAIMED not in states()
    assert State.SENDING not in states()
    assert books.check() == []


def test_stopping_does_not_wait_for_what_waits_behind_a_hang(job, wechat, mini_program, people, states):
    wechat_world.introduce(wechat, mini_program, people=people, settings={"latency_ms": 300.0})
    engine = Engine(mini_program, concurrency=1)
    sent = run(engine, stopping=lambda: Delivery.objects.filter(state=State.SENDING).exists())

    engine.close()
    assert sent == wechat.counts().counted < 3
    assert True not in engine.watch._recent, "nobody was busy: the pace must not be held for it"
    assert states() == {State.ACCEPTED: sent, State.WAITING: 3 - sent}
    assert Pace.objects.get().booked == sent
    assert books.check() == []


def test_jobs_take_turns_and_a_test_goes_before_them(engine, template, mini_program):
    jobs = [SendJob.objects.get(), *(factories.a_running_job(template) for _ in range(3))]
    SendJob.objects.filter(pk=jobs[2].pk).update(test_of=jobs[0])
    # The last has nobody yet.
    for job in jobs[1:3]:
        while fanout.step(job):
            pass

    order = [[job.pk for job in engine._in_turn(engine._running_jobs())] for _ in range(3)]

    first, second, test, _idle = (job.pk for job in jobs)
    assert order == [[test, second, first], [test, first, second], [test, second, first]]


def test_a_test_takes_the_first_slots_of_what_is_ready():
    ready = Slots()
    ready.add(replace(a_slot(number), at=float(number)) for number in (3, 1, 2))

    ready.add_first([replace(a_slot(number), at=float(number)) for number in (8, 9)])

    assert [(slot.message.delivery_id, slot.at) for slot in ready.take_all()] == [
        (8, 1.0),
        (9, 2.0),
        (1, 3.0),
        (2, 8.0),
        (3, 9.0),
    ]


def test_no_more_is_armed_than_three_times_the_connections(engine, wechat, monkeypatch):
    monkeypatch.setattr(engine_module, "MAX_BATCH", 500)
    sent = []
    monkeypatch.setattr(engine.courier, "send", lambda parcels: sent.extend(parcels))
    monkeypatch.setattr(engine_module.claims, "arm", lambda token, *, delivery_ids: set(delivery_ids))
    engine.concurrency = 4
    engine.ready.add(a_slot(number) for number in range(100))

    waves = [engine._launch() for _ in range(3)]
    assert (waves, len(sent), engine.flying) == ([8, 0, 0], 8, 8)
    engine.flying = 4
    assert (engine._launch(), engine._launch(), engine.flying) == (8, 0, 12)
    engine.ready.take_all()
    engine.flying = 0


def a_slot(number: int) -> engine_module.Slot:
    message = claims.Message(number, 1, 1, number, None, 0, None, "o", b"{}")
    return Slot(at=time.monotonic(), day=0, per_second=100, token=uuid.UUID(int=1), message=message)


def test_a_held_pace_sends_nothing(engine, wechat, states):
    pacing.hold(engine.pace, seconds=60)

    assert run(engine, seconds=0.3) == 0
    assert states() == {State.WAITING: 3}
    assert wechat.counts().requests == 0


def test_two_jobs_to_the_same_people_do_not_run_into_each_other(engine, wechat, template, people, mini_program, states):
    factories.grants(template, to=people)
    wechat.add_users(mini_program.app_id, [{"openid": p.openid, "balances": {template.wechat_id: 2}} for p in people])
    second = factories.a_running_job(template)
    fanout.step(second)

    run(engine)
    Delivery.objects.filter(state=State.WAITING).update(due_at=second.created_at)
    run(engine)

    assert states() == {State.ACCEPTED: 6}
    assert 43108 not in wechat.counts().refused_by_code


def test_a_refusal_tells_which_person_and_why(engine, wechat, mini_program, people, states):
    wechat.turn_off(mini_program.app_id, people[0].openid, mini_program.templates.get().wechat_id)

    run(engine)

    row = Delivery.objects.get(state=State.FAILED)
    assert (row.subscriber, row.error_code) == (people[0], 43101)
    assert row.rid.count("-") == 2
    assert Grant.objects.get(subscriber=people[0]).state == Grant.State.REVOKED


def test_a_code_nobody_knows_becomes_an_alert_and_its_job_goes_on(engine, wechat, template, mini_program):
    people = factories.subscribers(mini_program, count=100)
    factories.grants(template, to=people)
    wechat.add_users(
        mini_program.app_id, [{"openid": one.openid, "balances": {template.wechat_id: 1}} for one in people]
    )
    strange = [one.openid for one in people[::5]]
    wechat.set_faults([{"endpoint": SEND, "action": "code", "code": 99999, "openids": strange}])
    job = factories.a_running_job(template)
    while fanout.step(job):
        pass

    run(engine)
    upkeep.tick()

    alert = Alert.objects.get()
    assert (alert.kind, alert.subject) == (Alert.Kind.STRANGE_CODE, "99999")
    assert "Look the code up" in alert.detail
    job.refresh_from_db()
    assert job.state == SendJob.State.FINISHED


def test_words_that_no_longer_fit_the_template_pause_their_job_and_no_other(engine, template, states):
    other = factories.a_template(template.mini_program)
    factories.grants(other, to=factories.subscribers(template.mini_program, count=1))
    broken = factories.a_running_job(other)
    fanout.step(broken)
    other.fields.update(key="phrase1")

    run(engine)

    broken.refresh_from_db()
    assert (broken.state, broken.pause_reason) == (SendJob.State.PAUSED, "content")
    assert states(job=SendJob.objects.exclude(pk=broken.pk).get()) == {State.ACCEPTED: 3}


def test_a_database_that_is_away_for_a_moment_costs_no_answer(engine, monkeypatch, states):
    settle, away = settlement.settle, iter([True, True])

    def blink(*args, **words):
        if next(away, False):
            raise OperationalError("gone")
        return settle(*args, **words)

    monkeypatch.setattr(settlement, "settle", blink)
    monkeypatch.setattr(engine_module.connection, "close", lambda: None)
    run(engine)

    assert states() == {State.ACCEPTED: 3}


def test_after_a_hang_the_rest_leaves_at_the_pace(engine):
    now = time.monotonic()
    engine.ready.add(
        Slot(at=now - 5 + number / 10, day=0, per_second=10, token=None, message=None) for number in range(10)
    )

    wave = engine._next_wave()

    assert [round(slot.at - wave[0].at, 3) for slot in wave] == [0.0, 0.1]
    assert wave[0].at >= now
    engine.ready.take_all()


def test_rows_held_back_do_not_slow_the_others_down(engine, wechat, template, mini_program, monkeypatch):
    # A slow machine must not end the looking early.
    monkeypatch.setattr(engine_module.time, "monotonic", lambda: 0.0)
    muted = factories.subscribers(mini_program, count=300)
    factories.grants(template, to=muted)
    Subscription.objects.filter(subscriber__in=muted).update(muted_at=timezone.now())
    job = factories.a_running_job(template)
    fanout.step(job)
    engine.mini_program.pace_per_second = 20
    engine.mini_program.save()

    engine._refill()

    assert Delivery.objects.filter(job=job, state=State.SKIPPED).count() >= 100
    engine._give_back_ready()


# --- the daily budget ----------------------------------------------------------------------------------------------


@pytest.fixture
def eight(wechat, template, mini_program):
    """A job to eight people of a mini-program that sends five messages a day."""
    MiniProgram.objects.update(daily_budget=5)
    people = factories.subscribers(mini_program, count=8)
    factories.grants(template, to=people)
    job = factories.a_running_job(template)
    wechat_world.introduce(wechat, mini_program, people=people)
    while fanout.step(job):
        pass
    return job


def the_next_day():
    Pace.objects.update(day=F("day") - 1)


def slice_of(mini_program, **words):
    engine = Engine(mini_program)
    try:
        return run(engine, **words)
    finally:
        engine.close()


def test_what_the_day_has_no_room_for_leaves_on_the_next_day(eight, wechat, mini_program, states):
    assert slice_of(mini_program) == 5
    assert (slice_of(mini_program), upkeep.mini_programs_with_work(), upkeep.is_idle()) == (0, [], True)
    assert states() == {State.ACCEPTED: 5, State.WAITING: 3}
    assert Counter(Grant.objects.values_list("state", flat=True)) == {"spent": 5, "available": 3}
    assert wechat.counts().requests == 5

    the_next_day()
    assert upkeep.mini_programs_with_work() == [mini_program]
    assert slice_of(mini_program) == 3
    upkeep.tick()

    assert states() == {State.ACCEPTED: 8}
    assert (wechat.counts().counted, wechat.counts().doubles) == (8, 0)
    assert SendJob.objects.get().state == SendJob.State.FINISHED
    assert books.check() == []


def test_a_raised_budget_lets_an_engine_go_on_at_once(eight, mini_program, states):
    engine = Engine(mini_program)
    run(engine)
    MiniProgram.objects.update(daily_budget=7)

    assert upkeep.mini_programs_with_work() == [mini_program]
    assert run(engine) == 2
    engine.close()
    assert states() == {State.ACCEPTED: 7, State.WAITING: 1}


def test_slots_whose_messages_did_not_leave_are_of_use_later_that_day(eight, mini_program):
    engine = Engine(mini_program)
    engine._refill()
    engine._give_back_ready()
    engine.close()

    assert pacing.look(pacing.pace_of(mini_program)).booked == 0
    assert slice_of(mini_program) == 5


@pytest.mark.django_db(transaction=True)
def test_two_engines_that_race_for_the_last_slots_send_no_more_than_the_budget(eight, wechat, mini_program, states):
    both_look = Barrier(2)

    def one(_number):
        try:
            engine = Engine(mini_program)
            both_look.wait(timeout=30)
            engine._refill()
            both_look.wait(timeout=30)
            try:
                return run(engine)
            finally:
                engine.close()
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(one, range(2))) == 5
    assert states() == {State.ACCEPTED: 5, State.WAITING: 3}
    assert wechat.counts().requests == 5
    assert books.check() == []
