"""WeChat's public library over real HTTP: look, take a template into the account, delete one."""

from __future__ import annotations

import pytest
from django.db.models.signals import pre_save

from notify_platform.core.errors import Refused
from notify_platform.core.models import AuditEvent
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob, Trigger
from notify_platform.mirror import library
from notify_platform.mirror.library import Fetched
from templates_app.models import AccessToken, MessageTemplate, MiniProgram, TemplateChange
from tests import factories
from tests.mirror.conftest import CHECKUP, PICKUP, RETURN

pytestmark = pytest.mark.django_db


def test_the_library_is_read_by_category_title_and_keyword(mini_program, wechat_lists) -> None:
    found = library.categories(mini_program)
    assert [(each.id, each.name) for each in found] == [(301, "生活服务"), (302, "医疗")]
    page = library.titles(mini_program, category=301, start=0)
    assert [(each.tid, each.title, each.is_service_card) for each in page.titles] == [
        (1101, "取餐提醒", False),
        (1102, "活动开始提醒", False),
        (10000001, "外卖配送进度", True),
    ]
    assert (page.count, library.titles(mini_program, category=301, start=2).titles[0].tid) == (3, 10000001)
    first = library.keywords(mini_program, tid=1101)[0]
    assert (first.kid, first.name, first.example, first.rule) == (1, "取餐码", "A127", "character_string")


def test_a_template_is_added_with_its_keywords_in_order(mini_program, wechat_lists) -> None:
    user = factories.a_user()
    template = library.add(mini_program, tid=1102, kids=[3, 1], scene="活动前一天提醒", by=user)
    assert (template.title, template.state) == ("活动开始提醒", MessageTemplate.State.LIVE)
    assert [(field.key, field.label) for field in template.fields.all()] == [("thing3", "地点"), ("thing1", "活动名称")]
    entry = AuditEvent.objects.get(action="add_template")
    assert (entry.subject, entry.actor_id) == (f"messagetemplate {template.pk}", user.pk)
    # The same again is the one that is there.
    assert library.add(mini_program, tid=1102, kids=[1, 3], scene="又一次", by=user) == template


@pytest.mark.parametrize(
    ("tid", "kids", "scene", "wrong"),
    [
        (1101, [1], "提醒", {"kids"}),
        (1101, [1, 2, 3, 4, 5, 6], "提醒", {"kids"}),
        (1101, [1, 1], "提醒", {"kids"}),
        (1101, [1, 2], " ", {"scene"}),
        (1101, [1, 2], "一二三四五六七八九十一二三四五六", {"scene"}),
        (10000001, [], "提醒", {"tid", "kids"}),
    ],
)
def test_what_wechat_would_not_take_is_not_sent(mini_program, wechat, tid, kids, scene, wrong) -> None:
    with pytest.raises(Refused) as refusal:
        library.add(mini_program, tid=tid, kids=kids, scene=scene, by=None)
    assert refusal.value.fields.keys() == wrong
    assert (MessageTemplate.objects.count(), AuditEvent.objects.count()) == (0, 0)


def test_a_refusal_of_wechat_says_what_to_do_and_changes_nothing(mini_program, wechat_lists) -> None:
    with pytest.raises(Refused, match=r"these keywords\. Choose two to five different ones"):
        library.add(mini_program, tid=1101, kids=[1, 9], scene="提醒", by=None)
    assert AuditEvent.objects.count() == 0


def test_a_refused_token_is_fetched_afresh_once(mini_program, wechat_lists) -> None:
    library.categories(mini_program)
    AccessToken.objects.update(token="somebody-elses")
    assert len(library.categories(mini_program)) == 2


def test_what_fetching_has_changed_is_told_by_name(mini_program, wechat_lists) -> None:
    assert library.fetch(mini_program, by=None) == Fetched(
        added=["取餐提醒", "复诊提醒", "还书提醒"], changed=[], back=[], gone=[], unread=[]
    )
    wechat_lists({**PICKUP, "content": "取餐码:{{character_string1.DATA}}\n柜台:{{thing2.DATA}}\n"}, RETURN)
    assert library.fetch(mini_program, by=None) == Fetched(
        added=[], changed=["取餐提醒"], back=[], gone=["复诊提醒"], unread=[]
    )
    wechat_lists(PICKUP, RETURN, CHECKUP)
    fetched = library.fetch(mini_program, by=None)
    assert (fetched.changed, fetched.back) == (["取餐提醒"], ["复诊提醒"])


def test_a_changed_keyword_pauses_the_running_jobs_of_its_template_alone(mini_program, wechat_lists) -> None:
    library.fetch(mini_program, by=None)
    templates = {row.title: row for row in MessageTemplate.objects.all()}
    people = factories.subscribers(mini_program, count=1)
    running = {}
    for title in ("取餐提醒", "还书提醒"):
        factories.grants(templates[title], to=people)
        texts = {field.key: "A127" for field in templates[title].fields.all()}
        running[title] = factories.a_running_job(templates[title], texts=texts)
    wechat_lists({**PICKUP, "example": "取餐码:B1\n门店:北京店\n"}, RETURN, CHECKUP)
    library.fetch(mini_program, by=None)
    assert SendJob.objects.filter(state=SendJob.State.RUNNING).count() == 2
    wechat_lists({**PICKUP, "content": "取餐码:{{character_string1.DATA}}\n柜台:{{thing2.DATA}}\n"}, RETURN, CHECKUP)
    library.fetch(mini_program, by=None)
    states = dict(SendJob.objects.values_list("pk", "state"))
    assert (states[running["取餐提醒"].pk], states[running["还书提醒"].pk]) == ("paused", "running")
    paused = SendJob.objects.get(pk=running["取餐提醒"].pk)
    assert (paused.pause_reason, "取餐提醒" in paused.pause_detail) == (SendJob.PauseReason.TEMPLATE, True)
    assert list(TemplateChange.objects.order_by("pk").values_list("breaks_words", flat=True)) == [False, True]


@pytest.fixture
def scheduled(mini_program, wechat_lists):
    """A scheduled job for the template of pickups and one for that of returns; its keywords have changed at WeChat."""
    MiniProgram.objects.update(approval_threshold=0)
    library.fetch(mini_program, by=None)
    people, found = factories.subscribers(mini_program, count=1), []
    for title in ("取餐提醒", "还书提醒"):
        template = MessageTemplate.objects.get(title=title)
        factories.grants(template, to=people)
        job = factories.a_job(template, texts={field.key: "A127" for field in template.fields.all()})
        jobs.submit(job, by=None)
        jobs.approve(job, by=factories.a_user())
        found.append(job)
    wechat_lists({**PICKUP, "content": "取餐码:{{character_string1.DATA}}\n柜台:{{thing2.DATA}}\n"}, RETURN, CHECKUP)
    return found


def test_a_changed_keyword_sends_the_scheduled_jobs_of_its_template_back(mini_program, scheduled) -> None:
    library.fetch(mini_program, by=None)

    broken, other = (SendJob.objects.get(pk=job.pk) for job in scheduled)
    assert (broken.state, broken.approved_by, broken.approved_at) == (SendJob.State.DRAFT, None, None)
    assert "取餐提醒" in broken.refusal
    assert (other.state, other.refusal) == (SendJob.State.SCHEDULED, "")
    trail = AuditEvent.objects.filter(action="reopen").values_list("subject", "actor", "detail")
    assert list(trail) == [(f"job {broken.pk}", None, {"reason": broken.refusal})]
    jobs.submit(broken, by=None)


def die(sender, instance, **_words) -> None:
    if instance.action in {"pause", "reopen"}:
        raise KeyboardInterrupt


def test_a_crash_before_the_jobs_are_stopped_leaves_the_change_to_the_next_fetch(mini_program, scheduled) -> None:
    jobs.start(scheduled[0])
    pre_save.connect(die, sender=AuditEvent)
    try:
        with pytest.raises(KeyboardInterrupt):
            library.fetch(mini_program, by=None)
    finally:
        pre_save.disconnect(die, sender=AuditEvent)
    assert TemplateChange.objects.count() == 0

    library.fetch(mini_program, by=None)
    assert SendJob.objects.get(pk=scheduled[0].pk).pause_reason == SendJob.PauseReason.TEMPLATE


def test_a_template_in_use_is_not_deleted_and_wechat_is_not_asked(mini_program, wechat_lists) -> None:
    library.fetch(mini_program, by=None)
    template = MessageTemplate.objects.get(title="取餐提醒")
    Trigger.objects.create(mini_program=mini_program, name="Ready", event="ready", template=template)
    with pytest.raises(Refused, match="Ready"):
        library.delete(template, by=None)
    assert library.fetch(mini_program, by=None).gone == []


def test_a_deleted_template_stays_here_as_gone(mini_program, wechat_lists) -> None:
    library.fetch(mini_program, by=None)
    template = MessageTemplate.objects.get(title="取餐提醒")
    library.delete(template, by=None)
    template.refresh_from_db()
    assert template.state == MessageTemplate.State.MISSING
    assert AuditEvent.objects.filter(action="delete_template").count() == 1
    with pytest.raises(Refused, match="WeChat does not know this template"):
        library.delete(template, by=None)
