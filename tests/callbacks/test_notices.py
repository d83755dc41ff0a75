"""What WeChat tells about the mini-program itself, and about what people allow it to know."""

from __future__ import annotations

import json

import pytest
from django.utils import translation

from notify_platform.alerts.models import Alert
from notify_platform.callbacks import inbox, tasks
from notify_platform.callbacks.models import CallbackEvent
from notify_platform.core.models import AuditEvent
from notify_platform.jobs.models import SendJob
from subscriptions.models import Grant, Subscriber
from tests import factories

pytestmark = pytest.mark.django_db
State, JobState = CallbackEvent.State, SendJob.State
WARNING = {
    "ToUserName": "gh_1",
    "FromUserName": "gh_platform",
    "CreateTime": 1699000000,
    "MsgType": "event",
    "Event": "wxa_punish_event",
    "event_type": 1,
    "punish_id": "P1",
    "appid": "wx1",
    "illegal_reason": "诱导分享",
    "illegal_content": ["首页", "活动页"],
    "rule_name": "运营规范",
    "rule_url": "https://example.com/rule",
    "adjust_guide_url": "https://example.com/guide",
    "detail": json.dumps({"warned_type": 1, "rectify_deadline": 1699796571, "warned_ban_days": [3]}),
}


@pytest.fixture
def mini_program():
    return factories.a_mini_program()


@pytest.fixture
def running(mini_program):
    """A running job of the mini-program, one that was paused before, and one of another mini-program."""
    template = factories.a_template(mini_program)
    factories.grants(template, to=factories.subscribers(mini_program, count=1))
    other = factories.a_template(factories.a_mini_program())
    factories.grants(other, to=factories.subscribers(other.mini_program, count=1))
    return factories.a_running_job(template), factories.a_running_job(other)


def handle(mini_program, document):
    inbox.store(mini_program, document=document)
    inbox.handle_due()
    return CallbackEvent.objects.latest("pk").state


def alert():
    return Alert.objects.get()


def test_a_punishment_is_an_alert_that_says_what_why_until_when_and_where_to_read_on(mini_program):
    assert handle(mini_program, WARNING) == State.HANDLED

    assert (alert().mini_program, alert().kind, alert().subject) == (mini_program, Alert.Kind.PUNISHED, "P1")
    with translation.override("en"):
        assert alert().detail == (
            "What: a warning · Reason: 诱导分享 · Content: 首页, 活动页 · Days: 3 · Mend it until: "
            "Nov. 12, 2023, 9:42 p.m. · Rule: 运营规范 https://example.com/rule · "
            "How to mend it: https://example.com/guide"
        )


def test_the_alert_speaks_the_language_of_the_house(mini_program):
    with translation.override("zh-hans"):
        handle(mini_program, WARNING)

    assert alert().detail.startswith("处罚：警告 · 原因：诱导分享")
    assert "整改期限：2023-11-12 21:42" in alert().detail


@pytest.mark.parametrize(
    ("event_type", "words", "stops"),
    [
        (1, "a warning", False),
        ("2", "functions are banned", True),
        (3, "the mini-program is taken down", True),
        ("4", "the account is banned", True),
        (5, "a page is banned", False),
        ("10", "a page is banned", False),
        (7, "punishment of kind 7", False),
        (None, "punishment of kind ?", False),
        ([4], "punishment of kind ?", False),
    ],
)
def test_bans_of_functions_and_accounts_pause_the_jobs_of_that_mini_program(
    mini_program, running, event_type, words, stops
):
    assert handle(mini_program, {**WARNING, "event_type": event_type}) == State.HANDLED

    assert alert().detail.startswith(f"What: {words} · ")
    ours, others = running
    ours.refresh_from_db()
    others.refresh_from_db()
    assert (ours.state, others.state) == (JobState.PAUSED if stops else JobState.RUNNING, JobState.RUNNING)
    if stops:
        assert (ours.pause_reason, ours.pause_detail) == (SendJob.PauseReason.ACCOUNT, alert().detail[:400])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"illegal_content": "首页"}, "Content: 首页"),
        ({"illegal_content": {"a": 1}}, ""),
        ({"illegal_content": [{"a": 1}, ["x"], "首页", 7]}, "Content: 首页, 7"),
        ({"illegal_content": "长" * 500}, f"Content: {'长' * 200} ·"),
        (
            {"detail": {"banned_function_names": ["支付", "订阅消息"], "banned_days": 7}},
            "Functions: 支付, 订阅消息 · Days: 7",
        ),
        ({"detail": json.dumps({"path": "pages/a"})}, "Page: pages/a"),
        ({"detail": json.dumps({"suspended_days": [3, 5]})}, "Days: 3, 5"),
        ({"detail": "{"}, ""),
        ({"detail": "[" * 100_000}, ""),
        ({"detail": "[1]"}, ""),
        ({"detail": 5}, ""),
        ({"detail": None}, ""),
        ({"detail": {"rectify_deadline": "soon"}}, ""),
        ({"detail": {"rectify_deadline": 10**30}}, ""),
        ({"detail": {"rectify_deadline": -1}}, ""),
        ({"rule_name": None, "rule_url": ["https://example.com"]}, "Rule: https://example.com"),
        ({"punish_id": {}, "illegal_reason": 4}, "Reason: 4"),
    ],
)
def test_fields_of_any_type_are_told_as_far_as_they_can_be(mini_program, changes, told):
    assert handle(mini_program, {**WARNING, **changes}) == State.HANDLED

    assert told in alert().detail


def test_a_punishment_pushed_twice_is_one_alert(mini_program):
    for _ in range(2):
        handle(mini_program, WARNING)

    assert (Alert.objects.count(), alert().times) == (1, 1)


def test_two_punishments_are_two_alerts_and_news_of_one_is_counted(mini_program):
    for document in (WARNING, {**WARNING, "CreateTime": 1699000001}, {**WARNING, "punish_id": "P2"}):
        handle(mini_program, document)

    assert sorted(Alert.objects.values_list("subject", "times")) == [("P1", 2), ("P2", 1)]


@pytest.fixture
def person(mini_program):
    return factories.subscribers(mini_program, count=1, nickname="小明")[0]


def a_withdrawal(person, *, event="user_authorization_revoke", **changes):
    document = {"FromUserName": "gh_platform", "CreateTime": 1699000000, "Event": event}
    return {**document, "OpenID": person.openid, "AppID": "wx1", "RevokeInfo": "6", **changes}


@pytest.mark.parametrize("event", ["user_authorization_revoke", "user_info_modified"])
@pytest.mark.parametrize("info", ["6", 6, "1,6", ["6", "8"]])
def test_a_nickname_that_was_taken_back_or_changed_is_known_no_more(mini_program, person, event, info):
    (other,) = factories.subscribers(mini_program, count=1, nickname="小红")

    assert handle(mini_program, a_withdrawal(person, event=event, RevokeInfo=info)) == State.HANDLED

    names = Subscriber.objects.order_by("pk").values_list("openid", "nickname")
    assert list(names) == [(person.openid, ""), (other.openid, "小红")]


@pytest.mark.parametrize("info", ["1", "8", "16", "", None, {"6": 6}])
def test_what_we_do_not_keep_cannot_be_taken_back(mini_program, person, info):
    assert handle(mini_program, a_withdrawal(person, RevokeInfo=info)) == State.HANDLED

    assert Subscriber.objects.get().nickname == "小明"


def test_a_withdrawal_that_names_nobody_fails_and_changes_nothing(mini_program, person):
    state = handle(mini_program, a_withdrawal(person, OpenID=None, FromUserName=person.openid))

    assert (state, Subscriber.objects.get().nickname) == (State.FAILED, "小明")


def test_a_person_of_another_mini_program_keeps_the_nickname(mini_program, person):
    elsewhere = factories.subscribers(factories.a_mini_program(), count=1, openid=person.openid)[0]

    handle(mini_program, a_withdrawal(person))

    elsewhere.refresh_from_db()
    assert elsewhere.nickname == "小明"


# --- forgetting ----------------------------------------------------------------------------------------------------


def a_cancellation(openid, **changes):
    document = {"FromUserName": "gh_platform", "CreateTime": 1699000000, "Event": "user_authorization_cancellation"}
    return {**document, "OpenID": openid, "AppID": "wx1", **changes}


def a_popup(template, openid):
    item = {"TemplateId": template.wechat_id, "SubscribeStatusString": "accept"}
    head = {"FromUserName": openid, "CreateTime": 1699000000, "Event": "subscribe_msg_popup_event"}
    return {**head, "List": item}


def test_who_closes_the_account_is_forgotten_and_so_is_the_push_that_says_so(mini_program, person):
    (other,) = factories.subscribers(mini_program, count=1, nickname="小红")

    assert handle(mini_program, a_cancellation(person.openid)) == State.HANDLED

    row = CallbackEvent.objects.get()
    assert (row.openid, row.body) == ("", {})
    person.refresh_from_db()
    other.refresh_from_db()
    assert (person.forgotten_at is None, person.nickname) == (False, "")
    assert (other.forgotten_at, other.nickname) == (None, "小红")
    assert AuditEvent.objects.get().actor is None


@pytest.mark.parametrize(("comes_first", "popup"), [("closing", State.IGNORED), ("popup", State.HANDLED)])
def test_what_came_together_with_the_closing_is_forgotten_with_it(mini_program, person, comes_first, popup):
    documents = [a_cancellation(person.openid), a_popup(factories.a_template(mini_program), person.openid)]
    for document in documents if comes_first == "closing" else reversed(documents):
        inbox.store(mini_program, document=document)

    tasks.handle()

    assert not Subscriber.objects.filter(openid=person.openid).exists()
    became = CallbackEvent.objects.order_by("event").values_list("event", "body", "state")
    assert list(became) == [
        ("subscribe_msg_popup_event", {}, popup),
        ("user_authorization_cancellation", {}, State.HANDLED),
    ]
    assert not Grant.objects.filter(state=Grant.State.AVAILABLE).exists()


def test_somebody_we_never_knew_is_forgotten_without_a_trace(mini_program):
    assert handle(mini_program, a_cancellation("o-nobody")) == State.HANDLED

    assert (Subscriber.objects.count(), CallbackEvent.objects.get().body) == (0, {})


def test_a_closing_that_names_nobody_fails_and_forgets_nobody(mini_program, person):
    state = handle(mini_program, a_cancellation(None, FromUserName=person.openid))

    person.refresh_from_db()
    assert (state, person.forgotten_at) == (State.FAILED, None)
