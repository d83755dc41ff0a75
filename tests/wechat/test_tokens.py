"""One token for everybody: many threads on a real database, and a server that counts who asks."""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction

from notify_platform.core.clock import database_now
from notify_platform.wechat import tokens
from notify_platform.wechat.gateway import Gateway, WeChatRefused, WeChatUnreachable, gateway_for
from notify_platform.wechat.outcomes import Word
from notify_platform.wechat.tokens import current_token
from templates_app.models import AccessToken, MiniProgram

from .raw_server import Connection, RawServer, answer

pytestmark = pytest.mark.django_db(transaction=True)

CALLERS = 8


class TokenDesk:
    """Serves stable_token: numbered tokens, or whatever ``answers`` holds; ``before`` runs before each answer."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.expires_in = 7200
        self.before: Callable[[], object] = lambda: None
        self.asked = 0

    def serve(self, link: Connection) -> None:
        while link.read_request() is not None:
            self.asked += 1
            body = {"access_token": f"token-{self.asked}", "expires_in": self.expires_in}
            self.before()
            link.send(answer(self.answers.pop(0) if self.answers else json.dumps(body).encode()))


@pytest.fixture
def desk() -> TokenDesk:
    return TokenDesk()


@pytest.fixture
def server(serving, desk: TokenDesk) -> RawServer:
    return serving(desk.serve)


@pytest.fixture
def mini_program() -> MiniProgram:
    return MiniProgram.objects.create(name="Shop", app_id="wxba5fad812f8e6fb9", app_secret="hush")


@pytest.fixture
def gateway(server: RawServer, mini_program: MiniProgram, settings) -> Iterator[Gateway]:
    settings.WECHAT_API_BASE_URL = server.url
    made = gateway_for(mini_program)
    yield made
    made.close()


def stored(mini_program: MiniProgram) -> AccessToken:
    return AccessToken.objects.get(mini_program=mini_program)


def store(mini_program: MiniProgram, *, token: str, seconds: float) -> AccessToken:
    now = database_now()
    return AccessToken.objects.create(
        mini_program=mini_program, token=token, expires_at=now + timedelta(seconds=seconds), fetched_at=now
    )


def lease_of(row: AccessToken) -> tuple[datetime | None, uuid.UUID | None]:
    return row.lease_until, row.lease_holder


# --- one caller ------------------------------------------------------------------------------------------------------


def test_the_first_token_is_fetched_and_kept(mini_program, gateway, desk, server) -> None:
    before = database_now()
    assert current_token(mini_program, gateway=gateway) == "token-1"
    after = database_now()
    row = stored(mini_program)
    assert (row.token, lease_of(row)) == ("token-1", (None, None))
    assert before <= row.expires_at - timedelta(seconds=7200) <= row.fetched_at <= after
    assert json.loads(server.requests[0].body) == {
        "grant_type": "client_credential",
        "appid": "wxba5fad812f8e6fb9",
        "secret": "hush",
        "force_refresh": False,
    }


def test_a_kept_token_is_not_asked_for_again(mini_program, gateway, desk) -> None:
    assert [current_token(mini_program, gateway=gateway) for _ in range(3)] == ["token-1"] * 3
    assert desk.asked == 1


@pytest.mark.parametrize(("seconds", "expected"), [(90, "old"), (59, "token-1"), (-5, "token-1")])
def test_a_token_near_its_end_is_asked_for_again(mini_program, gateway, seconds: int, expected: str) -> None:
    store(mini_program, token="old", seconds=seconds)
    assert current_token(mini_program, gateway=gateway) == expected


def test_a_token_shorter_than_the_margin_is_used_but_not_kept_for_long(mini_program, gateway, desk) -> None:
    desk.expires_in = 30
    assert [current_token(mini_program, gateway=gateway) for _ in range(2)] == ["token-1", "token-2"]


def test_a_refused_token_is_asked_for_again_without_force(mini_program, gateway, desk, server) -> None:
    store(mini_program, token="refused", seconds=7000)
    assert current_token(mini_program, gateway=gateway, stale="refused") == "token-1"
    assert stored(mini_program).token == "token-1"
    assert json.loads(server.requests[0].body)["force_refresh"] is False


def test_a_refused_token_somebody_has_replaced_is_not_asked_for_again(mini_program, gateway, desk) -> None:
    store(mini_program, token="new", seconds=7000)
    assert current_token(mini_program, gateway=gateway, stale="refused") == "new"
    assert desk.asked == 0


def test_a_refused_token_wechat_gives_again_is_taken(mini_program, gateway, desk) -> None:
    store(mini_program, token="token-1", seconds=7000)
    assert current_token(mini_program, gateway=gateway, stale="token-1") == "token-1"
    assert desk.asked == 1


def test_each_mini_program_has_its_own_token(mini_program, gateway, desk) -> None:
    other = MiniProgram.objects.create(name="Other", app_id="wx0000000000000000", app_secret="psst")
    assert current_token(mini_program, gateway=gateway) == "token-1"
    assert current_token(other, gateway=gateway) == "token-2"
    assert current_token(mini_program, gateway=gateway) == "token-1"


def test_the_secret_is_the_one_in_the_database(mini_program, gateway, server) -> None:
    MiniProgram.objects.filter(pk=mini_program.pk).update(app_secret="corrected")
    current_token(mini_program, gateway=gateway)
    assert json.loads(server.requests[0].body)["secret"] == "corrected"


def test_token_and_secret_are_in_no_log_and_not_readable_in_the_table(mini_program, gateway, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    current_token(mini_program, gateway=gateway)
    with connection.cursor() as cursor:
        cursor.execute("SELECT token FROM templates_app_accesstoken")
        (column,) = cursor.fetchone()
    assert ("token-1" in column, "token-1" in caplog.text, "hush" in caplog.text) == (False, False, False)
    ours = [record.getMessage() for record in caplog.records if record.name == tokens.__name__]
    assert ours == ["access token of wxba5fad812f8e6fb9 fetched, valid for 7200 s"]


# --- failures --------------------------------------------------------------------------------------------------------


def test_a_refusal_is_passed_on_and_the_next_caller_tries_again(mini_program, gateway, desk) -> None:
    store(mini_program, token="refused", seconds=7000)
    desk.answers = [b'{"errcode":40125,"errmsg":"invalid appsecret"}']
    with pytest.raises(WeChatRefused) as caught:
        current_token(mini_program, gateway=gateway, stale="refused")
    assert caught.value.word is Word.APP_CONFIG
    row = stored(mini_program)
    assert (row.token, lease_of(row)) == ("refused", (None, None))
    assert current_token(mini_program, gateway=gateway, stale="refused") == "token-2"


def test_silence_is_passed_on_and_the_lease_given_back(mini_program, gateway, desk) -> None:
    desk.answers = [b"<html>"]
    with pytest.raises(WeChatUnreachable):
        current_token(mini_program, gateway=gateway)
    row = stored(mini_program)
    assert (row.token, row.fetched_at, lease_of(row)) == ("", None, (None, None))
    assert current_token(mini_program, gateway=gateway) == "token-2"


def test_a_secret_no_key_opens_gives_the_lease_back(mini_program, gateway, desk, settings) -> None:
    settings.CREDENTIALS_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(ImproperlyConfigured, match="CREDENTIALS_KEYS"):
        current_token(mini_program, gateway=gateway)
    assert (lease_of(stored(mini_program)), desk.asked) == ((None, None), 0)


def test_asking_inside_a_transaction_is_refused(mini_program, gateway, desk) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        current_token(mini_program, gateway=gateway)
    assert desk.asked == 0


# --- many callers ----------------------------------------------------------------------------------------------------


@pytest.fixture
def all_others_wait(desk: TokenDesk, monkeypatch) -> None:
    """Let the server answer only once every caller but one has found the lease taken and waits."""
    waiting: set[int] = set()
    everybody = threading.Event()
    really_sleep = time.sleep

    def sleep(seconds: float) -> None:
        waiting.add(threading.get_ident())
        if len(waiting) == CALLERS - 1:
            everybody.set()
        really_sleep(seconds)

    monkeypatch.setattr(tokens.time, "sleep", sleep)
    desk.before = lambda: everybody.wait(5)


def ask_together(mini_program: MiniProgram, *, gateway: Gateway, stale: str = "") -> list[object]:
    """Ask from many threads, each on its own database connection; errors are returned by their type."""

    def ask(_number: int) -> object:
        try:
            return current_token(mini_program, gateway=gateway, stale=stale)
        except (WeChatRefused, WeChatUnreachable) as error:
            return type(error)
        finally:
            connection.close()

    with ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(ask, range(CALLERS)))


@pytest.mark.usefixtures("all_others_wait")
def test_at_a_cold_start_one_of_many_asks(mini_program, gateway, desk) -> None:
    assert ask_together(mini_program, gateway=gateway) == ["token-1"] * CALLERS
    assert desk.asked == 1
    assert lease_of(stored(mini_program)) == (None, None)


@pytest.mark.usefixtures("all_others_wait")
def test_when_a_token_ends_one_of_many_asks(mini_program, gateway, desk) -> None:
    store(mini_program, token="ended", seconds=-1)
    assert ask_together(mini_program, gateway=gateway) == ["token-1"] * CALLERS
    assert desk.asked == 1


@pytest.mark.usefixtures("all_others_wait")
def test_when_a_token_is_refused_one_of_many_asks(mini_program, gateway, desk) -> None:
    store(mini_program, token="refused", seconds=7000)
    assert ask_together(mini_program, gateway=gateway, stale="refused") == ["token-1"] * CALLERS
    assert desk.asked == 1


@pytest.mark.usefixtures("all_others_wait")
def test_when_wechat_gives_the_refused_token_again_one_of_many_asks(mini_program, gateway, desk) -> None:
    store(mini_program, token="token-1", seconds=7000)
    assert ask_together(mini_program, gateway=gateway, stale="token-1") == ["token-1"] * CALLERS
    assert desk.asked == 1


@pytest.mark.usefixtures("all_others_wait")
def test_when_the_asking_one_fails_another_asks(mini_program, gateway, desk) -> None:
    desk.answers = [b'{"errcode":-1,"errmsg":"system error"}']
    answers = ask_together(mini_program, gateway=gateway)
    assert sorted(map(str, answers)) == sorted([str(WeChatRefused), *["token-2"] * (CALLERS - 1)])
    assert desk.asked == 2


# --- a holder that died ----------------------------------------------------------------------------------------------


def lease(row: AccessToken, *, seconds: float) -> uuid.UUID:
    holder = uuid.uuid4()
    until = database_now() + timedelta(seconds=seconds)
    AccessToken.objects.filter(pk=row.pk).update(lease_until=until, lease_holder=holder)
    return holder


def test_the_lease_of_a_dead_holder_is_taken_over_when_it_lapses(mini_program, gateway, desk) -> None:
    lease(store(mini_program, token="ended", seconds=-1), seconds=0.3)
    assert current_token(mini_program, gateway=gateway) == "token-1"
    row = stored(mini_program)
    assert (row.token, lease_of(row), desk.asked) == ("token-1", (None, None), 1)


def test_a_living_lease_is_respected_and_waiting_ends(mini_program, gateway, desk, monkeypatch) -> None:
    monkeypatch.setattr(tokens, "PATIENCE_SECONDS", 0.1)
    holder = lease(store(mini_program, token="ended", seconds=-1), seconds=60)
    with pytest.raises(WeChatUnreachable, match="another process"):
        current_token(mini_program, gateway=gateway)
    row = stored(mini_program)
    assert (row.token, row.lease_holder, desk.asked) == ("ended", holder, 0)


def test_a_valid_token_is_returned_while_somebody_else_asks(mini_program, gateway, desk) -> None:
    lease(store(mini_program, token="valid", seconds=7000), seconds=60)
    assert (current_token(mini_program, gateway=gateway), desk.asked) == ("valid", 0)


def let_another_take_over(desk: TokenDesk, row: AccessToken) -> list[uuid.UUID]:
    """Give the row to another holder while the first one's request is under way; return who that is."""
    successors: list[uuid.UUID] = []

    def take_over() -> None:
        successors.append(lease(row, seconds=60))
        connection.close()

    desk.before = take_over
    return successors


def test_a_holder_who_comes_back_late_leaves_the_row_to_its_successor(mini_program, gateway, desk) -> None:
    successors = let_another_take_over(desk, store(mini_program, token="ended", seconds=-1))
    assert current_token(mini_program, gateway=gateway) == "token-1"
    row = stored(mini_program)
    assert (row.token, [row.lease_holder]) == ("ended", successors)


def test_a_holder_who_fails_late_leaves_the_lease_to_its_successor(mini_program, gateway, desk) -> None:
    successors = let_another_take_over(desk, store(mini_program, token="ended", seconds=-1))
    desk.answers = [b'{"errcode":-1,"errmsg":"system error"}']
    with pytest.raises(WeChatRefused):
        current_token(mini_program, gateway=gateway)
    assert [stored(mini_program).lease_holder] == successors
