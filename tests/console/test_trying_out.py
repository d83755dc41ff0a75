"""Trying a draft out: to testers alone, for a real unit, through the engine, beside the draft's own books."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from notify_platform.core.models import AuditEvent
from notify_platform.delivery import fanout, forgetting, upkeep
from notify_platform.delivery.engine import Engine
from notify_platform.delivery.models import Delivery, Skip
from notify_platform.insights import books
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob
from notify_platform.simulator.control import SimulatorControl
from subscriptions.models import Grant, Subscriber
from templates_app.models import MessageTemplate, MiniProgram
from tests import factories, wechat_world
from tests.console.conftest import At, Colleague

State = Delivery.State
SEND = "/cgi-bin/message/subscribe/send"


@pytest.fixture
def template(db: None) -> MessageTemplate:
    return factories.a_template(factories.a_mini_program(approval_threshold=0))


@pytest.fixture
def testers(template: MessageTemplate) -> list[Subscriber]:
    people = factories.subscribers(template.mini_program, count=2, tester_since=timezone.now())
    factories.grants(template, to=people, units=2)
    return people


@pytest.fixture
def composer(colleague: Colleague) -> User:
    return colleague("operator")


@pytest.fixture
def desk(composer: User, at_desk: At) -> Client:
    return at_desk(composer)


@pytest.fixture
def engineers_desk(colleague: Colleague, at_desk: At) -> Client:
    return at_desk(colleague("engineer"))


@pytest.fixture
def draft(template: MessageTemplate, testers: list[Subscriber], composer: User) -> SendJob:
    return factories.a_job(template, created_by=composer)


def url(job: SendJob) -> str:
    return reverse("admin:jobs_sendjob_test", args=[job.pk])


def sent(to: Any = (), state: str = "trial", **more: Any) -> dict[str, Any]:
    return {"do": "send", "to": [one.pk for one in to], "card_state": state, **more}


def said(response: Any) -> str:
    return [str(message) for message in get_messages(response.wsgi_request)][-1]


def facts() -> Any:
    return (
        list(SendJob.objects.order_by("pk").values()),
        Delivery.objects.count(),
        Skip.objects.count(),
        AuditEvent.objects.count(),
        list(Subscriber.objects.order_by("pk").values_list("pk", "tester_since")),
        list(Grant.objects.order_by("pk").values_list("pk", "state")),
    )


def deliver(mini_program: MiniProgram) -> None:
    engine = Engine(mini_program)
    try:
        engine.run_slice(seconds=5, stopping=lambda: False)
    finally:
        engine.close()
    upkeep.tick()


def results(desk: Client, job: SendJob) -> list[tuple[str, str]]:
    (test,) = desk.get(url(job)).context["tests"]
    return [(str(result.state).split(">")[1].split("<")[0], result.because) for result in test.results]


def test_a_test_reaches_the_tester_and_spends_one_unit(
    desk: Client, draft: SendJob, testers: list[Subscriber], wechat: SimulatorControl
) -> None:
    wechat_world.introduce(wechat, draft.mini_program, people=testers, units=2)

    assert said(desk.post(url(draft), sent(testers[:1]))) == "The test to 1 tester is under way."
    deliver(draft.mini_program)

    (message,) = wechat.deliveries(draft.mini_program.app_id)
    (row,) = Delivery.objects.all()
    assert (message.openid, message.msgid) == (testers[0].openid, row.msgid)
    assert sorted(Grant.objects.filter(subscriber=testers[0]).values_list("state", flat=True)) == ["available", "spent"]
    assert results(desk, draft) == [("accepted by WeChat", "")]
    assert books.check() == []


def test_a_test_opens_the_version_that_was_chosen(
    desk: Client, draft: SendJob, testers: list[Subscriber], wechat: SimulatorControl
) -> None:
    wechat_world.introduce(wechat, draft.mini_program, people=testers, units=2)
    desk.post(url(draft), sent(testers, state="developer"))
    deliver(draft.mini_program)
    inboxes = [wechat.inbox(draft.mini_program.app_id, one.openid) for one in testers]
    assert [[message["miniprogram_state"] for message in inbox] for inbox in inboxes] == [["developer"], ["developer"]]


def test_a_test_sends_the_variant_that_was_chosen(
    desk: Client, draft: SendJob, testers: list[Subscriber], wechat: SimulatorControl
) -> None:
    factories.another_variant(draft, name="B", texts={"thing1": "另一种水果"})
    wechat_world.introduce(wechat, draft.mini_program, people=testers, units=2)
    assert desk.get(url(draft)).context["variants"] == ["A", "B"]

    desk.post(url(draft), sent(testers[:1]))
    desk.post(url(draft), sent(testers[1:], variant="B"))
    deliver(draft.mini_program)

    inboxes = [wechat.inbox(draft.mini_program.app_id, one.openid) for one in testers]
    words = [[message["data"]["thing1"] for message in inbox] for inbox in inboxes]
    assert words == [["新鲜水果"], ["另一种水果"]]
    told = [test.tried for test in desk.get(url(draft)).context["tests"]]
    assert told == ["Variant B · Trial version", "Variant A · Trial version"]


def test_a_variant_that_is_gone_is_not_tried_out(desk: Client, draft: SendJob, testers: list[Subscriber]) -> None:
    before = facts()
    assert said(desk.post(url(draft), sent(testers[:1], variant="B"))) == "The job has no variant B any more."
    assert facts() == before


def test_the_draft_is_not_touched_and_has_none_of_it_in_its_books(
    desk: Client, draft: SendJob, testers: list[Subscriber], wechat: SimulatorControl, colleague: Colleague
) -> None:
    wechat_world.introduce(wechat, draft.mini_program, people=testers, units=2)
    before = SendJob.objects.values().get(pk=draft.pk)
    desk.post(url(draft), sent(testers))
    deliver(draft.mini_program)

    assert SendJob.objects.values().get(pk=draft.pk) == before
    test = SendJob.objects.get(test_of=draft)
    assert (test.state, test.audience_size, draft.deliveries.count()) == ("finished", 2, 0)

    # Both are among the draft's people all the same.
    jobs.submit(draft, by=draft.created_by)
    jobs.approve(draft, by=colleague("approver"))
    jobs.start(draft)
    upkeep.tick()
    deliver(draft.mini_program)
    assert draft.deliveries.filter(state=State.ACCEPTED).count() == 2
    assert books.check() == []


def test_what_wechat_refuses_is_told_in_a_sentence(
    desk: Client, draft: SendJob, testers: list[Subscriber], wechat: SimulatorControl
) -> None:
    wechat_world.introduce(wechat, draft.mini_program, people=testers, units=0)
    desk.post(url(draft), sent(testers[:1]))
    deliver(draft.mini_program)
    ((state, because),) = results(desk, draft)
    assert state == "refused by WeChat"
    assert because.endswith("(43101)")


def test_a_tester_without_consent_is_told_so(desk: Client, draft: SendJob, testers: list[Subscriber]) -> None:
    Grant.objects.update(state=Grant.State.LAPSED, settled_at=timezone.now())
    assert [one.units for one, _name in desk.get(url(draft)).context["testers"]] == [0, 0]
    desk.post(url(draft), sent(testers[:1]))
    upkeep.tick()
    assert results(desk, draft) == [("not sent", "no consent in stock")]
    assert SendJob.objects.get(test_of=draft).state == "finished"
    assert books.check() == []


def test_a_test_passes_the_apps_quiet_hours_and_not_the_testers_own(
    desk: Client, draft: SendJob, testers: list[Subscriber], wechat: SimulatorControl
) -> None:
    wechat_world.introduce(wechat, draft.mini_program, people=testers, units=2)
    MiniProgram.objects.update(quiet_from="00:00", quiet_until="00:00")
    Subscriber.objects.filter(pk=testers[1].pk).update(paused_until=timezone.now() + timedelta(days=1))
    desk.post(url(draft), sent(testers))
    deliver(MiniProgram.objects.get())
    assert results(desk, draft) == [("accepted by WeChat", ""), ("not sent", "wants no card for now")]


def stranger(draft: SendJob) -> dict[str, Any]:
    people = factories.subscribers(draft.mini_program, count=1)
    factories.grants(draft.template, to=people)
    return sent(people)


def of_another_app(draft: SendJob) -> dict[str, Any]:
    return sent(factories.subscribers(factories.a_mini_program(), count=1, tester_since=timezone.now()))


def nobody(draft: SendJob) -> dict[str, Any]:
    return sent()


def released(draft: SendJob) -> dict[str, Any]:
    return sent(Subscriber.objects.all(), state="formal")


def crowd(draft: SendJob) -> dict[str, Any]:
    return sent(factories.subscribers(draft.mini_program, count=21, tester_since=timezone.now()))


def bad_words(draft: SendJob) -> dict[str, Any]:
    draft.variants.update(texts={"thing1": "{{ nick"})
    return sent(Subscriber.objects.all())


def handed_over(draft: SendJob) -> dict[str, Any]:
    jobs.submit(draft, by=draft.created_by)
    return sent(Subscriber.objects.all())


@pytest.mark.parametrize("case", [stranger, of_another_app, nobody, released, crowd, bad_words, handed_over])
def test_what_is_refused_changes_nothing(case: Any, desk: Client, draft: SendJob) -> None:
    posted = case(draft)
    before = facts()
    assert desk.post(url(draft), posted).status_code == 302
    assert facts() == before


@pytest.mark.parametrize("role", ["viewer", "approver"])
def test_only_who_writes_jobs_tries_them_out(
    role: str, draft: SendJob, testers: list[Subscriber], colleague: Colleague, at_desk: At
) -> None:
    desk = at_desk(colleague(role))
    before = facts()
    assert (desk.get(url(draft)).status_code, desk.post(url(draft), sent(testers)).status_code) == (403, 403)
    assert facts() == before


def test_a_forged_post_is_refused(draft: SendJob, testers: list[Subscriber], composer: User) -> None:
    forged = Client(enforce_csrf_checks=True)
    forged.force_login(composer)
    before = facts()
    assert forged.post(url(draft), sent(testers)).status_code == 403
    assert facts() == before


def test_testers_are_added_by_their_whole_openid_and_taken_off(engineers_desk: Client, draft: SendJob) -> None:
    (person,) = factories.subscribers(draft.mini_program, count=1, nickname="小李")
    engineers_desk.post(url(draft), {"do": "add", "openid": f" {person.openid} "})
    person.refresh_from_db()
    assert person.tester_since is not None
    engineers_desk.post(url(draft), {"do": "remove", "tester": person.pk})
    person.refresh_from_db()
    assert person.tester_since is None
    assert list(
        AuditEvent.objects.filter(subject__startswith="subscriber").order_by("pk").values_list("action", "subject")
    ) == [
        ("add_tester", f"subscriber {person.pk}"),
        ("remove_tester", f"subscriber {person.pk}"),
    ]


def test_who_composes_names_no_testers_and_who_names_them_sends_no_test(
    desk: Client, engineers_desk: Client, draft: SendJob, testers: list[Subscriber]
) -> None:
    (customer,) = factories.subscribers(draft.mini_program, count=1)
    before = facts()
    assert desk.post(url(draft), {"do": "add", "openid": customer.openid}).status_code == 403
    assert desk.post(url(draft), {"do": "remove", "tester": testers[0].pk}).status_code == 403
    assert engineers_desk.post(url(draft), sent(testers)).status_code == 403
    assert facts() == before


def test_a_second_press_sends_no_second_test(desk: Client, draft: SendJob, testers: list[Subscriber]) -> None:
    desk.post(url(draft), sent(testers))
    before = facts()
    assert said(desk.post(url(draft), sent(testers[:1]))).startswith("A test to somebody you chose is still under way.")
    assert facts() == before


def test_a_test_leaves_before_a_broadcast_that_began_earlier(
    desk: Client, draft: SendJob, testers: list[Subscriber]
) -> None:
    broadcast = factories.a_running_job(draft.template)
    while fanout.step(broadcast):
        pass
    desk.post(url(draft), sent(testers))
    test = SendJob.objects.get(test_of=draft)
    engine = Engine(draft.mini_program)
    try:
        assert [job.pk for job in engine._in_turn(engine._running_jobs())] == [test.pk, broadcast.pk]
    finally:
        engine.close()


def test_an_openid_nobody_has_is_refused(engineers_desk: Client, draft: SendJob) -> None:
    (foreign,) = factories.subscribers(factories.a_mini_program(), count=1)
    before = facts()
    for openid in ("", "o-unknown", foreign.openid):
        response = engineers_desk.post(url(draft), {"do": "add", "openid": openid})
        assert said(response).startswith("Nobody of this mini-program")
    assert facts() == before


def test_a_forgotten_person_is_no_tester_any_more(draft: SendJob, testers: list[Subscriber]) -> None:
    forgetting.forget(draft.mini_program, openids=[testers[0].openid], by=None)
    assert list(Subscriber.objects.filter(tester_since__isnull=False)) == testers[1:]


def test_tests_do_not_stand_among_the_broadcasts(desk: Client, draft: SendJob, testers: list[Subscriber]) -> None:
    desk.post(url(draft), sent(testers))
    names = reverse("admin:jobs_sendjob_changelist")
    assert [job.pk for job in desk.get(names).context["cl"].result_list] == [draft.pk]
    assert [job.test_of_id for job in desk.get(f"{names}?kind=test").context["cl"].result_list] == [draft.pk]


def test_the_queries_do_not_grow_with_the_testers(desk: Client, draft: SendJob, testers: list[Subscriber]) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as captured:
            desk.get(url(draft))
        return len(captured)

    desk.post(url(draft), sent(testers))
    desk.get(url(draft))
    few = count()
    many = factories.subscribers(draft.mini_program, count=18, tester_since=timezone.now())
    factories.grants(draft.template, to=many)
    desk.post(url(draft), sent(many))
    desk.get(url(draft))
    assert count() == few
