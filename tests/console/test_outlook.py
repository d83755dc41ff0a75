"""The forecast and the scene report as pages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from notify_platform.insights import days
from subscriptions.models import AskingTally, Drift, ExpectedDemand, Scene, SceneTemplate
from templates_app.models import MessageTemplate, MiniProgram
from tests import factories
from tests.console.conftest import At, Colleague

FORECAST, REPORT = reverse("admin:subscriptions_forecast"), reverse("admin:subscriptions_scene_report")


@pytest.fixture
def program(db: None) -> MiniProgram:
    return factories.a_mini_program(name="Fruit")


def a_scene(template: MessageTemplate, **changes: Any) -> Scene:
    program = template.mini_program
    code = f"s{Scene.objects.count()}"
    scene = Scene.objects.create(mini_program=program, code=code, **({"name": "Paid"} | changes))
    SceneTemplate.objects.create(scene=scene, template=template)
    return scene


def a_stock(program: MiniProgram, *, units: int = 2, wanted: float = 0.0, title: str = "") -> MessageTemplate:
    """A template with units that end in seven days and so many messages expected tomorrow."""
    template = factories.a_template(program, **({"title": title} if title else {}))
    if units:
        factories.grants(template, to=factories.subscribers(program, count=1), units=units)
    tomorrow = today_of(program) + timedelta(days=1)
    ExpectedDemand.objects.create(template=template, day=tomorrow, messages=wanted, per_person=wanted)
    return template


def today_of(program: MiniProgram) -> Any:
    return days.day_of(timezone.now(), zone=days.zones()[program.pk])


def tally(scene: Scene, template: MessageTemplate | None, **words: int) -> None:
    day = today_of(scene.mini_program)
    for word, times in words.items():
        AskingTally.objects.create(scene=scene, template=template, day=day, word=word, times=times)


def text_of(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return answer.content.decode()


# --- who may look --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", [FORECAST, REPORT])
def test_the_pages_open_for_every_role_and_for_nobody_without_one(
    url: str, program: MiniProgram, colleague: Colleague, at_desk: At
) -> None:
    roles = ("viewer", "operator", "approver", "engineer")
    assert [at_desk(colleague(role)).get(url).status_code for role in roles] == [200] * 4
    assert at_desk(factories.a_user(is_staff=True)).get(url).status_code == 403
    assert Client().get(url).status_code == 302


def test_the_sidebar_leads_to_both(program: MiniProgram, colleague: Colleague, at_desk: At) -> None:
    front = text_of(at_desk(colleague("viewer")), reverse("admin:index"))
    assert [f'href="{url}"' in front for url in (FORECAST, REPORT)] == [True, True]


# --- the forecast --------------------------------------------------------------------------------------------------


def test_the_most_pressing_template_comes_first(program: MiniProgram, admin: Client) -> None:
    fine = a_stock(program, units=0)
    lost = a_stock(program, units=5)
    short = a_stock(program, units=1, wanted=3)

    context = admin.get(FORECAST).context

    assert [row.outlook.template.pk for row in context["rows"]] == [short.pk, lost.pk, fine.pk]
    assert context["shown"].outlook.template.pk == short.pk
    assert dict(context["sums"]) == {
        "available": 6, "suspended": 0, "lapsing_soon": 0, "use_or_lose": 5, "short": 1, "drift": 0,
    }  # fmt: skip


def test_each_row_leads_to_what_cures_it(program: MiniProgram, admin: Client) -> None:
    asked_for, unbound = a_stock(program, wanted=3, title="1"), a_stock(program, wanted=3, title="2")
    to_use = a_stock(program, title="3")
    scene, _off = a_scene(asked_for), a_scene(asked_for, is_active=False)

    cures = {row.outlook.template.pk: [cure.url for cure in row.cures] for row in admin.get(FORECAST).context["rows"]}

    assert cures == {
        asked_for.pk: [reverse("admin:subscriptions_scene_change", args=[scene.pk])],
        unbound.pk: [reverse("admin:subscriptions_scene_changelist")],
        to_use.pk: [f"{reverse('admin:jobs_sendjob_add')}?template={to_use.pk}"],
    }


def test_who_cannot_write_jobs_is_not_sent_to_write_one(
    program: MiniProgram, colleague: Colleague, at_desk: At
) -> None:
    a_stock(program)
    (row,) = at_desk(colleague("viewer")).get(FORECAST).context["rows"]
    assert list(row.cures) == []


def test_a_template_wechat_banned_is_not_offered_to_write_with(program: MiniProgram, admin: Client) -> None:
    a_stock(program)
    MessageTemplate.objects.update(state=MessageTemplate.State.BANNED)
    page = admin.get(FORECAST)
    assert list(page.context["rows"][0].cures) == []
    assert "banned by WeChat" in page.content.decode()


def test_the_address_names_the_mini_program_and_the_template(program: MiniProgram, admin: Client) -> None:
    a_stock(program)
    other = factories.a_mini_program(name="Zoo")
    _first, second = a_stock(other, title="1"), a_stock(other, title="2")

    context = admin.get(FORECAST, {"mini_program": other.pk, "template": second.pk}).context
    assert (context["program"], context["shown"].outlook.template) == (other, second)

    context = admin.get(FORECAST, {"mini_program": "x", "template": "y"}).context
    assert context["program"] == program


def test_the_chart_draws_what_the_table_says(program: MiniProgram, admin: Client) -> None:
    a_stock(program, units=2, wanted=3)
    context = admin.get(FORECAST).context
    used, unused, short = (bar["values"] for bar in context["chart"]["bars"])
    ahead = [day.ahead for day in context["shown"].outlook.days]
    assert used == [day.used for day in ahead] == [0, 2, *[0] * 12]
    assert unused == [day.unused for day in ahead] == [0] * 14
    assert short == [0, 1, *[0] * 12]
    assert context["chart"]["line"]["values"] == [day.left for day in ahead] == [2, *[0] * 13]


def test_what_is_missing_is_said_with_what_to_do(admin: Client) -> None:
    assert reverse("admin:templates_app_miniprogram_add") in text_of(admin, FORECAST)

    program = factories.a_mini_program()
    assert "There is no one-time template yet." in text_of(admin, FORECAST)

    template = factories.a_template(program)
    page = text_of(admin, FORECAST)
    assert "Nobody&#x27;s consent is in stock." in page or "Nobody's consent is in stock." in page
    assert "What will be wanted is not known yet" in page

    factories.grants(template, to=factories.subscribers(program, count=1))
    ExpectedDemand.objects.create(template=template, day=today_of(program), messages=1, per_person=1)
    page = text_of(admin, FORECAST)
    assert ("consent is in stock." in page, "is not known yet" in page) == (False, False)


def test_drift_of_the_last_days_is_shown(program: MiniProgram, admin: Client) -> None:
    template = a_stock(program)
    (person,) = factories.subscribers(program, count=1)
    for ago in (1, 8):
        at = timezone.now() - timedelta(days=ago)
        Drift.objects.create(subscriber=person, template=template, units=3, at=at)
    assert admin.get(FORECAST).context["sums"]["drift"] == 3


# --- the report ----------------------------------------------------------------------------------------------------


def test_a_scene_is_reported_in_words(program: MiniProgram, admin: Client) -> None:
    template = factories.a_template(program, title="Shipped")
    scene = a_scene(template)
    tally(scene, template, planned=12, accept=5, reject=5, filter=2, oddity=1)
    tally(scene, None, **{"20004": 3, "99": 1, "sampled": 50, "held:main_switch_off:0": 10})
    tally(scene, None, **{f"held:muted:{template.pk}": 25})

    (panel,) = admin.get(REPORT).context["panels"]

    assert tuple(panel.acceptance) == ("50%", "24%", "76%")
    assert list(panel.others) == [("left out by WeChat: same title", 2), ("oddity", 1)]
    assert [(failure.code, failure.times) for failure in panel.failures] == [(20004, 3), (99, 1)]
    assert [(reason.percent, reason.about) for reason in panel.reasons] == [(50, "Shipped"), (20, "the whole popup")]
    assert panel.chart["bars"][0]["values"] == [0, 0, 0, 0, 0, 0, 5]
    page = text_of(admin, REPORT)
    assert "The person has turned off all messages of the mini-program in WeChat." in page
    assert "The person muted this template." in page


def test_the_days_are_chosen_by_the_address(program: MiniProgram, admin: Client) -> None:
    a_scene(factories.a_template(program))
    spans = [admin.get(REPORT, {"days": asked}).context["span"] for asked in ("7", "28", "9000", "x")]
    assert spans == [7, 28, 7, 7]


def test_where_nobody_was_asked_the_report_says_what_to_look_at(program: MiniProgram, admin: Client) -> None:
    assert reverse("admin:subscriptions_scene_add") in text_of(admin, REPORT)
    a_scene(factories.a_template(program))
    page = admin.get(REPORT)
    assert "Nobody was asked here in these days." in page.content.decode()
    assert page.context["panels"][0].chart is None


# --- cost ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", [FORECAST, REPORT])
def test_a_page_takes_the_same_queries_for_one_template_and_scene_as_for_many(
    url: str, program: MiniProgram, admin: Client
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin.get(url).status_code == 200
        return len(captured)

    def more() -> None:
        template = a_stock(program, wanted=5)
        tally(a_scene(template), template, accept=2, reject=1)

    more()
    queries()
    few = queries()
    for _ in range(4):
        more()
    assert queries() == few
