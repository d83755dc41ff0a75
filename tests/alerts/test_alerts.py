"""A trouble that goes on is one alert; settled, it may begin anew."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from notify_platform.alerts import alerts
from notify_platform.alerts.models import Alert
from notify_platform.core.models import AuditEvent
from tests import factories

pytestmark = pytest.mark.django_db
BANNED = Alert.Kind.TEMPLATE_BANNED


@pytest.fixture
def mini_program():
    return factories.a_mini_program()


def test_a_trouble_that_goes_on_is_one_alert_that_counts(mini_program):
    first = alerts.raise_alert(mini_program, kind=BANNED, subject="T1", detail="once")
    second = alerts.raise_alert(mini_program, kind=BANNED, subject="T1", detail="again")

    assert (first, second) == (True, False)
    assert list(Alert.objects.values_list("subject", "times", "detail")) == [("T1", 2, "again")]


def test_troubles_of_two_subjects_are_two_alerts(mini_program):
    for subject in ("T1", "T2"):
        alerts.raise_alert(mini_program, kind=BANNED, subject=subject, detail="")

    assert Alert.objects.count() == 2


def test_a_settled_trouble_may_begin_anew(mini_program):
    by = factories.a_user()
    alerts.raise_alert(mini_program, kind=BANNED, detail="")
    settled = alerts.settle(Alert.objects.get(), by=by)
    again = alerts.raise_alert(mini_program, kind=BANNED, detail="")

    assert (settled, again) == (True, True)
    assert Alert.objects.filter(settled_by=by).count() == 1
    assert list(AuditEvent.objects.values_list("action", "actor")) == [("settle_alert", by.pk)]


def test_settling_twice_changes_nothing(mini_program):
    alerts.raise_alert(mini_program, kind=BANNED, detail="")
    alert = Alert.objects.get()
    alerts.settle(alert, by=None)

    assert not alerts.settle(alert, by=factories.a_user())
    assert Alert.objects.get().settled_by is None


@pytest.mark.parametrize(("minutes", "is_heard"), [(-1, True), (0, True), (1, False)])
def test_a_trouble_was_heard_of_since_a_moment_when_it_was_last_told_of_then_or_later(mini_program, minutes, is_heard):
    alerts.raise_alert(mini_program, kind=BANNED, subject="T1", detail="")
    now = timezone.now()
    Alert.objects.update(last_at=now)

    at = now + timedelta(minutes=minutes)
    assert alerts.heard_since(mini_program, kind=BANNED, subject="T1", at=at) is is_heard


def test_neither_a_settled_trouble_nor_another_one_was_heard_of(mini_program):
    alerts.raise_alert(mini_program, kind=BANNED, subject="T1", detail="")
    at = timezone.now() - timedelta(minutes=1)
    alerts.raise_alert(factories.a_mini_program(), kind=BANNED, subject="T2", detail="")
    alerts.settle_all(mini_program, kind=BANNED, subject="T1")

    assert [alerts.heard_since(mini_program, kind=BANNED, subject=one, at=at) for one in ("T1", "T2")] == [False] * 2


def test_a_long_sentence_is_cut_and_kept(mini_program):
    alerts.raise_alert(mini_program, kind=BANNED, subject="s" * 200, detail="d" * 2000)

    assert Alert.objects.filter(subject="s" * 80, detail="d" * 1000).count() == 1
