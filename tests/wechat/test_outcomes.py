"""The table of codes: every documented code has its word, and every word is consistent with the rules of sending."""

from __future__ import annotations

import pytest
from django.utils import translation

from notify_platform.wechat.outcomes import (
    CODES,
    NOT_SENT,
    REFUSED_ON_THE_WAY,
    RETRYABLE_TOKEN_CODES,
    UNKNOWN,
    WORDS,
    Becomes,
    GrantEffect,
    JobEffect,
    Outcome,
    Word,
    describe,
    outcome_of_code,
    outcome_of_status,
    outcome_of_token_call,
)

EXPECTED_WORDS = {
    Word.ACCEPTED: {0},
    Word.NOT_SUBSCRIBED: {43101},
    Word.BAD_USER: {40003, 43104},
    Word.BAD_DATA: {47003, 45168, 40033},
    Word.BAD_PAGE: {41030},
    Word.BAD_TEMPLATE: {40037},
    Word.TEMPLATE_BANNED: {43116, 40249},
    Word.CAPABILITY_BANNED: {43107, 48001, 48004, 50002, 61007},
    Word.CONCURRENT: {43108},
    Word.TOKEN: {40001, 40014, 41001, 42001},
    Word.APP_CONFIG: {
        *{40013, 40125, 40164, 40243, 41002, 41004, 45035},
        *{50004, 50007, 61004, 61024, 89503, 89506, 89507},
    },
    Word.DAILY_LIMIT: {45009},
    Word.MINUTE_LIMIT: {45011},
    Word.BUSY: {-1, 20001, 200001},
    Word.OTHER: {40002, 43002, 43003, 44002, 45103, 47001, 40029, 40163, 40226, 41008, 404, 200100}
    | {20002, 200002, 43106, *range(200011, 200015), *range(200016, 200023)},
}

# word: what the row becomes, its consent, its job, the delays before a retry
EXPECTED_EFFECTS = {
    Word.ACCEPTED: (Becomes.ACCEPTED, GrantEffect.SPEND, JobEffect.NONE, ()),
    Word.NOT_SUBSCRIBED: (Becomes.FAILED, GrantEffect.REVOKE, JobEffect.NONE, ()),
    Word.BAD_USER: (Becomes.FAILED, GrantEffect.GIVE_BACK, JobEffect.NONE, ()),
    Word.BAD_DATA: (Becomes.FAILED, GrantEffect.GIVE_BACK, JobEffect.STOP_IF_REPEATED, ()),
    Word.BAD_PAGE: (Becomes.FAILED, GrantEffect.GIVE_BACK, JobEffect.PAUSE_JOB, ()),
    Word.BAD_TEMPLATE: (Becomes.FAILED, GrantEffect.GIVE_BACK, JobEffect.PAUSE_TEMPLATE, ()),
    Word.TEMPLATE_BANNED: (Becomes.FAILED, GrantEffect.GIVE_BACK, JobEffect.PAUSE_TEMPLATE, ()),
    Word.CAPABILITY_BANNED: (Becomes.FAILED, GrantEffect.GIVE_BACK, JobEffect.PAUSE_APP, ()),
    Word.CONCURRENT: (Becomes.RETRY, GrantEffect.GIVE_BACK, JobEffect.NONE, (0.7, 1.5, 3.0)),
    Word.TOKEN: (Becomes.RETRY, GrantEffect.GIVE_BACK, JobEffect.PAUSE_APP, (0.0,)),
    Word.APP_CONFIG: (Becomes.RETRY, GrantEffect.GIVE_BACK, JobEffect.PAUSE_APP, (60.0,)),
    Word.DAILY_LIMIT: (Becomes.RETRY, GrantEffect.GIVE_BACK, JobEffect.PAUSE_APP, (300.0,)),
    Word.MINUTE_LIMIT: (Becomes.RETRY, GrantEffect.GIVE_BACK, JobEffect.SLOW_DOWN, (60.0,)),
    Word.BUSY: (Becomes.RETRY, GrantEffect.GIVE_BACK, JobEffect.NONE, (1.0, 4.0, 16.0)),
    Word.NOT_SENT: (Becomes.RETRY, GrantEffect.GIVE_BACK, JobEffect.NONE, (5.0,)),
    Word.UNKNOWN: (Becomes.UNKNOWN, GrantEffect.KEEP, JobEffect.NONE, ()),
    Word.OTHER: (Becomes.FAILED, GrantEffect.GIVE_BACK, JobEffect.STOP_IF_REPEATED, ()),
}


def effects_of(outcome: Outcome) -> tuple[Becomes, GrantEffect, JobEffect, tuple[float, ...]]:
    return outcome.becomes, outcome.grant, outcome.job, outcome.retry_delays


def test_every_code_has_the_word_its_meaning_calls_for() -> None:
    found: dict[Word, set[int]] = {}
    for code, outcome in CODES.items():
        found.setdefault(outcome.word, set()).add(code)
    assert found == EXPECTED_WORDS


def test_every_word_has_its_effects() -> None:
    assert {word: effects_of(outcome) for word, outcome in WORDS.items()} == EXPECTED_EFFECTS
    assert set(WORDS) == set(Word)


@pytest.mark.parametrize("code", CODES)
def test_a_code_does_what_its_word_does(code: int) -> None:
    outcome = outcome_of_code(code)
    assert effects_of(outcome) == effects_of(WORDS[outcome.word])


def test_only_what_is_no_fault_of_the_message_waits_without_end() -> None:
    endless = {word for word, outcome in WORDS.items() if not outcome.counts_attempt}
    assert endless == {Word.APP_CONFIG, Word.DAILY_LIMIT, Word.MINUTE_LIMIT, Word.NOT_SENT}


@pytest.mark.parametrize("outcome", WORDS.values(), ids=WORDS)
def test_a_row_that_waits_for_a_retry_has_a_delay_and_no_other_has(outcome: Outcome) -> None:
    assert (outcome.retry_after(retries_used=0) is not None) is (outcome.becomes is Becomes.RETRY)


@pytest.mark.parametrize("outcome", WORDS.values(), ids=WORDS)
def test_a_row_that_may_be_sent_again_gives_its_consent_back(outcome: Outcome) -> None:
    if outcome.becomes is Becomes.RETRY:
        assert outcome.grant is GrantEffect.GIVE_BACK


def test_retries_that_count_are_used_up() -> None:
    busy = WORDS[Word.BUSY]
    assert [busy.retry_after(retries_used=used) for used in range(5)] == [1.0, 4.0, 16.0, None, None]


def test_retries_that_do_not_count_never_end() -> None:
    limit = WORDS[Word.MINUTE_LIMIT]
    assert [limit.retry_after(retries_used=used) for used in (0, 1, 99)] == [60.0, 60.0, 60.0]


def test_a_wrong_token_pauses_the_app_only_when_a_fresh_one_is_refused_too() -> None:
    token = WORDS[Word.TOKEN]
    assert [token.job_effect(retries_used=used) for used in (0, 1)] == [JobEffect.NONE, JobEffect.PAUSE_APP]


def test_a_wrong_setting_pauses_the_app_at_once() -> None:
    assert WORDS[Word.APP_CONFIG].job_effect(retries_used=0) is JobEffect.PAUSE_APP


def test_a_refusal_touches_its_job_at_once() -> None:
    assert WORDS[Word.BAD_PAGE].job_effect(retries_used=0) is JobEffect.PAUSE_JOB


def test_an_unknown_code_is_a_refusal_of_its_own_kind() -> None:
    assert outcome_of_code(1700) is WORDS[Word.OTHER]


def test_the_token_codes_are_the_ones_a_fresh_token_may_heal() -> None:
    assert frozenset({40001, 40014, 41001, 42001}) == RETRYABLE_TOKEN_CODES


@pytest.mark.parametrize("code", RETRYABLE_TOKEN_CODES)
def test_a_wrong_token_in_answer_to_the_token_call_is_a_wrong_secret(code: int) -> None:
    outcome = outcome_of_token_call(code)
    assert outcome.word is Word.APP_CONFIG
    assert outcome == outcome_of_code(40125)


@pytest.mark.parametrize("code", [-1, 40164, 45011, 1700])
def test_other_answers_to_the_token_call_mean_what_they_always_mean(code: int) -> None:
    assert outcome_of_token_call(code) is outcome_of_code(code)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ((429, 503), NOT_SENT),
        ((200, 204, 299, 408, 500, 501, 502, 504, 520, 599, 101), UNKNOWN),
        ((301, 302, 304, 400, 401, 403, 404, 405, 407, 413, 451), REFUSED_ON_THE_WAY),
    ],
)
def test_a_status_without_the_words_of_wechat(statuses: tuple[int, ...], expected: Outcome) -> None:
    assert [outcome_of_status(status) for status in statuses] == [expected] * len(statuses)


def test_a_refusal_on_the_way_fails_and_stops_the_job_when_it_repeats() -> None:
    assert effects_of(REFUSED_ON_THE_WAY) == EXPECTED_EFFECTS[Word.OTHER]
    assert str(REFUSED_ON_THE_WAY.meaning) == "A proxy or gateway on the way to WeChat refused the call."


@pytest.mark.parametrize("code", [*CODES, 1700])
def test_every_code_is_described_in_two_sentences(code: int) -> None:
    with translation.override("en"):
        meaning, next_step = describe(code)
    assert meaning.endswith((".", "…"))
    assert next_step.endswith(".")


def test_a_description_speaks_the_active_language() -> None:
    with translation.override("en"):
        assert describe(43101)[0] == "The person is not subscribed, or every one-time consent is used up."
