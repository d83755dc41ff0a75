"""The front page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from notify_platform.alerts import alerts
from notify_platform.alerts.models import Alert
from notify_platform.callbacks.models import CallbackEvent
from notify_platform.core.models import WorkerNode
from notify_platform.delivery import fanout, speed
from notify_platform.delivery.models import Delivery, Open
from notify_platform.insights import sending, stock
from notify_platform.insights.models import SendingTally
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob
from subscriptions.models import AskingTally, Scene, SceneTemplate
from templates_app.models import AccessToken, MessageTemplate, MiniProgram
from tests import factories
from tests.console.conftest import At, Colleague, a_callback, a_delivery

FRONT = reverse("admin:index")
State = Delivery.State


def a_busy_mini_program() -> MiniProgram:
    """Four people, three with consent of which one result is unknown, a job running and one waiting."""
    program = factories.a_mini_program(approval_threshold=0)
    template = factories.a_template(program)
    people = factories.subscribers(program, count=4)
    factories.grants(template, to=people[:3])
    running = factories.a_running_job(template)
    while fanout.step(running):
        running.refresh_from_db()
    Delivery.objects.filter(job=running).delete()
    a_delivery(running, person=people[0], state=State.UNKNOWN, armed_at=timezone.now())
    a_delivery(running, person=people[1], state=State.WAITING)
    jobs.submit(factories.a_job(template, created_by=factories.a_user()), by=None)
    scene = Scene.objects.create(mini_program=program, code="order-paid", name="Order paid")
    SceneTemplate.objects.create(scene=scene, template=template)
    today = timezone.localdate()
    for word, times in (("accept", 6), ("reject", 2), ("planned", 9), ("acceptWithAudio", 1)):
        AskingTally.objects.create(scene=scene, template=template, day=today, word=word, times=times)
    for days_ago, number in ((0, 30), (3, 30), (9, 40)):
        SendingTally.objects.create(
            job=running, day=today - timedelta(days=days_ago), left=number, accepted=number, delivered=number,
            opened=number // 10, counted_at=timezone.now(),
        )  # fmt: skip
    a_worker()
    return program


def a_worker() -> None:
    now = timezone.now()
    WorkerNode.objects.get_or_create(name="host:1", defaults={"started_at": now, "beat_at": now, "pulse_at": now})


def boards(client: Client) -> list[Any]:
    return list(client.get(FRONT).context["boards"])


def troubles(client: Client) -> list[tuple[str, str, str]]:
    return [(one.kind, one.name, one.url) for one in client.get(FRONT).context["troubles"]]


def page_of(job: SendJob) -> str:
    return reverse("admin:jobs_sendjob_change", args=[job.pk])


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_a_mini_program_is_summed_up(admin: Client) -> None:
    program = a_busy_mini_program()
    (board,) = boards(admin)
    assert board.name == program.name
    assert [(tile.name, tile.count, tile.more, tile.trend) for tile in board.tiles] == [
        ("consents in stock", "2", "2 lapse within 7 days", ""),
        ("agreed in 7 days", "7", "7 today · 78% of the answers", ""),
        ("delivered in 7 days", "60", "30 today · 100% of those accepted", "50% more than the week before"),
        ("opened in 7 days", "6", "3 today · 10% of those delivered", ""),
    ]
    assert [(line.job.state, line.percent, line.done) for line in board.moving] == [("running", 75, "3 / 4")]


def test_each_number_leads_to_a_page(admin: Client) -> None:
    a_busy_mini_program()
    (board,) = boards(admin)
    assert [admin.get(tile.url).status_code for tile in board.tiles] == [200] * 4


def test_a_running_job_tells_its_speed_and_the_time_left(admin: Client) -> None:
    a_busy_mini_program()
    speed.note({SendJob.objects.get(state=SendJob.State.RUNNING).pk: 500})
    (line,) = boards(admin)[0].moving
    number, _, rest = line.pace.partition(" ")
    assert (50 < int(number) <= 100, rest, line.rest) == (True, "a second", "less than a minute left")


def test_the_charts_and_the_table_show_the_same_week(admin: Client) -> None:
    a_busy_mini_program()
    (board,) = boards(admin)
    assert [(bar["name"], bar["values"]) for bar in board.answers["bars"]] == [
        ("agreed", [0, 0, 0, 0, 0, 0, 7]),
        ("refused", [0, 0, 0, 0, 0, 0, 2]),
    ]
    assert board.cards["bars"][0]["values"] == [0, 0, 0, 30, 0, 0, 30]
    assert board.cards["line"]["values"] == [0, 0, 0, 3, 0, 0, 3]
    assert [sums.delivered for _day, sums in board.days] == [30, 0, 0, 30, 0, 0, 0]


def test_a_mini_program_without_a_past_has_no_empty_charts(admin: Client) -> None:
    factories.a_mini_program()
    (board,) = boards(admin)
    assert (board.answers, board.cards) == (None, None)


def test_a_consent_past_its_end_is_not_in_stock(admin: Client) -> None:
    template = factories.a_template(factories.a_mini_program())
    factories.grants(template, to=factories.subscribers(template.mini_program, count=1), age=timedelta(days=8))
    assert boards(admin)[0].tiles[0].count == "0"


def test_a_large_stock_is_read_from_its_tally(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    template = factories.a_template(factories.a_mini_program())
    people = factories.subscribers(template.mini_program, count=3)
    factories.grants(template, to=people)
    stock.tally()
    factories.grants(template, to=people)
    assert boards(admin)[0].tiles[0].count == "6"
    monkeypatch.setattr(stock, "LITTLE", 5)
    assert boards(admin)[0].tiles[0].count == "3"


def test_the_front_page_takes_the_same_queries_for_one_mini_program_as_for_three(admin: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin.get(FRONT).status_code == 200
        return len(captured)

    a_busy_mini_program()
    queries()
    one = queries()
    a_busy_mini_program()
    a_busy_mini_program()
    assert queries() == one


def test_the_page_fetches_its_content_alone_and_leaves_what_has_to_be_said(admin: Client) -> None:
    a_busy_mini_program()
    job = SendJob.objects.get(state=SendJob.State.RUNNING)
    admin.post(reverse("admin:jobs_sendjob_do", args=[job.pk, "pause"]))

    fresh = admin.get(f"{FRONT}?fresh=1").content.decode()

    assert ("<html" in fresh, "The job was paused." in fresh, "data-fresh" in fresh) == (False, False, True)
    whole = admin.get(FRONT).content.decode()
    assert "The job was paused." in whole
    # Two blocks of the page differ in nothing but what stands around them.
    assert fresh.strip() in whole


# --- what needs a person ---------------------------------------------------------------------------------------------


def test_a_quiet_desk_says_so(admin: Client) -> None:
    factories.a_mini_program()
    response = admin.get(FRONT)
    assert response.context["troubles"] == []
    assert "Nothing waits for you." in response.content.decode()


def test_a_job_waits_for_those_who_may_approve_it_and_never_for_its_own_people(
    colleague: Colleague, at_desk: At
) -> None:
    template = factories.a_template(factories.a_mini_program(approval_threshold=0))
    composer, submitter, approver = colleague("approver"), colleague("approver"), colleague("approver")
    job = factories.a_job(template, created_by=composer)
    jobs.submit(job, by=submitter)
    expected = ("to approve", job.name, page_of(job))
    seen = [troubles(at_desk(each)) for each in (composer, submitter, approver, colleague("operator"))]
    assert seen == [[], [], [expected], []]


def test_a_refused_job_comes_back_to_its_composer(colleague: Colleague, at_desk: At) -> None:
    template = factories.a_template(factories.a_mini_program(approval_threshold=0))
    composer, other = colleague("operator"), colleague("operator")
    job = factories.a_job(template, created_by=composer)
    jobs.submit(job, by=composer)
    jobs.refuse(job, by=factories.a_user(), reason="Too loud.")
    assert troubles(at_desk(composer)) == [("sent back", job.name, page_of(job))]
    assert troubles(at_desk(other)) == []


def a_paused_job(template: MessageTemplate) -> SendJob:
    job = factories.a_running_job(template)
    jobs.pause_all(reason=SendJob.PauseReason.CONTENT, detail="Correct thing1.", job_ids=[job.pk])
    return job


def test_a_paused_job_says_why(admin: Client) -> None:
    job = a_paused_job(factories.a_template(factories.a_mini_program()))
    (trouble,) = admin.get(FRONT).context["troubles"]
    assert (trouble.kind, trouble.name, trouble.why, trouble.url) == (
        "paused", job.name, "Correct thing1.", page_of(job),
    )  # fmt: skip


def test_running_jobs_without_a_worker_are_a_trouble(admin: Client) -> None:
    factories.a_running_job(factories.a_template(factories.a_mini_program()))
    assert troubles(admin) == [("worker", "No worker is running", reverse("admin:core_workernode_changelist"))]
    a_worker()
    assert troubles(admin) == []


def test_a_job_that_sends_nothing_although_it_could_stands_still(admin: Client) -> None:
    a_worker()
    template = factories.a_template(factories.a_mini_program())
    (person,) = factories.subscribers(template.mini_program, count=1)
    job = factories.a_running_job(template)
    while fanout.step(job):
        job.refresh_from_db()
    a_delivery(job, person=person)
    assert troubles(admin) == []
    SendJob.objects.filter(pk=job.pk).update(started_at=timezone.now() - timedelta(minutes=3))
    assert troubles(admin) == [("stands still", job.name, page_of(job))]
    speed.note({job.pk: 1})
    assert troubles(admin) == []


def test_unknown_results_lead_to_the_job_that_settles_them(admin: Client) -> None:
    a_busy_mini_program()
    job = SendJob.objects.get(state=SendJob.State.RUNNING)
    found = [one for one in troubles(admin) if one[0] == "unknown"]
    assert found == [("unknown", job.name, f"{page_of(job)}#unknown")]
    Delivery.objects.filter(state=State.UNKNOWN).update(settled_at=timezone.now())
    assert [one for one in troubles(admin) if one[0] == "unknown"] == []


def test_a_template_that_is_gone_although_a_scene_asks_for_it_is_a_trouble(admin: Client) -> None:
    gone = factories.a_template(factories.a_mini_program(), state=MessageTemplate.State.MISSING)
    factories.a_template(gone.mini_program, state=MessageTemplate.State.MISSING)
    scene = Scene.objects.create(mini_program=gone.mini_program, code="paid", name="Paid")
    SceneTemplate.objects.create(scene=scene, template=gone)
    url = reverse("admin:templates_app_messagetemplate_change", args=[gone.pk])
    assert troubles(admin) == [("template", gone.title, url)]


def test_an_alert_is_told_once_and_leads_to_its_cure(admin: Client) -> None:
    template = factories.a_template(factories.a_mini_program(), state=MessageTemplate.State.BANNED)
    scene = Scene.objects.create(mini_program=template.mini_program, code="paid", name="Paid")
    SceneTemplate.objects.create(scene=scene, template=template)
    kind = Alert.Kind.TEMPLATE_BANNED
    alerts.raise_alert(template.mini_program, kind=kind, subject=template.wechat_id, detail="Read the notice.")
    url = reverse("admin:templates_app_messagetemplate_change", args=[template.pk])
    assert troubles(admin) == [("a template is banned", template.mini_program.name, url)]


def test_callbacks_that_fail_are_a_trouble(admin: Client) -> None:
    program = factories.a_mini_program()
    a_callback(program, openid="o1")
    assert troubles(admin) == []
    CallbackEvent.objects.update(state=CallbackEvent.State.FAILED)
    ((kind, name, url),) = troubles(admin)
    assert (kind, name) == ("callbacks", program.name)
    assert [row.state for row in admin.get(url).context["cl"].result_list] == ["failed"]
    CallbackEvent.objects.update(received_at=timezone.now() - timedelta(days=2))
    assert troubles(admin) == []


def test_callbacks_that_never_come_are_a_trouble(admin: Client) -> None:
    job = factories.a_job(factories.a_template(factories.a_mini_program()))
    tally = SendingTally.objects.create(
        job=job, day=timezone.localdate(), left=20, accepted=20, counted_at=timezone.now()
    )
    url = reverse("admin:templates_app_miniprogram_change", args=[job.mini_program_id])
    assert troubles(admin) == [("callbacks", job.mini_program.name, url)]
    tally.delivered = 1
    tally.save()
    assert troubles(admin) == []


def test_every_trouble_leads_to_a_page_that_opens(admin: Client) -> None:
    program = a_busy_mini_program()
    a_paused_job(program.templates.get())
    alerts.raise_alert(program, kind=Alert.Kind.PUNISHED, detail="Read the notice.")
    assert {admin.get(url).status_code for _kind, _name, url in troubles(admin)} == {200}


# --- beginning -------------------------------------------------------------------------------------------------------


def steps(client: Client) -> dict[str, bool]:
    return {step.name: step.is_done for step in boards(client)[0].steps}


def test_a_new_mini_program_is_led_step_by_step_until_all_is_done(admin: Client) -> None:
    program = factories.a_mini_program()
    names = ["Access token", "Callback", "Templates", "First consent", "First send"]

    def done() -> list[bool]:
        found = steps(admin)
        assert list(found) == names
        return list(found.values())

    assert done() == [False] * 5
    AccessToken.objects.create(mini_program=program, token="t", fetched_at=timezone.now())
    assert done() == [True, False, False, False, False]
    a_callback(program, openid="o1")
    assert done() == [True, True, False, False, False]
    template = factories.a_template(program)
    assert done() == [True, True, True, False, False]
    factories.grants(template, to=factories.subscribers(program, count=1))
    assert done() == [True, True, True, True, False]
    factories.a_running_job(template)
    assert steps(admin) == {}


def test_a_step_says_what_is_wrong_and_leads_where_it_is_mended(admin: Client) -> None:
    program = factories.a_mini_program(app_secret="", callback_token="")
    found = boards(admin)[0].steps
    assert [step.wrong for step in found[:2]] == [
        "The app secret is missing. Copy it from WeChat's console.",
        "The callback token is missing. Make one up and enter it here and in WeChat's console.",
    ]
    assert [admin.get(step.url).status_code for step in found] == [200] * 5
    MiniProgram.objects.filter(pk=program.pk).update(app_secret="s" * 32, callback_token="t")
    assert f"/wechat/callback/{program.app_id}" in boards(admin)[0].steps[1].wrong


def test_whoever_may_not_go_there_is_not_sent(colleague: Colleague, at_desk: At) -> None:
    factories.a_mini_program()
    found = boards(at_desk(colleague("viewer")))[0].steps
    assert [bool(step.url) for step in found] == [False, False, True, True, False]


def test_an_empty_installation_says_where_to_begin(admin: Client) -> None:
    assert reverse("admin:templates_app_miniprogram_add") in admin.get(FRONT).content.decode()


# --- tallies ---------------------------------------------------------------------------------------------------------


def test_messages_are_tallied_by_the_day_they_left_and_opens_by_the_day_of_the_tap(admin: Client) -> None:
    now = timezone.now()
    template = factories.a_template(factories.a_mini_program())
    people = factories.subscribers(template.mini_program, count=6)
    factories.grants(template, to=people)
    job = factories.a_running_job(template)
    states = (State.ACCEPTED, State.DELIVERED, State.UNDELIVERED, State.UNKNOWN, State.FAILED)
    rows = [a_delivery(job, person=one, state=state, armed_at=now) for one, state in zip(people, states, strict=False)]
    a_delivery(job, person=people[5])
    Open.objects.create(delivery=rows[1], subscriber=people[1], at=now)
    sending.tally_lately()
    (board,) = boards(admin)
    today = board.days[0][1]
    assert (today.left, today.accepted, today.delivered, today.undelivered, today.failed, today.opened) == (
        5, 3, 1, 1, 1, 1,
    )  # fmt: skip
    SendJob.objects.filter(pk=job.pk).update(started_at=now - timedelta(days=1))
    Delivery.objects.filter(pk=rows[0].pk).update(armed_at=now - timedelta(days=1))
    sending.tally_lately()
    assert [sums.left for _day, sums in boards(admin)[0].days[:3]] == [4, 1, 0]


def test_a_job_that_is_long_over_is_not_counted_again(db: None) -> None:
    now = timezone.now()
    template = factories.a_template(factories.a_mini_program())
    people = factories.subscribers(template.mini_program, count=2)
    factories.grants(template, to=people)
    job = factories.a_running_job(template)
    a_delivery(job, person=people[0], state=State.ACCEPTED, armed_at=now)
    assert sending.tally_lately() == 1
    assert sending.tally_lately() == 0
    SendJob.objects.filter(pk=job.pk).update(ended_at=now - timedelta(hours=3))
    a_delivery(job, person=people[1], state=State.ACCEPTED, armed_at=now)
    assert sending.tally_lately() == 0
    assert sending.rebuild(first=timezone.localdate(), last=timezone.localdate()) == 1
    assert SendingTally.objects.get().left == 2


# --- the sidebar -----------------------------------------------------------------------------------------------------


def test_the_sidebar_counts_the_jobs_that_wait_for_a_second_person(admin: Client) -> None:
    def badges() -> list[str]:
        groups = admin.get(FRONT).context["sidebar_navigation"]
        return [str(item["badge_callback"]) for group in groups for item in group["items"] if "badge_callback" in item]

    assert badges() == []
    a_busy_mini_program()
    assert badges() == ["1"]


def test_nothing_of_the_front_page_is_for_somebody_without_a_role(db: None, at_desk: At) -> None:
    a_busy_mini_program()
    nobody: User = factories.a_user(is_staff=True)
    context = at_desk(nobody).get(FRONT).context
    assert ("boards" in context, "troubles" in context) == (False, False)
