"""The rules of choosing, for whatever is known."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscriptions.models import Scene, Subscription
from subscriptions.prompts import planner
from subscriptions.prompts.facts import Facts
from subscriptions.prompts.ranking import Answered, Candidate, Rank, Tally, best_popup, chance, uncovered
from subscriptions.prompts.reasons import REASONS, Popups, Standing, refusals_in_a_row
from templates_app.models import MessageTemplate, MiniProgram

settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
Kind = MessageTemplate.Kind

share = st.floats(0, 1)
demands = st.lists(st.floats(0, 5), min_size=1, max_size=14)
stocks = st.lists(st.integers(0, 20), max_size=8)
tallies = st.builds(lambda no, yes: Tally(yes, yes + no), st.integers(0, 10**6), st.integers(0, 10**6))
histories = st.lists(
    st.builds(Answered, st.integers(0, 99).map(lambda days: NOW - timedelta(days=days)), st.booleans()), max_size=4
).map(lambda answers: sorted(answers, key=lambda one: one.at, reverse=True))
relations = st.none() | st.builds(
    Subscription,
    state=st.sampled_from(["on", "off", "banned", "suspended"]),
    always_keep=st.sampled_from(["", "", "accept", "reject", "acceptWithAlert"]),
    muted_at=st.sampled_from([None, None, NOW]),
    turned_off_at=st.sampled_from([None, NOW - timedelta(days=3)]),
)
standings = st.builds(Standing, relations, histories, st.integers(0, 5), st.floats(0, 5))


@st.composite
def templates(draw, most=12):
    kinds = st.sampled_from(list(Kind))
    rows = draw(st.lists(st.tuples(kinds, st.sampled_from("ABCDE"), st.integers(1, 10)), max_size=most))
    state = st.sampled_from(["live", "live", "live", "banned", "missing"])
    return [
        MessageTemplate(pk=key, wechat_id=f"T{key}", kind=kind, title=title, worth=worth, state=draw(state))
        for key, (kind, title, worth) in enumerate(rows, start=1)
    ]


@st.composite
def situations(draw):
    rows = draw(templates())
    house = MiniProgram(
        most_templates=draw(st.integers(1, 5)),
        asks_per_day=draw(st.none() | st.integers(0, 3)),
        asks_per_week=draw(st.none() | st.integers(0, 3)),
        cool_down_days=draw(st.integers(0, 10)),
    )
    facts = Facts(
        templates=rows,
        standings={row.pk: draw(standings) for row in rows},
        popups=draw(st.builds(Popups, st.integers(0, 3), st.integers(0, 3))),
        tallies={row.pk: draw(tallies) for row in rows if draw(st.booleans())},
        elsewhere=draw(tallies),
    )
    return facts, Scene(mini_program=house, words="May we?")


@given(situations())
def test_whatever_is_known_a_plan_keeps_wechats_rules_and_ours(situation):
    facts, scene = situation
    plan = planner.choose(facts, scene=scene, now=NOW)

    by_id = {template.wechat_id: template for template in facts.templates}
    chosen = [by_id[wechat_id] for wechat_id in plan.template_ids]
    assert len(chosen) <= scene.mini_program.most_templates
    assert len({template.kind for template in chosen}) <= 1
    assert len({template.title for template in chosen}) == len(chosen)
    assert {template.state for template in chosen} <= {"live"}
    silent = {facts.standings[template.pk].is_silent for template in chosen}
    assert silent == ({plan.silent_top_up} if chosen else set())
    left_out = Counter(reason.template_id for reason in plan.reasons)
    assert left_out + Counter(plan.template_ids) == Counter(list(by_id))
    assert {reason.code for reason in plan.reasons} <= set(REASONS)
    assert planner.choose(facts, scene=scene, now=NOW) == plan


@given(situations())
def test_a_popup_is_asked_for_only_within_the_caps(situation):
    facts, scene = situation
    house, popups = scene.mini_program, facts.popups
    plan = planner.choose(facts, scene=scene, now=NOW)

    if plan.template_ids and not plan.silent_top_up:
        assert house.asks_per_day is None or popups.day < house.asks_per_day
        assert house.asks_per_week is None or popups.week < house.asks_per_week


@given(situations())
def test_nothing_is_left_out_when_only_the_popup_could_have_taken_it(situation):
    facts, scene = situation
    plan = planner.choose(facts, scene=scene, now=NOW)

    assert bool(plan.template_ids) == bool(plan.ranks)
    codes = {reason.template_id: reason.code for reason in plan.reasons}
    passed_over = {codes[wechat_id] for wechat_id in plan.ranks if wechat_id in codes}
    assert passed_over <= {"other_kind", "kept_apart", "same_title", "enough"}


@st.composite
def candidates(draw):
    ranks = st.builds(Rank, st.floats(0.05, 5), share, st.integers(1, 10))
    return [Candidate(template, draw(st.booleans()), draw(ranks)) for template in draw(templates())]


@given(candidates(), st.integers(1, 5))
def test_the_better_come_first_and_none_that_was_left_out_is_better(offered, most):
    popup = best_popup(offered, most=most)

    scores = [candidate.rank.score for candidate in popup.chosen]
    assert all(better >= worse for better, worse in pairwise(scores))
    for candidate in offered:
        if popup.left_out.get(candidate.template.pk) == "enough":
            assert candidate.rank.score <= scores[-1]
        if popup.left_out.get(candidate.template.pk) == "same_title":
            rival = next(one for one in popup.chosen if one.template.title == candidate.template.title)
            assert candidate.rank.score <= rival.rank.score


@given(candidates(), st.integers(1, 5))
def test_no_other_kind_would_have_made_a_better_popup(offered, most):
    total = sum(candidate.rank.score for candidate in best_popup(offered, most=most).chosen)

    for kind in Kind:
        for silent in (True, False):
            alone = [one for one in offered if (one.template.kind, one.is_silent) == (kind, silent)]
            rival = sum(candidate.rank.score for candidate in best_popup(alone, most=most).chosen)
            assert rival <= total


# --- need ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("demand", "lasting", "left"),
    [
        ([1.0], [], 1.0),
        ([1.0], [1], 0.0),
        ([0.5], [1, 1], 0.0),
        ([0.0, 2.0], [2], 1.0),
        ([0.0, 2.0], [1], 2.0),
        ([1.0, 1.0], [1, 2], 0.0),
        ([1.0, 1.0], [1, 1], 1.0),
        ([0.5, 0.5], [1, 100_000], 0.0),
        ([1.0], [0], 1.0),
    ],
)
def test_a_unit_covers_what_comes_before_it_lapses(demand, lasting, left):
    assert uncovered(demand, lasting=lasting) == left


@given(demands, stocks)
def test_what_stays_uncovered_is_between_the_demand_less_the_units_and_the_demand(demand, lasting):
    left = uncovered(demand, lasting=lasting)

    assert left >= 0
    assert sum(demand) - len(lasting) - 1e-9 <= left <= sum(demand) + 1e-9


@given(demands, stocks, st.integers(0, 20))
def test_more_stock_never_makes_a_template_needed_more(demand, lasting, one_more):
    assert uncovered(demand, lasting=[*lasting, one_more]) <= uncovered(demand, lasting=lasting) + 1e-9


@given(demands, stocks.filter(bool), st.integers(0, 5))
def test_a_unit_that_lasts_longer_never_makes_a_template_needed_more(demand, lasting, longer):
    longer_lasting = [lasting[0] + longer, *lasting[1:]]

    assert uncovered(demand, lasting=longer_lasting) <= uncovered(demand, lasting=lasting) + 1e-9


# --- chance --------------------------------------------------------------------------------------------------------


@given(histories, tallies, tallies, tallies)
def test_a_chance_is_one(own, template, scene, elsewhere):
    assert 0 <= chance(own=own, template=template, scene=scene, elsewhere=elsewhere) <= 1


@given(histories.filter(lambda own: len(own) < 4), tallies, tallies, tallies)
def test_another_refusal_never_raises_the_chance_and_another_yes_never_lowers_it(own, template, scene, elsewhere):
    def after(*answers):
        return chance(own=[*answers, *own], template=template, scene=scene, elsewhere=elsewhere)

    assert after(Answered(NOW, False)) <= after() <= after(Answered(NOW, True))


@given(tallies, tallies, tallies, st.integers(1, 1000))
def test_more_yes_from_others_never_lowers_the_chance(template, scene, elsewhere, more):
    def given_(tally):
        return chance(own=[], template=tally, scene=scene, elsewhere=elsewhere)

    assert given_(Tally(template.agreed + more, template.answered + more)) >= given_(template) - 1e-12


def test_refusals_are_counted_back_to_the_last_yes():
    no, yes = Answered(NOW, False), Answered(NOW, True)

    assert [refusals_in_a_row(each) for each in ([], [no], [no, no, yes, no], [yes, no])] == [0, 1, 2, 0]
