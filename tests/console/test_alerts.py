"""Alerts at the desk: the open ones first, one click from their cure, settled by POST alone."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from notify_platform.alerts import alerts
from notify_platform.alerts.models import Alert
from notify_platform.core.models import AuditEvent
from templates_app.models import MessageTemplate
from tests import factories
from tests.console.conftest import At, Colleague

Kind = Alert.Kind
LIST, FRONT = reverse("admin:alerts_alert_changelist"), reverse("admin:index")
LOG = reverse("admin:delivery_delivery_changelist")


@pytest.fixture
def template(db: None) -> MessageTemplate:
    return factories.a_template(factories.a_mini_program())


def raised(template: MessageTemplate, kind: Alert.Kind, *, subject: str = "") -> Alert:
    alerts.raise_alert(template.mini_program, kind=kind, detail=f"Do something about {kind}.", subject=subject)
    return Alert.objects.latest("pk")


def settle_url(alert: Alert) -> str:
    return reverse("admin:alerts_alert_settle", args=[alert.pk])


def facts(alert: Alert) -> list[Any]:
    return [Alert.objects.filter(pk=alert.pk).values().get(), AuditEvent.objects.count()]


def said(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def test_open_alerts_come_first_the_latest_of_them_at_the_top(template: MessageTemplate, admin: Client) -> None:
    first, over, last = (raised(template, kind) for kind in (Kind.STRANGE_CODE, Kind.PUNISHED, Kind.APP_BANNED))
    alerts.settle(over, by=None)
    assert [row.pk for row in admin.get(LIST).context["cl"].result_list] == [last.pk, first.pk, over.pk]


@pytest.mark.parametrize("role", ["operator", "engineer"])
def test_the_button_settles_an_alert_in_the_colleagues_name(
    role: str, template: MessageTemplate, colleague: Colleague, at_desk: At
) -> None:
    alert, user = raised(template, Kind.STRANGE_CODE), colleague(role)
    client = at_desk(user)
    for page in (LIST, reverse("admin:alerts_alert_change", args=[alert.pk])):
        assert settle_url(alert) in client.get(page).content.decode()

    answer = client.post(settle_url(alert))

    assert (answer.status_code, answer["Location"], said(answer)) == (302, LIST, ["The alert was settled."])
    alert.refresh_from_db()
    assert (alert.settled_by, alert.settled_at is not None) == (user, True)
    assert AuditEvent.objects.latest("pk").action == "settle_alert"
    assert settle_url(alert) not in client.get(LIST).content.decode()


@pytest.mark.parametrize("role", ["viewer", "approver"])
def test_who_may_not_settle_sees_no_button_and_is_refused(
    role: str, template: MessageTemplate, colleague: Colleague, at_desk: At
) -> None:
    alert = raised(template, Kind.STRANGE_CODE)
    before, client = facts(alert), at_desk(colleague(role))
    assert settle_url(alert) not in client.get(LIST).content.decode()
    assert client.post(settle_url(alert)).status_code == 403
    assert Client().post(settle_url(alert)).status_code == 302
    assert facts(alert) == before


def test_only_a_post_with_its_token_settles(template: MessageTemplate, colleague: Colleague, at_desk: At) -> None:
    alert, user = raised(template, Kind.STRANGE_CODE), colleague("operator")
    before = facts(alert)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(user)
    assert strict.post(settle_url(alert)).status_code == 403
    client = at_desk(user)
    asked = [ask(settle_url(alert)).status_code for ask in (client.get, client.head, client.put, client.delete)]
    assert asked == [405] * 4
    assert facts(alert) == before


def test_an_alert_settled_meanwhile_and_one_that_never_was(template: MessageTemplate, admin: Client) -> None:
    alert = raised(template, Kind.STRANGE_CODE)
    alerts.settle(alert, by=None)
    before = facts(alert)
    assert said(admin.post(settle_url(alert))) == ["Somebody had settled the alert already."]
    assert facts(alert) == before
    assert admin.post(reverse("admin:alerts_alert_settle", args=[999_999])).status_code == 404


def test_each_open_alert_on_the_front_page_is_one_click_from_its_cure(template: MessageTemplate, admin: Client) -> None:
    program = template.mini_program
    raised(template, Kind.TEMPLATE_BANNED, subject=template.wechat_id)
    unknown = raised(template, Kind.TEMPLATE_BANNED, subject="nobody knows it")
    raised(template, Kind.STRANGE_CODE, subject="99999")
    raised(template, Kind.STRANGE_CODE)
    raised(template, Kind.APP_BANNED)
    alerts.settle(raised(template, Kind.PUNISHED), by=None)

    lines = admin.get(FRONT).context["troubles"]

    assert {line.url for line in lines} >= {
        reverse("admin:templates_app_messagetemplate_change", args=[template.pk]),
        reverse("admin:alerts_alert_change", args=[unknown.pk]),
        f"{LOG}?mini_program={program.pk}&state__exact=failed&error_code__exact=99999",
        f"{LOG}?mini_program={program.pk}&state__exact=failed&error_code__isnull=True",
        reverse("admin:templates_app_miniprogram_change", args=[program.pk]),
    }


def test_a_template_of_another_mini_program_is_no_cure(template: MessageTemplate, admin: Client) -> None:
    namesake = factories.a_template(factories.a_mini_program(), wechat_id=template.wechat_id)
    raised(namesake, Kind.TEMPLATE_BANNED, subject=template.wechat_id)
    urls = [line.url for line in admin.get(FRONT).context["troubles"]]
    mine, foreign = (
        reverse("admin:templates_app_messagetemplate_change", args=[one.pk]) for one in (namesake, template)
    )
    assert (mine in urls, foreign in urls) == (True, False)


def test_without_open_alerts_the_front_page_has_no_panel_for_them(template: MessageTemplate, admin: Client) -> None:
    alerts.settle(raised(template, Kind.STRANGE_CODE), by=None)
    assert "Open alerts" not in admin.get(FRONT).content.decode()
