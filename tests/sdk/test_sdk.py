"""The mini-program's client: its suites run in Node, against a real platform wherever there is anything to ask it."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from notify_platform.delivery.models import Conversion, Delivery, Feedback, Open
from notify_platform.insights import books
from subscriptions.models import Answer, Source, Visit
from tests.sdk.conftest import HERE, WHY_SKIPPED

if WHY_SKIPPED:
    pytest.skip(WHY_SKIPPED, allow_module_level=True)

REAL = ("asking", "pages", "reports", "sessions", "settings", "snippets", "visits")
ALONE = ("syntax",)


def passed(report: str) -> int:
    """How many tests of a suite ran; none may be skipped."""
    counts = {
        name: int(number) for name, number in re.findall(r"^# (pass|fail|skipped|todo) (\d+)$", report, re.MULTILINE)
    }
    assert {**counts, "pass": 0} == {"pass": 0, "fail": 0, "skipped": 0, "todo": 0}
    return counts["pass"]


def test_every_suite_is_run() -> None:
    assert sorted(path.name for path in HERE.glob("*.test.js")) == sorted(f"{name}.test.js" for name in REAL + ALONE)


@pytest.mark.parametrize("suite", ALONE)
def test_the_client_alone(node, suite):
    assert passed(node("--test-reporter=tap", f"{suite}.test.js")) > 2


@pytest.mark.xdist_group("processes")
class TestOnARealPlatform:
    def test_reports_arrive_and_count_once(self, node, world):
        assert passed(node("--test-reporter=tap", "reports.test.js", world=world)) > 2
        told = Answer.objects.filter(source=Source.CLIENT)
        assert told.count() == told.values("subscriber", "template", "request_key").distinct().count() > 0
        assert books.check() == []

    def test_asking(self, node, world):
        assert passed(node("--test-reporter=tap", "asking.test.js", world=world)) > 2
        assert books.check() == []

    def test_sessions(self, node, world):
        assert passed(node("--test-reporter=tap", "sessions.test.js", world=world)) > 2

    def test_what_people_wish_and_do_is_written_down_once(self, node, world):
        assert passed(node("--test-reporter=tap", "settings.test.js", world=world)) > 2
        card = Delivery.objects.get()
        assert list(Feedback.objects.values_list("delivery", "kind", "text")) == [(card.pk, "too_often", "一天三条")]
        assert list(Conversion.objects.order_by("pk").values_list("goal", "value", "delivery")) == [
            ("order", Decimal("29.90"), card.pk),
            ("signup", Decimal("5.50"), card.pk),
            ("signup", None, None),
            ("signup", None, None),
        ]

    def test_the_example(self, node, world):
        assert passed(node("--test-reporter=tap", "pages.test.js", world=world)) > 2
        assert books.check() == []

    def test_what_a_developer_copies_brings_a_consent(self, node, world):
        assert passed(node("--test-reporter=tap", "snippets.test.js", world=world)) == 3

    def test_cards_and_launches_are_written_down_once(self, node, world):
        assert passed(node("--test-reporter=tap", "visits.test.js", world=world)) > 2
        assert list(Open.objects.values_list("delivery", flat=True)) == [Delivery.objects.get().pk]
        assert sorted(Visit.objects.values_list("page", flat=True)) == ["", "pages/index/index", "pages/order/order"]
