"""When a report arrives does not matter: the same reports leave the same books in every order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subscriptions.grants import ledger
from subscriptions.grants.ledger import TurnedOff
from subscriptions.grants.pairing import NewAnswer
from subscriptions.models import Answer, Grant, Source, Subscription
from tests import factories
from tests.model.books import Relation, Report, Template

pytestmark = pytest.mark.django_db
LIMIT = 5
WITNESS = {Source.CLIENT: "phone", Source.CALLBACK: "wechat", Source.IMPORT: "import"}
# A week is far away, so that nothing lapses while we look.
ZERO = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)

# (who tells, second, word); "off" is a change event.
Happening = tuple[str, float, str]


@pytest.fixture(scope="module")
def template(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        template = factories.a_template(factories.a_mini_program(client_unconfirmed_limit=LIMIT))
        yield template
        template.fields.all().delete()
        template.delete()
        template.mini_program.delete()


def books_after(happenings: list[tuple[int, Happening]], *, template) -> dict[str, object]:
    """Tell it all to the platform about somebody new, one after the other; return the books."""
    person = factories.subscribers(template.mini_program, count=1)[0]
    for number, (source, second, word) in happenings:
        at = ZERO + timedelta(seconds=second)
        if word == "off":
            ledger.turn_off([TurnedOff(template.pk, person.pk, at)])
            continue
        new = NewAnswer(
            subscriber_id=person.pk,
            template=template,
            answer=word,
            source=Source(source),
            answered_at=at,
            request_key=f"r{number}",
        )
        ledger.record([new])
    relation = Subscription.objects.filter(subscriber=person).values_list("state", "turned_off_at").first()
    # A void unit was revoked, or never granted when the news of the "off" came first.
    stock = Grant.objects.filter(subscriber=person).exclude(state=Grant.State.REVOKED)
    units = stock.values_list("state", "granted_at", "expires_at")
    return {"relation": relation, "units": sorted(units), "answers": Answer.objects.filter(subscriber=person).count()}


def of_the_model(happenings: list[Happening]) -> list[tuple[str, datetime]]:
    relation = Relation(template=Template(is_counted=True), limit=LIMIT)
    for number, (source, second, word) in enumerate(happenings):
        at = ZERO + timedelta(seconds=second)
        if word == "off":
            relation.hear_off(at)
        else:
            relation.hear(Report(WITNESS[Source(source)], word, at, f"r{number}"), now=ZERO)
    return sorted((unit.state, unit.moment) for unit in relation.units if unit.state != "revoked")


def told_twice(*seconds: float) -> list[Happening]:
    """Popups told by both, to the second."""
    return [(source, second, "accept") for second in seconds for source in ("client", "callback")]


def holds_in_every_order(happenings: list[Happening], *, template) -> None:
    numbered = list(enumerate(happenings))
    expected = books_after(numbered, template=template)
    assert [unit[:2] for unit in expected["units"]] == of_the_model(happenings)
    for order in permutations(numbered):
        assert books_after(list(order), template=template) == expected, order


@pytest.mark.parametrize(
    "happenings",
    [
        # Three popups less than two minutes apart: taken as they come, a claim gets the next one's event.
        told_twice(0, 110, 220)[:5],
        [*told_twice(0, 100), ("client", 200.0, "accept")],
        # The person turns the template off between the phone's moment and WeChat's.
        [("client", 99.0, "accept"), ("callback", 101.0, "accept"), ("callback", 100.0, "off")],
        [("client", 101.0, "accept"), ("callback", 99.0, "accept"), ("callback", 100.0, "off")],
        # An event between two claims, nearer to the second.
        [("client", 0.0, "accept"), ("client", 60.0, "accept"), ("callback", 50.0, "accept"), ("x", 30.0, "off")],
        # A ban seen before, between and after what the person decides.
        [("client", 10.0, "accept"), ("client", 20.0, "ban"), ("x", 30.0, "off")],
        [("client", 10.0, "accept"), ("client", 20.0, "ban"), ("x", 15.0, "off")],
        [("client", 30.0, "accept"), ("client", 20.0, "ban"), ("x", 10.0, "off")],
    ],
)
def test_the_books_are_the_same_in_every_order(happenings, template):
    holds_in_every_order(happenings, template=template)


def test_three_popups_told_by_both_are_three_whichever_event_meets_whichever_claim_first(template):
    happenings = told_twice(0, 110, 220)
    crosswise = [happenings[number] for number in (0, 3, 2, 5, 4, 1)]

    books = books_after(list(enumerate(crosswise)), template=template)

    assert [unit[1] for unit in books["units"]] == [ZERO + timedelta(seconds=second) for second in (0, 110, 220)]
    pairs = Answer.objects.filter(pair__isnull=False, template=template)
    assert [row.answered_at == row.pair.answered_at for row in pairs] == [True] * 3


moments = st.integers(min_value=0, max_value=600)
claims = st.builds(lambda second, ms: ("client", second + ms / 1000, "accept"), moments, st.integers(1, 999))
events = st.builds(lambda second: ("callback", float(second), "accept"), moments)
others = st.sampled_from([("client", "reject"), ("client", "ban"), ("x", "off")]).flatmap(
    lambda kind: st.builds(lambda second: (kind[0], second + 0.9995, kind[1]), moments)
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=st.lists(claims, max_size=LIMIT, unique=True),
    second=st.lists(events, max_size=LIMIT, unique=True),
    third=st.lists(others, max_size=2, unique_by=lambda one: one[1]),
    dice=st.randoms(use_true_random=False),
)
def test_random_reports_leave_the_same_books_in_any_order(first, second, third, dice, template):
    happenings = list(enumerate([*first, *second, *third]))
    expected = books_after(happenings, template=template)
    assert [unit[:2] for unit in expected["units"]] == of_the_model([one for _number, one in happenings])
    dice.shuffle(happenings)

    assert books_after(happenings, template=template) == expected
