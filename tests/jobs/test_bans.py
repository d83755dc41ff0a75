"""What WeChat has banned stops, tells a person, keeps the stock, and can be lifted."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from notify_platform.alerts.models import Alert
from notify_platform.jobs import bans
from notify_platform.jobs.models import SendJob
from subscriptions.grants import wishes
from subscriptions.models import Grant, Scene, Subscriber, Subscription
from subscriptions.prompts.reporting import Reported, report
from templates_app.models import MessageTemplate, MiniProgram
from tests import factories

pytestmark = pytest.mark.django_db
LIVE, BANNED = MessageTemplate.State.LIVE, MessageTemplate.State.BANNED
RUNNING, PAUSED = SendJob.State.RUNNING, SendJob.State.PAUSED


@pytest.fixture
def mini_program():
    return factories.a_mini_program()


@pytest.fixture
def template(mini_program):
    return factories.a_template(mini_program)


@pytest.fixture
def job(template):
    return factories.a_running_job(template)


def a_report(person, *, results=None, err_code=None):
    scene, _made = Scene.objects.get_or_create(mini_program=person.mini_program, code="paid", name="Paid")
    told = report(
        person,
        scene_id=scene.pk,
        results=results or {},
        err_code=err_code,
        client_request_id=f"request-{person.pk}",
        answered_at=timezone.now(),
    )
    bans.heed(person, reported=told)


def plan_of(sql):
    """How the database would go about it, were the tables too big to be read whole."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"{'EXPLAIN' if connection.vendor == 'postgresql' else 'EXPLAIN QUERY PLAN'} {sql}")
        return str(cursor.fetchall())


def state_of(row):
    row.refresh_from_db()
    return row.state


def alerts():
    return list(Alert.objects.filter(settled_at__isnull=True).values_list("kind", "subject"))


def test_a_ban_stops_the_jobs_of_the_template_tells_a_person_and_keeps_the_stock(mini_program, template, job):
    other = factories.a_running_job(factories.a_template(mini_program))
    person = factories.subscribers(mini_program, count=1)[0]
    factories.grants(template, to=[person])

    a_report(person, results={template: "ban"})

    assert (state_of(template), state_of(job), state_of(other)) == (BANNED, PAUSED, RUNNING)
    assert job.pause_reason == SendJob.PauseReason.TEMPLATE
    assert alerts() == [(Alert.Kind.TEMPLATE_BANNED, template.wechat_id)]
    assert Grant.objects.get().state == Grant.State.AVAILABLE


def test_a_ban_of_the_whole_mini_program_stops_all_of_its_jobs_and_no_others(mini_program, template, job):
    elsewhere = factories.a_running_job(factories.a_template(factories.a_mini_program()))

    a_report(factories.subscribers(mini_program, count=1)[0], err_code=20005)

    mini_program.refresh_from_db()
    assert mini_program.banned_at is not None
    assert (state_of(job), state_of(elsewhere), state_of(template)) == (PAUSED, RUNNING, LIVE)
    assert alerts() == [(Alert.Kind.APP_BANNED, "")]


def test_a_mini_program_may_want_more_than_one_phone_to_say_so(mini_program, template, job):
    MiniProgram.objects.update(ban_witnesses=2)
    one, other = factories.subscribers(MiniProgram.objects.get(pk=mini_program.pk), count=2)

    a_report(one, results={template: "ban"}, err_code=20005)
    after_one = (state_of(template), state_of(job), alerts())
    a_report(other, results={template: "ban"}, err_code=20005)

    assert after_one == (LIVE, RUNNING, [])
    assert (state_of(template), state_of(job)) == (BANNED, PAUSED)
    assert sorted(kind for kind, _subject in alerts()) == [Alert.Kind.APP_BANNED, Alert.Kind.TEMPLATE_BANNED]


def test_what_wechats_settings_say_of_a_ban_counts_as_a_witness(mini_program, template):
    MiniProgram.objects.update(ban_witnesses=2)
    one, other = factories.subscribers(MiniProgram.objects.get(pk=mini_program.pk), count=2)
    for person in (one, one, other):
        before = state_of(template)
        wishes.note_settings(person, main_switch=True, kept={template: "ban"})
        bans.heed(person, reported=Reported(banned=[template], app_banned=False))

    assert (before, state_of(template)) == (LIVE, BANNED)


def test_the_second_report_of_a_known_ban_asks_nobody_and_raises_nothing(mini_program, template):
    one, other = factories.subscribers(mini_program, count=2)
    a_report(one, results={template: "ban"})
    template.refresh_from_db()

    a_report(other, results={template: "ban"})

    assert list(Alert.objects.values_list("times", flat=True)) == [1]


def test_lifting_a_ban_settles_its_alert_and_leaves_jobs_to_a_person(template, job):
    bans.ban_template(template, detail="WeChat said so.")

    assert bans.lift_template(template, by=factories.a_user())
    assert not bans.lift_template(template, by=None)
    assert (state_of(template), state_of(job), alerts()) == (LIVE, PAUSED, [])


def test_lifting_the_ban_of_a_mini_program(mini_program):
    bans.ban_app(mini_program, detail="WeChat said so.")

    assert bans.lift_app(mini_program, by=factories.a_user())
    assert not bans.lift_app(mini_program, by=None)
    mini_program.refresh_from_db()
    assert (mini_program.banned_at, alerts()) == (None, [])


def test_settling_the_alert_of_a_ban_lifts_the_ban(mini_program, template):
    bans.ban_template(template, detail="WeChat said so.")
    bans.ban_app(mini_program, detail="WeChat said so.")
    by = factories.a_user()

    settled = [bans.settle(alert, by=by) for alert in Alert.objects.order_by("kind")]

    mini_program.refresh_from_db()
    assert (settled, alerts(), mini_program.banned_at, state_of(template)) == ([True, True], [], None, LIVE)
    assert [bans.settle(alert, by=by) for alert in Alert.objects.all()] == [False, False]


def test_settling_an_old_alert_lifts_no_newer_ban(template):
    bans.ban_template(template, detail="WeChat said so.")
    old = Alert.objects.get()
    bans.lift_template(template, by=None)
    bans.ban_template(template, detail="WeChat said so again.")

    assert not bans.settle(old, by=factories.a_user())
    assert state_of(template) == BANNED


@pytest.mark.parametrize(("shown", "is_lifted"), [(-1, False), (1, True)])
def test_only_a_popup_shown_after_a_ban_lifts_it(mini_program, template, shown, is_lifted):
    bans.ban_template(template, detail="WeChat said so.")
    bans.ban_app(mini_program, detail="WeChat said so.")
    mini_program.refresh_from_db()
    template.refresh_from_db()

    bans.lift_what_is_shown(mini_program, agreed={template: timezone.now() + timedelta(minutes=shown)})

    mini_program.refresh_from_db()
    assert (mini_program.banned_at is None, state_of(template) == LIVE, alerts() == []) == (is_lifted,) * 3


def test_a_popup_shown_before_a_ban_was_last_heard_of_does_not_lift_it(mini_program, template):
    bans.ban_template(template, detail="WeChat said so.")
    bans.ban_app(mini_program, detail="WeChat said so.")
    hour, now = timedelta(hours=1), timezone.now()
    MiniProgram.objects.update(banned_at=now - 2 * hour)
    Alert.objects.update(first_at=now - 2 * hour, last_at=now)
    mini_program.refresh_from_db()
    template.refresh_from_db()

    bans.lift_what_is_shown(mini_program, agreed={template: now - hour})

    mini_program.refresh_from_db()
    assert (mini_program.banned_at, state_of(template), len(alerts())) == (now - 2 * hour, BANNED, 2)


def test_of_several_templates_shown_each_is_judged_by_its_own_moment_and_the_app_by_the_last(mini_program, template):
    other = factories.a_template(mini_program)
    for one in (template, other):
        bans.ban_template(one, detail="WeChat said so.")
        one.refresh_from_db()
    bans.ban_app(mini_program, detail="WeChat said so.")
    mini_program.refresh_from_db()
    minute, now = timedelta(minutes=1), timezone.now()

    bans.lift_what_is_shown(mini_program, agreed={template: now - minute, other: now + minute})

    mini_program.refresh_from_db()
    assert (state_of(template), state_of(other), mini_program.banned_at) == (BANNED, LIVE, None)


@pytest.mark.parametrize(("shown", "state"), [(-1, "banned"), (1, "on")])
def test_a_popup_shown_to_anybody_lifts_the_ban_only_one_phone_spoke_of_before(mini_program, template, shown, state):
    MiniProgram.objects.update(ban_witnesses=2)
    person = Subscriber.objects.get(pk=factories.subscribers(mini_program, count=1)[0].pk)
    factories.grants(template, to=[person], age=timedelta(hours=1))
    a_report(person, results={template: "ban"})
    template.refresh_from_db()

    bans.lift_what_is_shown(mini_program, agreed={template: timezone.now() + timedelta(minutes=shown)})

    assert (state_of(template), state_of(Subscription.objects.get())) == (LIVE, state)


def test_a_person_of_whom_nothing_but_the_ban_is_known_can_be_asked_again(mini_program, template):
    MiniProgram.objects.update(ban_witnesses=2)
    person = Subscriber.objects.get(pk=factories.subscribers(mini_program, count=1)[0].pk)
    a_report(person, results={template: "ban"})

    bans.lift_what_is_shown(mini_program, agreed={template: timezone.now() + timedelta(minutes=1)})

    relation = Subscription.objects.get()
    assert (relation.state, relation.standing) == (Subscription.State.OFF, "none")


def test_lifting_what_is_shown_takes_as_many_statements_for_many_banned_people_as_for_one(mini_program, template):
    MiniProgram.objects.update(ban_witnesses=9)
    taken = []
    for count in (1, 5):
        for person in factories.subscribers(MiniProgram.objects.get(pk=mini_program.pk), count=count):
            a_report(person, results={template: "ban"})
        with CaptureQueriesContext(connection) as captured:
            bans.lift_what_is_shown(mini_program, agreed={template: timezone.now() + timedelta(minutes=1)})
        taken.append(len(captured))

    assert taken == [taken[0]] * 2
    assert set(Subscription.objects.values_list("state", flat=True)) == {Subscription.State.OFF}


def test_a_popup_of_a_template_nobody_is_banned_from_takes_one_statement(
    mini_program, template, django_assert_num_queries
):
    with django_assert_num_queries(1):
        bans.lift_what_is_shown(mini_program, agreed={template: timezone.now()})


def test_only_bans_are_looked_through_for_witnesses_and_for_what_is_lifted(mini_program, template):
    """Not the whole history of a template: each of these queries has an index of its own."""
    MiniProgram.objects.update(ban_witnesses=2)
    person = Subscriber.objects.get(pk=factories.subscribers(mini_program, count=1)[0].pk)
    with CaptureQueriesContext(connection) as captured:
        a_report(person, results={template: "ban"})
        bans.lift_what_is_shown(mini_program, agreed={template: timezone.now() + timedelta(minutes=1)})

    plans = "\n".join(plan_of(one["sql"]) for one in captured if "'ban" in one["sql"] and "INSERT" not in one["sql"])

    used = ("answer_bans", "subscription_kept_ban", "subscription_banned")
    assert [name for name in used if name not in plans] == []


def test_what_was_said_before_a_ban_was_lifted_bans_nothing_again(mini_program, template):
    one, other = factories.subscribers(mini_program, count=2)
    a_report(one, results={template: "ban"}, err_code=20005)
    bans.lift_template(template, by=None)
    bans.lift_app(mini_program, by=None)
    MiniProgram.objects.update(ban_witnesses=2)
    mini_program.refresh_from_db()
    template.refresh_from_db()

    a_report(Subscriber.objects.get(pk=other.pk), results={template: "ban"}, err_code=20005)

    mini_program.refresh_from_db()
    assert (mini_program.banned_at, state_of(template), alerts()) == (None, LIVE, [])


def test_the_desk_reads_of_a_ban_in_its_own_language_whatever_the_phone_speaks(mini_program, template, settings):
    settings.LANGUAGE_CODE = "zh-hans"
    with translation.override("en"):
        a_report(factories.subscribers(mini_program, count=1)[0], results={template: "ban"})

    assert "用户手机上报" in Alert.objects.get().detail
