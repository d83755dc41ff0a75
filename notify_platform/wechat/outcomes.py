"""What an answer of WeChat means for a message: the one table of codes, read by everyone and repeated nowhere.

Two tables. ``WORDS`` says what each of our words does to the message, its unit of consent and its job. ``CODES`` gives
each code of WeChat its word, its meaning and the next step. **A new code is one new row in ``CODES``.**
Sources: WeChat's docs, the error tables of "sendMessage", "getStableAccessToken", "getMessageTemplateList" and
"code2Session" and the general list of return codes; "seen" marks codes that only appear in practice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

Sentence: TypeAlias = "str | _StrPromise"


class Word(StrEnum):
    """Our word for what happened."""

    ACCEPTED = "accepted"
    NOT_SUBSCRIBED = "not_subscribed"
    BAD_USER = "bad_user"
    BAD_DATA = "bad_data"
    BAD_PAGE = "bad_page"
    BAD_TEMPLATE = "bad_template"
    TEMPLATE_BANNED = "template_banned"
    CAPABILITY_BANNED = "capability_banned"
    CONCURRENT = "concurrent"
    TOKEN = "token"  # noqa: S105 - a word, not a secret
    APP_CONFIG = "app_config"
    DAILY_LIMIT = "daily_limit"
    MINUTE_LIMIT = "minute_limit"
    BUSY = "busy"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"
    OTHER = "other"


class Becomes(StrEnum):
    """What the delivery becomes. ``RETRY``: waiting again, as long as ``Outcome.retry_after`` gives a delay."""

    ACCEPTED = "accepted"
    FAILED = "failed"
    RETRY = "retry"
    UNKNOWN = "unknown"


class GrantEffect(StrEnum):
    """What happens to the unit of consent. ``REVOKE``: all we held at send time; ``KEEP``: stays reserved."""

    SPEND = "spend"
    GIVE_BACK = "give_back"
    REVOKE = "revoke"
    KEEP = "keep"


class JobEffect(StrEnum):
    """What happens around the message. ``STOP_IF_REPEATED``: pause the job when its first messages all fail alike."""

    NONE = "none"
    STOP_IF_REPEATED = "stop_if_repeated"
    PAUSE_JOB = "pause_job"
    PAUSE_TEMPLATE = "pause_template"
    PAUSE_APP = "pause_app"
    SLOW_DOWN = "slow_down"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row of the table.

    ``retry_delays``: seconds before the first, second, … retry; used up, the row has failed. ``counts_attempt`` false:
    the fault is the app's and not the message's, so no retry is used up, the row waits the first delay however often,
    and ``job`` applies at once. Callers add jitter.
    """

    word: Word
    meaning: Sentence
    next_step: Sentence
    # The defaults are the common refusal: final, the consent not used up, no one else's business.
    becomes: Becomes = Becomes.FAILED
    grant: GrantEffect = GrantEffect.GIVE_BACK
    job: JobEffect = JobEffect.NONE
    retry_delays: tuple[float, ...] = ()
    counts_attempt: bool = True

    def retry_after(self, *, retries_used: int) -> float | None:
        """Return the seconds to wait before the next try, or None: no further try, the row is settled."""
        if not self.counts_attempt:
            return self.retry_delays[0]
        return self.retry_delays[retries_used] if retries_used < len(self.retry_delays) else None

    def job_effect(self, *, retries_used: int) -> JobEffect:
        """Return what happens to the job now: a retry that counts may still succeed, so it changes nothing yet."""
        waits_for_retry = self.counts_attempt and self.retry_after(retries_used=retries_used) is not None
        return JobEffect.NONE if waits_for_retry else self.job


_BACK_OFF: Final = (1.0, 4.0, 16.0)
_ASK_AGAIN: Final = _("Nothing to do: the message is tried again by itself. If it lasts, look at WeChat's status.")
_NOTHING: Final = _("Nothing to do.")
_OUR_BUG: Final = _("This is a fault of the platform or of a proxy in between: report it with the code and the rid.")

_NOTICES: Final = _("Read the notices in WeChat's console, then resume.")
_WHITELIST: Final = _("Add this server's address to the whitelist in WeChat's console, then resume.")
_SECRET: Final = _("Enter the current app secret, then resume.")
_CONFIRM: Final = _("Confirm on the administrator's phone, then resume.")
_CHECK_ID: Final = _("Check that the app id is a mini-program's.")
_SYNC: Final = _("Fetch the templates from WeChat, then look again.")
_AGREE: Final = _("Agree with the administrator, wait that long, then resume.")

# What each word does. The sentences hold when a code has none of its own.
_WORDS: Final = (
    Outcome(
        Word.ACCEPTED, _("WeChat accepted the message."), _NOTHING, becomes=Becomes.ACCEPTED, grant=GrantEffect.SPEND
    ),
    # Everyday life, not an error: a log full of these hides the real ones.
    Outcome(
        Word.NOT_SUBSCRIBED,
        _("The person is not subscribed, or every one-time consent is used up."),
        _("Ask for consent again at a moment when it helps the person."),
        grant=GrantEffect.REVOKE,
    ),
    Outcome(
        Word.BAD_USER,
        _("WeChat does not know this openid in this mini-program."),
        _("Check where the openid came from: it must be of this mini-program, and no unionid."),
    ),
    Outcome(
        Word.BAD_DATA,
        _("WeChat refused the words of the message."),
        _("Correct the wording, then send to those who failed."),
        job=JobEffect.STOP_IF_REPEATED,
    ),
    Outcome(
        Word.BAD_PAGE,
        _("The page of the card does not exist in the released mini-program."),
        _("Correct the page, or release the version that has it."),
        job=JobEffect.PAUSE_JOB,
    ),
    Outcome(
        Word.BAD_TEMPLATE,
        _("This mini-program has no such template."),
        _("Sync the templates; if it was deleted at WeChat, choose another one."),
        job=JobEffect.PAUSE_TEMPLATE,
    ),
    Outcome(
        Word.TEMPLATE_BANNED,
        _("WeChat has banned the template."),
        _("Read the notice in WeChat's console and use another template."),
        job=JobEffect.PAUSE_TEMPLATE,
    ),
    Outcome(
        Word.CAPABILITY_BANNED,
        _("The mini-program may not send subscription messages."),
        _NOTICES,
        job=JobEffect.PAUSE_APP,
    ),
    Outcome(
        Word.CONCURRENT,
        _("Another message to the same person was under way at that moment."),
        _ASK_AGAIN,
        becomes=Becomes.RETRY,
        retry_delays=(0.7, 1.5, 3.0),
    ),
    # Once more with a token fetched afresh. A second refusal is no accident, and the whole app is waiting for it.
    Outcome(
        Word.TOKEN,
        _("WeChat did not take the access token."),
        _("A fresh token is tried once. If it lasts, check the app id and the app secret."),
        becomes=Becomes.RETRY,
        job=JobEffect.PAUSE_APP,
        retry_delays=(0.0,),
    ),
    Outcome(
        Word.APP_CONFIG,
        _("WeChat refuses the mini-program as it is set up here."),
        _("Check the mini-program's credentials, then resume: no message is lost."),
        becomes=Becomes.RETRY,
        job=JobEffect.PAUSE_APP,
        retry_delays=(60.0,),
        counts_attempt=False,
    ),
    Outcome(
        Word.DAILY_LIMIT,
        _("The mini-program's daily limit for this call is used up."),
        _("Wait until there is quota again, at the latest at midnight in Beijing: jobs then go on by themselves."),
        becomes=Becomes.RETRY,
        job=JobEffect.PAUSE_APP,
        retry_delays=(300.0,),
        counts_attempt=False,
    ),
    Outcome(
        Word.MINUTE_LIMIT,
        _("Too many calls within a minute."),
        _("Nothing to do: sending goes on after a minute. If it recurs, lower the mini-program's pace."),
        becomes=Becomes.RETRY,
        job=JobEffect.SLOW_DOWN,
        retry_delays=(60.0,),
        counts_attempt=False,
    ),
    # One busy answer says nothing about the job; whoever counts them opens the breaker.
    Outcome(
        Word.BUSY,
        _("WeChat was busy and did not take the message."),
        _ASK_AGAIN,
        becomes=Becomes.RETRY,
        retry_delays=_BACK_OFF,
    ),
    Outcome(
        Word.NOT_SENT,
        _("The message did not reach WeChat."),
        _("The message is tried again by itself. If it lasts, check the network, the proxy and DNS."),
        becomes=Becomes.RETRY,
        # An outage of minutes must cost nobody their message: nothing left, so no try is used up.
        retry_delays=(5.0,),
        counts_attempt=False,
    ),
    # Sending again could deliver twice: there is no key by which WeChat would recognise the second one.
    Outcome(
        Word.UNKNOWN,
        _("The message left, and no readable answer came: WeChat may have delivered it."),
        _("Wait for WeChat's own report; the message is never sent again by itself."),
        becomes=Becomes.UNKNOWN,
        grant=GrantEffect.KEEP,
    ),
    Outcome(
        Word.OTHER,
        _("WeChat refused with a code this platform does not know."),
        _("Look the code up in WeChat's docs; its rid tells WeChat which call it was."),
        job=JobEffect.STOP_IF_REPEATED,
    ),
)
WORDS: Final[Mapping[Word, Outcome]] = {outcome.word: outcome for outcome in _WORDS}


def _means(word: Word, meaning: Sentence | None = None, next_step: Sentence | None = None) -> Outcome:
    """Return what the word does, in sentences of the code's own where it has some."""
    known = WORDS[word]
    # "is None": asking a lazy sentence whether it is empty would translate it at import.
    return replace(
        known,
        meaning=known.meaning if meaning is None else meaning,
        next_step=known.next_step if next_step is None else next_step,
    )


# code: our word, what it means, what to do next (the word's own sentences where a row gives none)
CODES: Final[Mapping[int, Outcome]] = {
    # --- any call ----------------------------------------------------------------------------------------------------
    0: _means(Word.ACCEPTED),
    -1: _means(Word.BUSY),
    40033: _means(Word.BAD_DATA, _("The text holds characters WeChat cannot read.")),
    43002: _means(Word.OTHER, _("The call arrived at WeChat as GET instead of POST."), _OUR_BUG),
    43003: _means(Word.OTHER, _("The call arrived at WeChat without HTTPS."), _("Use https in WECHAT_API_BASE_URL.")),
    44002: _means(Word.OTHER, _("The call arrived at WeChat without its body."), _OUR_BUG),
    47001: _means(Word.OTHER, _("WeChat could not read the call as JSON."), _OUR_BUG),
    45009: _means(Word.DAILY_LIMIT),
    45011: _means(Word.MINUTE_LIMIT),
    # --- the access token --------------------------------------------------------------------------------------------
    40001: _means(Word.TOKEN, _("The access token is wrong or no longer the latest.")),
    40014: _means(Word.TOKEN, _("The access token is malformed or of another account.")),
    41001: _means(Word.TOKEN, _("The access token is missing.")),
    42001: _means(Word.TOKEN, _("The access token has expired.")),
    # --- the mini-program as it is set up ----------------------------------------------------------------------------
    40002: _means(Word.OTHER, _("WeChat does not know the grant type of the token call."), _OUR_BUG),
    40013: _means(Word.APP_CONFIG, _("WeChat does not know the app id.")),
    40125: _means(Word.APP_CONFIG, _("The app secret is wrong; it may have been reset in WeChat's console."), _SECRET),
    40164: _means(Word.APP_CONFIG, _("This server's address, named in the answer, is not on the list."), _WHITELIST),
    40243: _means(Word.APP_CONFIG, _("The app secret is frozen."), _("Unfreeze it in WeChat's console, then resume.")),
    41002: _means(Word.APP_CONFIG, _("The app id is missing.")),
    41004: _means(Word.APP_CONFIG, _("The app secret is missing.")),
    45035: _means(Word.APP_CONFIG, _("WeChat refuses this server's address."), _WHITELIST),
    50004: _means(Word.APP_CONFIG, _("This account may not ask for access tokens."), _NOTICES),
    50007: _means(Word.APP_CONFIG, _("The account is frozen."), _NOTICES),
    61004: _means(Word.APP_CONFIG, _("WeChat does not know this server's address."), _WHITELIST),
    61024: _means(
        Word.APP_CONFIG,
        _("The app id belongs to a third-party platform, which this installation does not support."),
        _("Enter the app id and the secret of the mini-program itself, then resume."),
    ),  # seen
    89503: _means(Word.APP_CONFIG, _("The administrator has to confirm this server's address first."), _CONFIRM),
    89506: _means(Word.APP_CONFIG, _("The administrator refused this server's address for 24 hours."), _AGREE),
    89507: _means(Word.APP_CONFIG, _("The administrator refused this server's address for one hour."), _AGREE),
    # --- permission --------------------------------------------------------------------------------------------------
    43107: _means(Word.CAPABILITY_BANNED, _("WeChat has banned subscription messages here, or the template.")),
    48001: _means(
        Word.CAPABILITY_BANNED,
        _("The mini-program has not been granted this call, or the token is of another kind of account."),
        _("Check in WeChat's console that subscription messages are opened, then resume."),
    ),
    48004: _means(Word.CAPABILITY_BANNED, _("WeChat has closed this call because of a violation.")),
    50002: _means(Word.CAPABILITY_BANNED, _("The account is frozen or cancelled.")),
    61007: _means(
        Word.CAPABILITY_BANNED,
        _("The third-party platform that manages the mini-program lacks the permission."),
        _("Grant permission set 18 to it, or use the mini-program's own secret; then resume."),
    ),
    # --- one message -------------------------------------------------------------------------------------------------
    43101: _means(Word.NOT_SUBSCRIBED),
    43108: _means(Word.CONCURRENT),
    40003: _means(Word.BAD_USER, _("The openid is malformed or of another app.")),
    43104: _means(Word.BAD_USER, _("The openid is of another app.")),  # seen
    47003: _means(Word.BAD_DATA, _("A value is empty or breaks the rule of its field.")),
    45168: _means(
        Word.BAD_DATA,
        _("The text holds a word WeChat blocks; harmless words and brands are sometimes among them."),
        _("Say it in other words, then send to those who failed."),
    ),
    41030: _means(Word.BAD_PAGE),
    40037: _means(Word.BAD_TEMPLATE),
    40249: _means(Word.TEMPLATE_BANNED, _("WeChat has blocked the template for its content.")),  # seen
    43116: _means(Word.TEMPLATE_BANNED),  # seen
    45103: _means(Word.OTHER, _("WeChat has switched this call off."), _OUR_BUG),  # seen
    # --- login -------------------------------------------------------------------------------------------------------
    40029: _means(Word.OTHER, _("The login code is wrong, expired or of another app."), _("Call wx.login again.")),
    40163: _means(Word.OTHER, _("The login code was used before."), _("Call wx.login again.")),  # seen
    40226: _means(Word.OTHER, _("WeChat holds this person for a high risk and blocks the login."), _NOTHING),
    41008: _means(Word.OTHER, _("The login code is missing."), _("Send the code that wx.login gave.")),  # seen
    # --- the list of templates ---------------------------------------------------------------------------------------
    404: _means(Word.OTHER, _("The call used the wrong HTTP method."), _OUR_BUG),
    **dict.fromkeys((20001, 200001), _means(Word.BUSY, _("WeChat had an error of its own."))),
    # --- making and deleting templates -------------------------------------------------------------------------------
    **dict.fromkeys((20002, 200002, 200016, 200017, 200018), _means(Word.OTHER, _("WeChat misses a word."), _OUR_BUG)),
    200011: _means(Word.OTHER, _("WeChat has banned the account."), _NOTICES),
    200012: _means(Word.OTHER, _("The account is full of templates."), _("Delete one, then add this one.")),
    200013: _means(Word.OTHER, _("WeChat has banned this template."), _("Choose another one.")),
    200014: _means(Word.OTHER, _("WeChat does not know this template."), _SYNC),
    200019: _means(Word.OTHER, _("WeChat does not know this category."), _("Choose one of the account's.")),
    200020: _means(Word.OTHER, _("WeChat does not take these keywords."), _("Choose two to five different ones.")),
    200021: _means(Word.OTHER, _("WeChat does not take this description."), _("Use others, 15 characters at most.")),
    200022: _means(Word.OTHER, _("The account has this template with these keywords already."), _SYNC),
    43106: _means(Word.OTHER, _("WeChat punishes the account: it may not add templates."), _NOTICES),  # seen
    200100: _means(Word.OTHER, _("This kind of account has no subscription messages."), _CHECK_ID),
}

# Refused for the token alone: the same request may go out again with a fresh one.
RETRYABLE_TOKEN_CODES: Final = frozenset(code for code, outcome in CODES.items() if outcome.word is Word.TOKEN)

# --- situations without a code ---------------------------------------------------------------------------------------

NOT_SENT: Final = WORDS[Word.NOT_SENT]
UNKNOWN: Final = WORDS[Word.UNKNOWN]
# WeChat itself answers 200 even to a refusal, so a 3xx or 4xx without its words comes from something that kept the
# message. It is no retry: the same gatekeeper would say the same to every message of the job.
REFUSED_ON_THE_WAY: Final = replace(
    WORDS[Word.OTHER],
    meaning=_("A proxy or gateway on the way to WeChat refused the call."),
    next_step=_("Check the proxy and WECHAT_API_BASE_URL, then send to those who failed."),
)
_STATUSES: Final[Mapping[int, Outcome]] = {
    429: NOT_SENT,  # too many requests: turned away at the door
    503: NOT_SENT,  # overloaded or in maintenance: turned away at the door
    408: UNKNOWN,  # "your request took too long": some proxies say so after they had passed it on
}
# Whoever asks for a token sends none, so "token wrong" can only mean the secret.
_SECRET_REFUSED: Final = CODES[40125]


def outcome_of_code(code: int) -> Outcome:
    """Return what WeChat's ``errcode`` means for a message; a code we do not know is ``Word.OTHER``."""
    return CODES.get(code, WORDS[Word.OTHER])


def outcome_of_token_call(code: int) -> Outcome:
    """Return what an ``errcode`` of the token call itself means: there "wrong token" speaks of the app secret."""
    return _SECRET_REFUSED if code in RETRYABLE_TOKEN_CODES else outcome_of_code(code)


def outcome_of_status(status: int) -> Outcome:
    """Return what an HTTP status means for a message when the body does not hold WeChat's own words.

    500, 502, 504 and an unreadable 200 are unknown: a proxy may have passed the message on before it failed.
    """
    found = _STATUSES.get(status)
    if found is not None:
        return found
    return REFUSED_ON_THE_WAY if 300 <= status < 500 else UNKNOWN


def describe(code: int) -> tuple[str, str]:
    """Return the meaning and the next step of any of WeChat's codes, in the active language."""
    outcome = outcome_of_code(code)
    return str(outcome.meaning), str(outcome.next_step)
