"""The tally of a day equals a count by hand, whatever the zone, however often it is made."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notify_platform.insights import asking
from subscriptions.grants import ledger
from subscriptions.grants.pairing import NewAnswer
from subscriptions.models import (
    Answer,
    AskingTally,
    PromptReport,
    Scene,
    SceneTemplate,
    Source,
    Subscriber,
    Subscription,
)
from subscriptions.prompts import planner, reporting
from tests import factories

pytestmark = pytest.mark.django_db

# In New York the clocks go back on the first of November: that day has 25 hours.
ZONES = ("Asia/Shanghai", "America/New_York", "Asia/Shanghai")
FIRST, LAST = date(2026, 10, 30), date(2026, 11, 3)
BEGIN = datetime(2026, 10, 29, tzinfo=UTC)


def a_scene(mini_program, *, asks, code="paid", **changes):
    scene = Scene.objects.create(mini_program=mini_program, code=code, name=code, **changes)
    for position, template in enumerate(asks):
        SceneTemplate.objects.create(scene=scene, template=template, position=position)
    return scene


def an_answer(person, template, *, scene, at, answer="accept", source=Source.CLIENT, key="1"):
    return NewAnswer(
        subscriber_id=person.pk,
        template=template,
        answer=answer,
        source=source,
        answered_at=at,
        request_key=key,
        scene_id=scene.pk if scene else None,
    )


def a_report(person, *, scene, at, planned=(), err_code=None, key="1"):
    return PromptReport.objects.create(
        subscriber=person,
        scene=scene,
        planned=[template.pk for template in planned],
        err_code=err_code,
        request_key=key,
        answered_at=at,
    )


def a_random_world(seed):
    """Popups of six days in three mini-programs, told by phones and by WeChat, some without a popup, some failed."""
    random = Random(seed)
    for zone in ZONES:
        program = factories.a_mini_program(time_zone=zone)
        templates = [factories.a_template(program) for _ in range(3)]
        scenes = [a_scene(program, asks=templates[:2], code="a"), a_scene(program, asks=templates, code="b")]
        people = factories.subscribers(program, count=5)
        for number in range(60):
            person, scene = random.choice(people), random.choice([*scenes, None])
            at = BEGIN + timedelta(hours=random.randrange(24 * 7), minutes=random.choice([0, 0, 59]))
            asked = random.sample(templates, k=random.randint(0, 3))
            code = random.choice([None, None, None, 20004, 10005])
            a_report(person, scene=scene, at=at, planned=asked, err_code=code, key=str(number))
            words = [random.choice(["accept", "reject", "ban", "filter", "acceptWithAlert"]) for _ in asked]
            ledger.record(
                [
                    an_answer(
                        person, template, scene=told_scene, at=at, answer=word, source=source, key=f"{source}{number}"
                    )
                    for template, word in zip(asked, words, strict=True)
                    for source, told_scene in ((Source.CLIENT, scene), (Source.CALLBACK, None))
                ]
            )
    for answer in Answer.objects.filter(source=Source.CLIENT):
        Answer.objects.filter(pk=answer.pk).update(is_silent=random.random() < 0.2)


def local_day(moment, scene):
    return moment.astimezone(ZoneInfo(scene.mini_program.time_zone)).date()


def counted_by_hand():
    counted = Counter()
    for answer in Answer.objects.select_related("scene__mini_program"):
        if answer.scene is None:
            continue
        silent = "silent_accept" if answer.answer.startswith("accept") else "silent_reject"
        template_id, word = (None, silent) if answer.is_silent else (answer.template_id, answer.answer)
        counted[answer.scene_id, template_id, local_day(answer.answered_at, answer.scene), word] += 1
    for report in PromptReport.objects.select_related("scene__mini_program"):
        if report.scene is None:
            continue
        day = local_day(report.answered_at, report.scene)
        for template_id in report.planned:
            counted[report.scene_id, template_id, day, "planned"] += 1
        if report.err_code is not None:
            counted[report.scene_id, None, day, str(report.err_code)] += 1
    return {key: times for key, times in counted.items() if FIRST <= key[2] <= LAST}


def tallied():
    rows = AskingTally.objects.exclude(asking.OF_A_SAMPLE)
    return {(row.scene_id, row.template_id, row.day, row.word): row.times for row in rows}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_tallies_equal_a_count_by_hand(seed):
    a_random_world(seed)

    asking.rebuild(first=FIRST, last=LAST)

    assert tallied() == counted_by_hand()
    assert len(tallied()) > 100


def test_what_a_phone_makes_up_is_one_word_and_stops_no_counting(db):
    template = factories.a_template(factories.a_mini_program())
    person = factories.subscribers(template.mini_program, count=1)[0]
    scene = a_scene(template.mini_program, asks=[template])
    for number, word in enumerate(["sampled", "planned", "tomorrow", "acceptForEver"]):
        a_phones_report(person, scene, results={template: word}, number=number)
    for number, code in enumerate([77, 78], start=10):
        a_phones_report(person, scene, err_code=code, number=number)

    for _again in range(2):
        asking.tally_lately()

    rows = AskingTally.objects.order_by("word").values_list("word", "template", "times")
    assert list(rows) == [("-1", None, 2), ("accept", template.pk, 1), ("other", template.pk, 3)]


def a_phones_report(person, scene, *, number, results=None, err_code=None):
    reporting.report(
        person,
        scene_id=scene.pk,
        results=results or {},
        err_code=err_code,
        client_request_id=f"request-{number}",
        answered_at=timezone.now(),
    )


def test_counting_again_writes_nothing_and_follows_what_has_changed():
    a_random_world(4)
    asking.rebuild(first=FIRST, last=LAST)
    before = set(AskingTally.objects.values_list("pk", flat=True))

    assert asking.rebuild(first=FIRST, last=LAST) == 0
    assert set(AskingTally.objects.values_list("pk", flat=True)) == before

    PromptReport.objects.filter(pk__in=list(PromptReport.objects.values_list("pk", flat=True)[:50])).delete()
    Answer.objects.filter(is_silent=True).update(is_silent=False)
    asking.rebuild(first=FIRST, last=LAST)
    assert tallied() == counted_by_hand()


def test_only_the_days_asked_for_are_counted():
    a_random_world(5)

    asking.rebuild(first=LAST, last=LAST)

    assert set(tallied()) == {key for key in counted_by_hand() if key[2] == LAST}


def test_a_popup_told_by_the_phone_and_by_wechat_counts_once():
    template = factories.a_template(factories.a_mini_program())
    (person,) = factories.subscribers(template.mini_program, count=1)
    scene, now = a_scene(template.mini_program, asks=[template]), timezone.now()
    ledger.record(
        [
            an_answer(person, template, scene=scene, at=now),
            an_answer(person, template, scene=None, at=now, source=Source.CALLBACK, key="2"),
        ]
    )

    asking.tally_lately()

    assert list(AskingTally.objects.values_list("word", "times")) == [("accept", 1)]


def test_the_first_time_and_after_a_downtime_every_missed_day_is_counted():
    template = factories.a_template(factories.a_mini_program())
    (person,) = factories.subscribers(template.mini_program, count=1)
    scene, now = a_scene(template.mini_program, asks=[template]), timezone.now()
    for ago in (13, 9, 6, 0):
        a_report(person, scene=scene, at=now - timedelta(days=ago), planned=[template], key=str(ago))

    def counted():
        tallies = AskingTally.objects.filter(word="planned").order_by("day").values_list("day", flat=True)
        return [(local_day(now, scene) - day).days for day in tallies]

    asking.tally_lately()
    assert counted() == [13, 9, 6, 0]

    AskingTally.objects.filter(day__gt=local_day(now, scene) - timedelta(days=9)).delete()
    # A sample of today says nothing of the days before.
    asking.sample_lately()
    asking.tally_lately()
    assert counted() == [13, 9, 6, 0]


def test_a_plan_that_names_a_template_which_is_gone_is_counted_without_it():
    template = factories.a_template(factories.a_mini_program())
    (person,) = factories.subscribers(template.mini_program, count=1)
    scene = a_scene(template.mini_program, asks=[template])
    gone = factories.a_template(template.mini_program)
    a_report(person, scene=scene, at=timezone.now(), planned=[template, gone])
    gone.delete()

    asking.tally_lately()

    assert list(AskingTally.objects.values_list("template", "word")) == [(template.pk, "planned")]


def test_counting_a_day_takes_the_same_queries_for_a_few_popups_as_for_many():
    def queries(seed):
        a_random_world(seed)
        asking.rebuild(first=FIRST, last=FIRST)
        with CaptureQueriesContext(connection) as captured:
            asking.rebuild(first=FIRST, last=FIRST)
        return len(captured)

    assert queries(6) == queries(7)


# --- what the planner holds back -----------------------------------------------------------------------------------


@pytest.fixture
def asked_about():
    """Three visitors, one of whom muted the first of two templates and one who turned everything off."""
    program = factories.a_mini_program()
    first, second = factories.a_template(program), factories.a_template(program)
    people = factories.subscribers(program, count=3, last_visit_at=timezone.now())
    factories.subscribers(program, count=2)
    Subscription.objects.create(template=first, subscriber=people[0], muted_at=timezone.now())
    Subscriber.objects.filter(pk=people[1].pk).update(main_switch_off_at=timezone.now())
    return a_scene(program, asks=[first, second])


def sampled():
    rows = AskingTally.objects.filter(asking.OF_A_SAMPLE)
    return {(row.scene_id, row.template_id, row.word): row.times for row in rows}


def test_a_sample_counts_what_the_planner_says_of_those_who_came(asked_about):
    by_hand = Counter()
    ids = dict(asked_about.templates.values_list("wechat_id", "pk"))
    for person in Subscriber.objects.filter(last_visit_at__isnull=False):
        by_hand[asked_about.pk, None, "sampled"] += 1
        for reason in planner.plan(person, scene=asked_about).reasons:
            by_hand[asked_about.pk, None, f"held:{reason.code}:{ids.get(reason.template_id, 0)}"] += 1

    asking.sample_lately()

    assert sampled() == by_hand
    assert by_hand[asked_about.pk, None, "sampled"] == 3
    assert len(by_hand) == 3


def test_a_later_sample_replaces_that_of_the_day_and_a_count_leaves_it_alone(asked_about):
    asking.sample_lately()
    before = sampled()
    asking.tally_lately()
    assert sampled() == before

    Subscriber.objects.update(main_switch_off_at=None)
    asking.sample_lately()

    muted = asked_about.asks.get(position=0).template_id
    assert sorted(word for _scene, _template, word in sampled()) == [f"held:muted:{muted}", "sampled"]


def test_of_a_mini_program_nobody_visits_there_is_no_sample():
    template = factories.a_template(factories.a_mini_program())
    factories.subscribers(template.mini_program, count=2)
    a_scene(template.mini_program, asks=[template])

    assert asking.sample_lately() == 0


def test_a_sample_never_takes_more_people_than_it_may(asked_about, monkeypatch):
    monkeypatch.setattr(asking, "SAMPLE", 2)

    asking.sample_lately()

    assert sampled()[asked_about.pk, None, "sampled"] == 2
